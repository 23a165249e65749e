"""Advice for permanent Kafka errors: from the error code to a message that names the settings of
Rollcall and of the brokers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.settings import Settings


class Refusal(NamedTuple):
    """Advice for an error code."""

    message: str
    """Template with ``{group}``, and settings by name."""
    error_type: type[RollcallError] = RollcallError
    """:class:`ConfigurationError` if a restart cannot help: supervisors may stop restarting at its
    exit code.
    """


REFUSALS: Mapping[int, Refusal] = {
    10: Refusal(
        "a topic accepts only smaller records than when this process started (max.message.bytes of "
        "the topic, or message.max.bytes of the brokers); restart the process: larger records "
        "become dead letters"
    ),
    12: Refusal(
        "the brokers do not accept the note beside an offset; set their "
        "offset.metadata.max.bytes to 4096, Kafka's default"
    ),
    18: Refusal(
        "a batch is larger than a segment of the topic; set segment.bytes of the topic to at "
        "least its max.message.bytes"
    ),
    23: Refusal(
        "members of group {group} assign partitions differently: another program "
        "uses this name (ROLLCALL_GROUP_PREFIX={group_prefix}), "
        "or processes of two releases run; stop all of them, then start"
    ),
    24: Refusal(
        "the brokers do not accept {group} as the name of a group; change "
        "ROLLCALL_GROUP_PREFIX={group_prefix}",
        ConfigurationError,
    ),
    26: Refusal(
        "the brokers do not accept "
        "ROLLCALL_SESSION_TIMEOUT_SECONDS={session_timeout_seconds:g}: it "
        "must lie between their group.min.session.timeout.ms and "
        "group.max.session.timeout.ms; change one of them",
        ConfigurationError,
    ),
    28: Refusal(
        "the brokers do not accept the notes beside offsets; set their offset.metadata.max.bytes "
        "to 4096, Kafka's default"
    ),
    32: Refusal(
        "a topic refuses timestamps that it accepted when this process started "
        "(message.timestamp.before.max.ms and message.timestamp.after.max.ms); restart the process"
    ),
    35: Refusal(
        "the brokers do not know a request that Rollcall needs; it needs Kafka 3.6 or later"
    ),
    50: Refusal(
        "the brokers do not accept "
        "ROLLCALL_TRANSACTION_TIMEOUT_SECONDS={transaction_timeout_seconds:g}: it is longer than "
        "their transaction.max.timeout.ms; "
        "change one of them",
        ConfigurationError,
    ),
    81: Refusal(
        "group {group} has as many members as the brokers' group.max.size allows; run fewer "
        "processes of this kind, or raise group.max.size"
    ),
    82: Refusal(
        "another process has joined group {group} with "
        "ROLLCALL_GROUP_INSTANCE_ID={group_instance_id} and replaced this one; "
        "give each process a unique name",
        ConfigurationError,
    ),
    87: Refusal(
        "a topic refuses the records of this process; check its settings, such as "
        "cleanup.policy ('rollcall topics check')"
    ),
}
"""By Kafka's error code."""


def explain(error: BaseException, settings: Settings, process: str) -> RollcallError | None:
    """The advice for an error or one of its causes, or None.

    Args:
        process: last part of the consumer group's name.
    """
    cause: BaseException | None = error
    while cause is not None:
        refusal = REFUSALS.get(getattr(cause, "errno", 0))
        if refusal is not None:
            message = refusal.message.format(group=settings.group(process), **dict(settings))
            return refusal.error_type(f"{message} ({error})")
        cause = cause.__cause__
    return None
