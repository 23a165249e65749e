"""What to do when Kafka refuses something for good: from its error code to words that name the
setting of Rollcall and that of the brokers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.settings import Settings


class Refusal(NamedTuple):
    """How to answer an error code."""

    words: str
    """With ``{group}``, and settings by their names."""
    kind: type[RollcallError] = RollcallError
    """:class:`ConfigurationError` where a restart cannot help: supervisors may leave off at its
    exit code.
    """


REFUSALS: Mapping[int, Refusal] = {
    10: Refusal(
        "a topic takes smaller records now than when this process started (max.message.bytes of "
        "the topic, or message.max.bytes of the brokers); "
        "start it again, and what is too large becomes a dead letter"
    ),
    12: Refusal(
        "the brokers do not take the note that is stored beside an offset; set their "
        "offset.metadata.max.bytes to 4096, as Kafka has it by default"
    ),
    18: Refusal(
        "a batch is larger than a segment of the topic; set segment.bytes of the topic to at "
        "least its max.message.bytes"
    ),
    23: Refusal(
        "members of group {group} share partitions out in another way: a program that is not "
        "Rollcall's uses this name (ROLLCALL_GROUP_PREFIX={group_prefix}), "
        "or processes of two releases run; stop all of them, then start"
    ),
    24: Refusal(
        "the brokers do not take {group} as the name of a group; change "
        "ROLLCALL_GROUP_PREFIX={group_prefix}",
        ConfigurationError,
    ),
    26: Refusal(
        "the brokers do not take ROLLCALL_SESSION_TIMEOUT_SECONDS={session_timeout_seconds:g}: it "
        "must lie between their group.min.session.timeout.ms and "
        "group.max.session.timeout.ms; change one of them",
        ConfigurationError,
    ),
    28: Refusal(
        "the brokers do not take what is stored with offsets; set their offset.metadata.max.bytes "
        "to 4096, as Kafka has it by default"
    ),
    32: Refusal(
        "a topic refuses timestamps that it took when this process started "
        "(message.timestamp.before.max.ms and message.timestamp.after.max.ms); start it again"
    ),
    35: Refusal(
        "the brokers do not know a request that Rollcall needs; it needs Kafka 3.6 or later"
    ),
    50: Refusal(
        "the brokers do not take "
        "ROLLCALL_TRANSACTION_TIMEOUT_SECONDS={transaction_timeout_seconds:g}: it is longer than "
        "their transaction.max.timeout.ms; "
        "change one of them",
        ConfigurationError,
    ),
    81: Refusal(
        "group {group} has as many members as the brokers' group.max.size allows; run fewer "
        "processes of this kind, or raise it"
    ),
    82: Refusal(
        "another process has joined group {group} with "
        "ROLLCALL_GROUP_INSTANCE_ID={group_instance_id} and has taken this one's place; "
        "give each process a name of its own",
        ConfigurationError,
    ),
    87: Refusal(
        "a topic refuses the records that this process writes; look at its settings, such as "
        "cleanup.policy ('rollcall topics check')"
    ),
}
"""By Kafka's error code."""


def explain(error: BaseException, settings: Settings, process: str) -> RollcallError | None:
    """The words for an error, or for one that it came from. None: there are none.

    Args:
        process: the last word of the consumer group.
    """
    cause: BaseException | None = error
    while cause is not None:
        refusal = REFUSALS.get(getattr(cause, "errno", 0))
        if refusal is not None:
            words = refusal.words.format(group=settings.group(process), **dict(settings))
            return refusal.kind(f"{words} ({error})")
        cause = cause.__cause__
    return None
