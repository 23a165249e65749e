"""Topics of events: names and plans. The router writes them; rosters and others read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rollcall.events.event_type import EventType
from rollcall.kafka.topics import DAY_MS, FOR_EVER_MS, NO_TIMESTAMP_LIMIT, TopicPlan
from rollcall.process.event_types import event_types
from rollcall.setting_types import FOR_EVER_DAYS
from rollcall.settings import Settings

EVENT_RECORD_BYTES = 2 * 1024**2
"""``max.message.bytes`` of topics of events, if Rollcall creates them: for an event of 1 MiB, the
most that a queue of SQS takes, with key and headers, even if it cannot be compressed.
"""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Topic names for a prefix."""

    prefix: str

    @property
    def raw(self) -> str:
        """Events from the bridge."""
        return f"{self.prefix}.raw"

    @property
    def unknown(self) -> str:
        """Events without a typed topic."""
        return f"{self.prefix}.unknown"

    @property
    def dead_letter(self) -> str:
        """Records that are no valid events."""
        return f"{self.prefix}.dead-letter"

    @property
    def typed_prefix(self) -> str:
        """Common prefix of all topics of valid events."""
        return f"{self.prefix}.events."

    @property
    def rosters_prefix(self) -> str:
        """Common prefix of all roster topics."""
        return f"{self.prefix}.rosters."

    def typed(self, event_type: EventType) -> str:
        """Valid events of one type."""
        return event_type.topic(self.prefix)


def plan_event_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """Plans of the event topics: raw, typed (of the selected event types), unknown and
    dead-letter.

    Raises:
        ConfigurationError: as in :func:`rollcall.process.event_types.event_types`.
    """
    names = TopicNames(settings.topic_prefix)
    return (
        plan_raw_topic(settings),
        *plan_typed_topics(settings, event_types(settings).selected.values()),
        _plan(settings, names.unknown, settings.retention_unknown_days),
        plan_dead_letter_topic(settings),
    )


def plan_raw_topic(settings: Settings) -> TopicPlan:
    """Plan of the raw topic."""
    return _plan(
        settings,
        TopicNames(settings.topic_prefix).raw,
        settings.retention_raw_days,
        any_partitions=True,
    )


def plan_typed_topics(settings: Settings, types: Iterable[EventType]) -> Iterator[TopicPlan]:
    """Plans of the topics of event types."""
    names = TopicNames(settings.topic_prefix)
    for event_type in types:
        yield _plan(settings, names.typed(event_type), settings.retention_typed_days)


def plan_dead_letter_topic(settings: Settings) -> TopicPlan:
    """Plan of the dead-letter topic."""
    names = TopicNames(settings.topic_prefix)
    return _plan(settings, names.dead_letter, settings.retention_dead_letter_days)


def _plan(settings: Settings, name: str, days: int, *, any_partitions: bool = False) -> TopicPlan:
    retention = FOR_EVER_MS if days == FOR_EVER_DAYS else days * DAY_MS
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(retention),
        "max.message.bytes": str(EVENT_RECORD_BYTES),
        "message.timestamp.after.max.ms": NO_TIMESTAMP_LIMIT,
    }
    return TopicPlan(name, settings.partitions, config, any_partitions)
