"""Kafka's error codes that aiokafka lacks, or knows by another name. Importing this module adds
them to ``aiokafka.errors.for_code``.

aiokafka 0.14 (``errors.py:873``; https://github.com/aio-libs/aiokafka/issues/1186) answers
``UnknownError`` for most codes from 73 on, and does not retry some codes that Kafka's own clients
retry. The table is that of Kafka 4.2. Test: ``tests/kafka/test_errors.py`` compares it with Kafka's
own.
"""

from __future__ import annotations

from typing import Any

from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFenced,
    kafka_errors,
)

_NAMES = {
    -1: "UNKNOWN_SERVER_ERROR",
    0: "NONE",
    6: "NOT_LEADER_OR_FOLLOWER",
    10: "MESSAGE_TOO_LARGE",
    13: "NETWORK_EXCEPTION",
    17: "INVALID_TOPIC_EXCEPTION",
    39: "INVALID_REPLICA_ASSIGNMENT",
    73: "TOPIC_DELETION_DISABLED",
    74: "FENCED_LEADER_EPOCH",
    75: "UNKNOWN_LEADER_EPOCH",
    76: "UNSUPPORTED_COMPRESSION_TYPE",
    77: "STALE_BROKER_EPOCH",
    78: "OFFSET_NOT_AVAILABLE",
    80: "PREFERRED_LEADER_NOT_AVAILABLE",
    81: "GROUP_MAX_SIZE_REACHED",
    82: "FENCED_INSTANCE_ID",
    83: "ELIGIBLE_LEADERS_NOT_AVAILABLE",
    84: "ELECTION_NOT_NEEDED",
    85: "NO_REASSIGNMENT_IN_PROGRESS",
    86: "GROUP_SUBSCRIBED_TO_TOPIC",
    87: "INVALID_RECORD",
    88: "UNSTABLE_OFFSET_COMMIT",
    89: "THROTTLING_QUOTA_EXCEEDED",
    90: "PRODUCER_FENCED",
    91: "RESOURCE_NOT_FOUND",
    92: "DUPLICATE_RESOURCE",
    93: "UNACCEPTABLE_CREDENTIAL",
    94: "INCONSISTENT_VOTER_SET",
    95: "INVALID_UPDATE_VERSION",
    96: "FEATURE_UPDATE_FAILED",
    97: "PRINCIPAL_DESERIALIZATION_FAILURE",
    98: "SNAPSHOT_NOT_FOUND",
    99: "POSITION_OUT_OF_RANGE",
    100: "UNKNOWN_TOPIC_ID",
    101: "DUPLICATE_BROKER_REGISTRATION",
    102: "BROKER_ID_NOT_REGISTERED",
    103: "INCONSISTENT_TOPIC_ID",
    104: "INCONSISTENT_CLUSTER_ID",
    105: "TRANSACTIONAL_ID_NOT_FOUND",
    106: "FETCH_SESSION_TOPIC_ID_ERROR",
    107: "INELIGIBLE_REPLICA",
    108: "NEW_LEADER_ELECTED",
    109: "OFFSET_MOVED_TO_TIERED_STORAGE",
    110: "FENCED_MEMBER_EPOCH",
    111: "UNRELEASED_INSTANCE_ID",
    112: "UNSUPPORTED_ASSIGNOR",
    113: "STALE_MEMBER_EPOCH",
    114: "MISMATCHED_ENDPOINT_TYPE",
    115: "UNSUPPORTED_ENDPOINT_TYPE",
    116: "UNKNOWN_CONTROLLER_ID",
    117: "UNKNOWN_SUBSCRIPTION_ID",
    118: "TELEMETRY_TOO_LARGE",
    119: "INVALID_REGISTRATION",
    120: "TRANSACTION_ABORTABLE",
    121: "INVALID_RECORD_STATE",
    122: "SHARE_SESSION_NOT_FOUND",
    123: "INVALID_SHARE_SESSION_EPOCH",
    124: "FENCED_STATE_EPOCH",
    125: "INVALID_VOTER_KEY",
    126: "DUPLICATE_VOTER",
    127: "VOTER_NOT_FOUND",
    128: "INVALID_REGULAR_EXPRESSION",
    129: "REBOOTSTRAP_REQUIRED",
    130: "STREAMS_INVALID_TOPOLOGY",
    131: "STREAMS_INVALID_TOPOLOGY_EPOCH",
    132: "STREAMS_TOPOLOGY_FENCED",
    133: "SHARE_SESSION_LIMIT_REACHED",
}
"""Names that aiokafka lacks, by code."""

_RETRIABLE = frozenset(
    (2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88,
    89, 100, 103, 106, 122, 123, 133)
)  # fmt: skip
"""Codes of Kafka's ``RetriableException``: the same request may succeed later."""

_STALE = frozenset((3, 5, 6, 9, 13, 15, 16, 56, 72, 74, 80, 83, 84, 100, 103))
"""Codes of Kafka's ``RefreshRetriableException``, formerly ``InvalidMetadataException``: the client
must refresh its metadata before it retries.
"""


class ProducerFencedError(ProducerFenced, BrokerResponseError):  # type: ignore[misc]
    """PRODUCER_FENCED. aiokafka's own :class:`aiokafka.errors.ProducerFenced` has no code, and is
    used for code 47.
    """

    errno = 90


class FencedInstanceIdError(BrokerResponseError):  # type: ignore[misc]
    """FENCED_INSTANCE_ID: another consumer has the same ``group.instance.id``."""

    errno = 82


class FencedMemberEpochError(BrokerResponseError):  # type: ignore[misc]
    """FENCED_MEMBER_EPOCH: the group has continued without this member."""

    errno = 110


class StaleMemberEpochError(BrokerResponseError):  # type: ignore[misc]
    """STALE_MEMBER_EPOCH: the group has a newer epoch than this member."""

    errno = 113


class TransactionAbortableError(BrokerResponseError):  # type: ignore[misc]
    """TRANSACTION_ABORTABLE: this transaction cannot be committed, but the next one can."""

    errno = 120


def is_passing(error: BaseException | None) -> bool:
    """Whether the same request may succeed a moment later."""
    # A client whose own timeout has passed raises KafkaTimeoutError, which aiokafka does not call
    # retriable.
    return isinstance(error, (OSError, TimeoutError, KafkaTimeoutError)) or (
        isinstance(error, KafkaError) and error.retriable
    )


def _complete() -> None:
    known: dict[int, Any] = {error.errno: error for error in BrokerResponseError.__subclasses__()}
    for code, name in _NAMES.items():
        error: Any = known.get(code) or type(
            f"{name.title().replace('_', '')}Error", (BrokerResponseError,), {"errno": code}
        )
        error.message = name
        kafka_errors[code] = error
    for code, known_error in kafka_errors.items():
        known_error.retriable, known_error.invalid_metadata = code in _RETRIABLE, code in _STALE


_complete()
