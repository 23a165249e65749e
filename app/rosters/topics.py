"""The topics of the roster application: what it reads, what its stages tell each other, its changelogs, and the rosters."""

from __future__ import annotations

from dataclasses import dataclass

from app.rosters.registry import stages
from app.settings import Settings
from app.streaming.stage import Stage
from app.topics import DAY_MS, NEVER_TOO_LATE, TopicNames, TopicPlan, plan_barrier_topic, plan_router_topics

RECORD_BYTES = 524_288
"""What these topics must take: :data:`app.rosters.internal.MOST_SLOTS` times what one upstream key can say, two registers of
:data:`app.rosters.registers.MOST_REGISTER_BYTES`."""

TOMBSTONE_DAYS = 30
"""So long a follower of the rosters, or a stage, may be away and still see what was removed. Kafka's default is one day."""

SEGMENT_BYTES = 64 * 1024**2
"""The last segment of a log is never compacted. With Kafka's default of 1 GB, a table would be loaded from up to so much of old rows."""


@dataclass(frozen=True, slots=True)
class RosterTopics:
    """Names in a stage's declaration to full names."""

    names: TopicNames
    group: str
    """The consumer group, with which the names of internal topics begin."""

    def full(self, topic: str) -> str:
        """``events.…`` and ``rosters.…`` are everybody's; what stages tell each other is internal."""
        return f"{self.names.prefix}.{topic}" if topic.startswith(("events.", "rosters.")) else f"{self.group}-{topic}"

    def changelog(self, stage: Stage) -> str:
        """The changelog of a stage's table, as Faust names it."""
        return f"{self.group}-{stage.name}-changelog"


def roster_topics(settings: Settings) -> RosterTopics:
    """The names of the topics."""
    return RosterTopics(TopicNames(settings.topic_prefix), settings.group("rosters"))


def plan_roster_topics(settings: Settings) -> tuple[TopicPlan, ...]:
    """The topics of the roster application. The typed topics and the dead letters are also the router's."""
    topics = roster_topics(settings)
    config = {
        "cleanup.policy": "compact",
        "delete.retention.ms": str(TOMBSTONE_DAYS * DAY_MS),
        "segment.bytes": str(SEGMENT_BYTES),
        "min.cleanable.dirty.ratio": "0.3",
        "message.timestamp.after.max.ms": NEVER_TOO_LATE,
    }
    router = {plan.name: plan for plan in plan_router_topics(settings)}
    names: dict[str, None] = {}
    for stage in stages(settings.shard):
        names |= dict.fromkeys(map(topics.full, stage.inputs)) | dict.fromkeys(map(topics.full, stage.outputs)) | {topics.changelog(stage): None}
    names[topics.names.dead_letter] = None
    plans = [router.get(name) or TopicPlan(name, settings.partitions, config, record_bytes=RECORD_BYTES) for name in names]
    return (*plans, plan_barrier_topic(topics.group, settings.partitions * len(stages(settings.shard))))
