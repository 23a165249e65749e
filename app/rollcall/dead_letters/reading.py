"""Reading the records that are meant, partition after partition, as many at once as one fetch
brings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from rollcall.dead_letters.letter import StoredRecord
from rollcall.dead_letters.selection import Selection
from rollcall.errors import ConfigurationError
from rollcall.kafka.bounded import promptly, stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.reader import bounds_of, new_reader, read_to
from rollcall.kafka.topic_reading import STALL_SECONDS, kafka_errors_explained, partition_counts
from rollcall.kafka.topics import TopicsError
from rollcall.settings import Settings


class Batch(NamedTuple):
    """What a fetch has brought."""

    read: int
    """How many records."""
    records: Sequence[StoredRecord]
    """Those that are meant."""


async def read_selected(
    settings: Settings, bootstrap: str, topic: str, selection: Selection
) -> AsyncGenerator[Batch]:
    """The committed records of a topic, in the order of partitions and offsets, up to the ends as
    of now. To be closed when it is left early.

    What is written meanwhile is left out, or a replay would go on for ever with what fails again.
    What belongs to a transaction that is still open is not waited for.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        ConfigurationError: the topic has no such partition.
        TopicsError: there is no such topic, or it may not be read.
    """
    options = client_options(settings, bootstrap)
    with kafka_errors_explained(topic, bootstrap):
        count = await existing_partitions(settings, bootstrap, topic)
        if selection.partition is not None and selection.partition >= count:
            raise ConfigurationError(
                f"{topic} has no partition {selection.partition}: it has those from 0 to "
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
            reader.pause(*places)  # all but the one that is being read
            bounds = await promptly(_bounds(reader, places, selection), STALL_SECONDS)
            for place, (first, end) in bounds.items():
                async for batch in _read(reader, place, first, end):
                    yield Batch(len(batch), [record for record in batch if selection.fits(record)])
        finally:
            await stop_reader(reader)


async def existing_partitions(settings: Settings, bootstrap: str, topic: str) -> int:
    """How many partitions a topic has.

    Raises:
        TopicsError: there is none, for all that this user can see.
        aiokafka.errors.KafkaError: the cluster does not answer.
    """
    count = (await partition_counts(client_options(settings, bootstrap), [topic])).get(topic, 0)
    if not count:
        raise TopicsError(
            f"there is no topic {topic} at {bootstrap}, or this user may not see it; 'rollcall "
            "router' makes it, and ROLLCALL_TOPIC_PREFIX names it"
        )
    return count


async def _bounds(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition], selection: Selection
) -> Mapping[TopicPartition, tuple[int, int]]:
    """Where to begin and to end. Of committed records the end is the last stable offset."""
    beginnings, ends = await bounds_of(reader, places)
    if selection.since_ms is not None:
        # The first record that is not older. What comes after it may well be: timestamps are those
        # of raw records, and in no order.
        for place, at in (
            await reader.offsets_for_times(dict.fromkeys(places, selection.since_ms))
        ).items():
            beginnings[place] = ends[place] if at is None else max(beginnings[place], at.offset)
    return {place: selection.bounds(beginnings[place], ends[place]) for place in places}


async def _read(
    reader: AIOKafkaConsumer, place: TopicPartition, first: int, end: int
) -> AsyncGenerator[Sequence[StoredRecord]]:
    """The records of one partition. Only reading may take no longer than :data:`STALL_SECONDS`
    without getting on; whoever takes the records may.
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
            f"{where}: a header's name is no UTF-8, so Rollcall did not write it; go on behind it "
            "by --from-offset"
        ) from None
