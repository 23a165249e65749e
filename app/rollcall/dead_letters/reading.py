"""Reads the selected records of a topic, partition by partition, one batch for each fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from rollcall.dead_letters.selection import Selection
from rollcall.dead_letters.view import StoredRecord
from rollcall.errors import ConfigurationError
from rollcall.kafka.bounded import promptly, stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.reader import bounds_of, new_reader, read_to
from rollcall.kafka.topic_reading import STALL_SECONDS, kafka_errors_explained, partition_counts
from rollcall.kafka.topics import TopicsError
from rollcall.settings import Settings


class Batch(NamedTuple):
    """The records of one fetch."""

    read_count: int
    """Number of fetched records."""
    records: Sequence[StoredRecord]
    """The selected records."""


async def read_selected(
    settings: Settings, bootstrap: str, topic: str, selection: Selection
) -> AsyncGenerator[Batch]:
    """The committed records of a topic, by partition and offset. Close the generator when it is
    left early.

    The ends are fixed at the start: later records are left out, or a replay would never end when
    records fail again. Open transactions are not waited for.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        ConfigurationError: the topic does not have the selected partition.
        TopicsError: the topic does not exist, or this user may not read it.
    """
    options = client_options(settings, bootstrap)
    with kafka_errors_explained(topic, bootstrap):
        count = await partition_count(settings, bootstrap, topic)
        if selection.partition is not None and selection.partition >= count:
            raise ConfigurationError(
                f"{topic} has no partition {selection.partition}: its partitions are 0 to "
                f"{count - 1}"
            )
        places = [
            TopicPartition(topic, number)
            for number in range(count)
            if selection.partition in (None, number)
        ]
        reader = new_reader(options)
        try:
            await promptly(reader.start(), STALL_SECONDS)
            reader.assign(places)
            reader.pause(*places)  # read_to resumes one partition at a time
            bounds = await promptly(_bounds(reader, places, selection), STALL_SECONDS)
            for place, (first, end) in bounds.items():
                async for batch in _read(reader, place, first, end):
                    selected = [record for record in batch if selection.matches(record)]
                    yield Batch(len(batch), selected)
        finally:
            await stop_reader(reader)


async def partition_count(settings: Settings, bootstrap: str, topic: str) -> int:
    """The number of partitions of a topic.

    Raises:
        TopicsError: the topic does not exist, or this user may not see it.
        aiokafka.errors.KafkaError: the cluster does not answer.
    """
    count = (await partition_counts(client_options(settings, bootstrap), [topic])).get(topic, 0)
    if not count:
        raise TopicsError(
            f"there is no topic {topic} at {bootstrap}, or this user may not see it; 'rollcall "
            "router' creates it, and ROLLCALL_TOPIC_PREFIX names it"
        )
    return count


async def _bounds(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition], selection: Selection
) -> Mapping[TopicPartition, tuple[int, int]]:
    """First and end offset of each partition. The end is the last stable offset."""
    beginnings, ends = await bounds_of(reader, places)
    if selection.since_ms is not None:
        # This finds the first record that is new enough. Older ones can follow: timestamps are
        # those of raw records, in no order.
        for place, found in (
            await reader.offsets_for_times(dict.fromkeys(places, selection.since_ms))
        ).items():
            beginnings[place] = (
                ends[place] if found is None else max(beginnings[place], found.offset)
            )
    return {place: selection.bounds(beginnings[place], ends[place]) for place in places}


async def _read(
    reader: AIOKafkaConsumer, place: TopicPartition, first: int, end: int
) -> AsyncGenerator[Sequence[StoredRecord]]:
    """The records of one partition. Reading fails after :data:`STALL_SECONDS` without progress; the
    caller's own time does not count.
    """
    clock = asyncio.get_running_loop().time
    patience = asyncio.timeout(STALL_SECONDS)
    batches = read_to(
        reader,
        {place: first},
        {place: end},
        lambda _place, _position: patience.reschedule(clock() + STALL_SECONDS),
    )
    try:
        while True:
            async with asyncio.timeout(STALL_SECONDS) as patience:
                _place, records = await anext(batches)
            yield records
    except StopAsyncIteration:
        return
    except UnicodeDecodeError:
        where = (
            f"{place.topic}, partition {place.partition}, at or after offset "
            f"{await reader.position(place)}"
        )
        raise TopicsError(
            f"{where}: a header's name is not UTF-8, so Rollcall did not write it; skip the record "
            "with --from-offset"
        ) from None
