"""Reads the typed topics that trigger a run, from where the last complete run has read to.

The places are committed offsets of the run's group (:mod:`rollcall.reconcile.lock`), which has no
members. Without them, the topics are read from their first record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from rollcall.events.registry import REGISTRY
from rollcall.kafka.bounded import promptly, stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.reader import bounds_of, new_reader, read_to
from rollcall.kafka.topic_reading import STALL_SECONDS, kafka_errors_explained, partition_counts
from rollcall.process.topics import TopicNames
from rollcall.reconcile.lock import APPLICATION
from rollcall.reconcile.triggers import TRIGGERS, Triggers, is_settling
from rollcall.rosters.typed import Reader, typed_reader
from rollcall.settings import Settings
from rollcall.streaming.stages.stage import UnusableError


class TriggersRead(NamedTuple):
    """How far the topics were read."""

    places: Mapping[TopicPartition, int]
    """Where the next run begins, if this one is complete."""
    missing: list[str]
    """Event types without a topic."""


def trigger_topics(settings: Settings) -> dict[str, str]:
    """Event types by topic."""
    names = TopicNames(settings.topic_prefix)
    return {names.typed(REGISTRY[name]): name for name in TRIGGERS}


async def read_triggers(
    settings: Settings, bootstrap: str, triggers: Triggers, now: int
) -> TriggersRead:
    """Read what was told since the last complete run. A partition is read up to the first event
    that is too young.

    Args:
        triggers: takes the events.
        now: Canvas's time, microseconds since the epoch.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        TopicsError: this user may not read a topic.
    """
    topics, options = trigger_topics(settings), client_options(settings, bootstrap)
    with kafka_errors_explained("the events since the last run", bootstrap):
        counts = await partition_counts(options, topics)
        places = [TopicPartition(topic, n) for topic in counts for n in range(counts[topic])]
        missing = [name for topic, name in topics.items() if topic not in counts]
        if not places:
            return TriggersRead({}, missing)
        reader = new_reader(options | {"group_id": settings.group(APPLICATION)})
        try:
            await promptly(reader.start())
            reader.assign(places)
            reader.pause(*places)  # until read_to knows where to begin
            beginnings, ends = await promptly(bounds_of(reader, places))
            starts = await _starts(reader, beginnings, ends)
            takers = {topic: _Taker(name, settings.shard, now) for topic, name in topics.items()}
            next_places = dict(ends)
            clock = asyncio.get_running_loop().time
            async with asyncio.timeout(STALL_SECONDS) as patience:
                async for place, records in read_to(
                    reader,
                    starts,
                    ends,
                    lambda *_: patience.reschedule(clock() + STALL_SECONDS),
                ):
                    if next_places[place] == ends[place]:
                        taken = takers[place.topic].take(records, triggers)
                        next_places[place] = ends[place] if taken is None else taken
        finally:
            await stop_reader(reader)
    return TriggersRead(next_places, missing)


async def _starts(
    reader: AIOKafkaConsumer,
    beginnings: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """Committed offsets. A topic that was made anew, or has lost records, begins at its first."""
    starts = {}
    for place, beginning in beginnings.items():
        committed = await promptly(reader.committed(place))
        is_there = committed is not None and beginning <= committed <= ends[place]
        starts[place] = committed if is_there else beginning
    return starts


class _Taker:
    """Takes the records of a topic."""

    def __init__(self, name: str, shard: int | None, now: int) -> None:
        self._name = name
        self._read: Reader = typed_reader(name, shard)
        self._now = now

    def take(self, records: Iterable[ConsumerRecord], triggers: Triggers) -> int | None:
        """Take records up to the first one that is too young. Returns its offset. Records that the
        rosters do not take are skipped, as there.
        """
        for record in records:
            try:
                event = self._read(record)
                if is_settling(event.time, self._now):
                    return int(record.offset)
                triggers.add(self._name, event)
            except UnusableError:
                continue
        return None
