"""Topic plans, and how a cluster's topics compare to them. :mod:`rollcall.kafka.topic_admin` reads
the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rollcall.errors import RollcallError

DAY_MS = 86_400_000
FOR_EVER_MS = -1
"""``retention.ms`` of a topic that keeps all records."""

NO_TIMESTAMP_LIMIT = str(2**63 - 1)
"""``message.timestamp.after.max.ms`` of output topics. Output records keep the raw record's
timestamp; with Kafka's default of one hour, one producer with a wrong clock would stop the router.
"""

DEFAULT_RECORD_BYTES = 1_048_588
"""Kafka's default of ``max.message.bytes``, for clusters that do not report it."""

MIN_RECORD_BYTES = 16_384
"""Minimum for every topic: the record of a dead letter with its reason must fit."""


_CLOCK_SKEW_MS = 60_000
"""Tolerated difference between this machine's clock and a broker's."""

_MAX_TIMESTAMP_MS = 2**63 - 1

LIMITS = (
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "retention.ms",
)
"""Kafka settings behind the fields of :class:`TopicLimits`."""


class TopicsError(RollcallError):
    """The cluster's topics are not what Rollcall needs."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]
    any_partitions: bool = False
    """An existing topic may have another number of partitions: its producers decide."""
    record_bytes: int = MIN_RECORD_BYTES
    """Smallest acceptable ``max.message.bytes``."""


class TopicState(Enum):
    """How a cluster's topic compares to its plan."""

    MISSING = "missing"
    FINE = "fine"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """Limits of an existing topic. None: unknown, or no limit."""

    record_bytes: int | None = None
    """``max.message.bytes``."""
    ahead_ms: int | None = None
    """``message.timestamp.after.max.ms``: maximum distance of a timestamp into the future."""
    behind_ms: int | None = None
    """``message.timestamp.before.max.ms``: maximum distance into the past."""
    retention_ms: int | None = None
    """``retention.ms``: records with older timestamps are deleted, even recently written ones. -1:
    never.
    """


@dataclass(frozen=True, slots=True)
class TimestampWindow:
    """How far from now topics accept a record's timestamp. None: no limit."""

    ahead_ms: int | None = None
    behind_ms: int | None = None

    @classmethod
    def of(cls, topics: Sequence[TopicLimits]) -> TimestampWindow:
        """The window that all of these topics accept."""
        return cls(
            ahead_ms=min(
                (limits.ahead_ms for limits in topics if limits.ahead_ms is not None), default=None
            ),
            behind_ms=min(
                (limits.behind_ms for limits in topics if limits.behind_ms is not None),
                default=None,
            ),
        )

    def around(self, now_ms: int) -> tuple[int, int]:
        """Earliest and latest timestamp (ms) accepted now, with a margin for clock skew."""
        earliest = (
            0
            if self.behind_ms is None
            else now_ms - self.behind_ms + min(_CLOCK_SKEW_MS, self.behind_ms // 2)
        )
        latest = (
            _MAX_TIMESTAMP_MS
            if self.ahead_ms is None
            else now_ms + self.ahead_ms - min(_CLOCK_SKEW_MS, self.ahead_ms // 2)
        )
        return max(earliest, 0), latest


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """A planned topic, as found in the cluster."""

    plan: TopicPlan
    state: TopicState
    problem: str
    """What is wrong and how to correct it; empty if nothing is."""
    limits: TopicLimits
    note: str = ""
    """A difference from the plan that may be intended; empty if there is none."""
    partitions: int | None = None
    """None: the topic does not exist."""


def min_record_bytes(topics: Iterable[TopicLimits]) -> int:
    """The smallest ``max.message.bytes`` of these topics."""
    return min(
        (limits.record_bytes for limits in topics if limits.record_bytes is not None),
        default=DEFAULT_RECORD_BYTES,
    )


def barrier_topic(group: str) -> str:
    """Name of a consumer group's barrier topic."""
    return f"{group}-barrier"


def plan_barrier_topic(group: str, lanes: int) -> TopicPlan:
    """Plan of a group's barrier topic, which stays empty: see :mod:`rollcall.streaming.barrier`.

    Args:
        lanes: number of partitions. With fewer than one per lane, lanes wait for each other.
    """
    return TopicPlan(
        barrier_topic(group),
        lanes,
        {"cleanup.policy": "compact", "delete.retention.ms": str(DAY_MS)},
        any_partitions=True,
    )


def compare(plan: TopicPlan, partitions: int | None, config: Mapping[str, Any]) -> TopicFinding:
    """Compare a topic with its plan.

    Args:
        partitions: their number; None: the topic does not exist.
        config: ``cleanup.policy`` and :data:`LIMITS`, as Kafka reports them.
    """
    if partitions is None:
        return TopicFinding(
            plan, TopicState.MISSING, "missing: run 'rollcall topics apply'", TopicLimits()
        )
    problems = []
    limits = TopicLimits(*(int(config[key]) if config.get(key) else None for key in LIMITS))
    limit = limits.record_bytes
    if limit is not None and limit < plan.record_bytes:
        problems.append(
            f"takes records of {limit} bytes at most and must take {plan.record_bytes}: alter "
            "max.message.bytes"
        )
    policy, planned = config.get("cleanup.policy", ""), plan.config["cleanup.policy"]
    if partitions != plan.partitions and not plan.any_partitions:
        problems.append(
            f"has {partitions} partitions and should have {plan.partitions}, or readers would look "
            "for keys in the wrong partition: "
            f"set ROLLCALL_PARTITIONS={partitions} if all topics have so many"
        )
    if set(policy.split(",")) != set(planned.split(",")):
        problems.append(
            f"has cleanup.policy={policy} and needs {planned}: alter it with kafka-configs --alter "
            f"--topic {plan.name} --add-config cleanup.policy={planned}"
        )
    return TopicFinding(
        plan,
        TopicState.WRONG if problems else TopicState.FINE,
        "; ".join(problems),
        limits,
        "; ".join(
            filter(
                None,
                (
                    _note_on_retention(plan, limits.retention_ms),
                    _note_on_record_bytes(plan, limits.record_bytes),
                ),
            )
        ),
        partitions,
    )


def _note_on_retention(plan: TopicPlan, found_ms: int | None) -> str:
    """A note if retention differs. Operators change it on purpose, for a replay for example: the
    cluster's value is used.
    """
    planned = plan.config.get("retention.ms")
    if planned is None or found_ms is None or found_ms == int(planned):
        return ""
    return (
        f"keeps records {_in_days(found_ms)}, and the settings say {_in_days(int(planned))}; "
        f"kafka-configs --alter --topic {plan.name} --add-config retention.ms={planned} makes it so"
    )


def _note_on_record_bytes(plan: TopicPlan, found: int | None) -> str:
    """A note if a topic takes only smaller records than it would if Rollcall had created it."""
    planned = plan.config.get("max.message.bytes")
    if planned is None or found is None or found >= int(planned):
        return ""
    return (
        f"takes records of {found} bytes at most, so that large events cannot be written to it; "
        f"kafka-configs --alter --topic {plan.name} --add-config max.message.bytes={planned} "
        "changes that"
    )


def _in_days(milliseconds: int) -> str:
    return "for ever" if milliseconds == FOR_EVER_MS else f"{milliseconds / DAY_MS:.4g} days"
