"""Topics of the roster application: inputs, topics between stages, changelogs and rosters."""

from __future__ import annotations

from dataclasses import dataclass

from rollcall.events.registry import REGISTRY
from rollcall.kafka.rights import Operation, Rights, on_topic, on_transactions
from rollcall.kafka.topics import DAY_MS, NO_TIMESTAMP_LIMIT, TopicPlan, plan_barrier_topic
from rollcall.process.event_types import missing_types
from rollcall.process.topics import TopicNames, plan_dead_letter_topic, plan_typed_topics
from rollcall.rosters.registry import stages, stages_by_event
from rollcall.settings import Settings
from rollcall.streaming.stages.stage import Stage

RECORD_BYTES = 524_288
"""Smallest acceptable ``max.message.bytes``: :data:`rollcall.rosters.internal.MOST_SLOTS` slots of
three registers, each of :data:`rollcall.rosters.registers.MOST_REGISTER_BYTES`.
"""

TOMBSTONE_DAYS = 30
"""Readers of the rosters, and stages, may be stopped for this time and still see removed rows.
Kafka's default is one day.
"""

SEGMENT_BYTES = 64 * 1024**2
"""Kafka never compacts the last segment of a log. With the default of 1 GB, a table would be loaded
from up to 1 GB of old rows.
"""


@dataclass(frozen=True, slots=True)
class RosterTopics:
    """Full names of the topics in stages' declarations."""

    names: TopicNames
    group: str
    """The consumer group: prefix of internal topics."""

    def full(self, topic: str) -> str:
        """The full name: ``events.…`` and ``rosters.…`` have the topic prefix; internal topics have
        the group.
        """
        return (
            f"{self.names.prefix}.{topic}"
            if topic.startswith(("events.", "rosters."))
            else f"{self.group}-{topic}"
        )

    def changelog(self, stage: Stage) -> str:
        """The changelog of a stage's table, as Faust names it."""
        return f"{self.group}-{stage.name}-changelog"


def roster_topics(settings: Settings) -> RosterTopics:
    """The application's topic names."""
    return RosterTopics(TopicNames(settings.topic_prefix), settings.group("rosters"))


def plan_roster_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """All topics of the roster application. It shares typed topics and dead letters with the
    router. They do not depend on the selected event types.
    """
    topics = roster_topics(settings)
    config = {
        "cleanup.policy": "compact",
        "delete.retention.ms": str(TOMBSTONE_DAYS * DAY_MS),
        "segment.bytes": str(SEGMENT_BYTES),
        "min.cleanable.dirty.ratio": "0.3",
        "message.timestamp.after.max.ms": NO_TIMESTAMP_LIMIT,
    }
    read = [REGISTRY[name] for name in stages_by_event()]
    shared = (*plan_typed_topics(settings, read), plan_dead_letter_topic(settings))
    planned = {plan.name: plan for plan in shared}
    names: dict[str, None] = {}
    for stage in stages(settings.shard):
        names |= (
            dict.fromkeys(map(topics.full, stage.inputs))
            | dict.fromkeys(map(topics.full, stage.outputs))
            | {topics.changelog(stage): None}
        )
    names[topics.names.dead_letter] = None
    plans = [
        planned.get(name) or TopicPlan(name, settings.partitions, config, record_bytes=RECORD_BYTES)
        for name in names
    ]
    return (
        *plans,
        plan_barrier_topic(topics.group, settings.partitions * len(stages(settings.shard))),
    )


def has_rosters(settings: Settings) -> bool:
    """Whether the installation can have rosters: every event type that they read is selected.

    Raises:
        ConfigurationError: as in :func:`rollcall.process.event_types.event_types`.
    """
    return not missing_types(settings, stages_by_event())


def rosters_rights(settings: Settings) -> Rights:
    """Minimum rights of the roster application."""
    topics = roster_topics(settings)
    read, write, configs = Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS
    acls = (
        *on_topic(topics.names.typed_prefix, read, configs),
        *on_topic(f"{topics.group}-", read, write, configs),
        *on_topic(topics.names.rosters_prefix, write, configs),
        *on_topic(topics.names.dead_letter, write, configs),
        *on_transactions(topics.group),
    )
    return Rights("rosters", acls, tuple(plan.name for plan in plan_roster_topics(settings)))


def roster_readers_rights(settings: Settings) -> Rights:
    """Minimum rights of ``rollcall roster`` and of other readers of rosters."""
    prefix = TopicNames(settings.topic_prefix).rosters_prefix
    topics = tuple(
        plan.name for plan in plan_roster_topics(settings) if plan.name.startswith(prefix)
    )
    return Rights("roster", on_topic(prefix, Operation.READ), topics)
