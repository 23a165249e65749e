"""Reading partitions to an end that is known, without a group: what is committed, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from rollcall.kafka.bounded import promptly

FETCH_BYTES = 4 * 1024**2
"""Most bytes of a partition in one fetch, as stored (compressed)."""

MOST_RECORDS = 2_000
"""Records that are handed over before the process looks after something else."""

POLL_MS = 200

METADATA_AGE_MS = 5_000
"""How long another leader may go unnoticed: one that was deposed without noticing answers, with
nothing new.
"""


def new_reader(
    client_options: Mapping[str, Any], *, out_of_range: str = "earliest"
) -> AIOKafkaConsumer:
    """A consumer without a group that reads what is committed. To be started, and stopped in the
    end.

    Args:
        out_of_range: what to do at an offset that the log does not have: go to the ``earliest``
            one; ``none``: fail.
    """
    return AIOKafkaConsumer(
        **client_options,
        enable_auto_commit=False,
        auto_offset_reset=out_of_range,
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=POLL_MS,
        metadata_max_age_ms=METADATA_AGE_MS,
    )


async def bounds_of(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Where partitions begin, and where they end: for a reader of what is committed, before the
    first transaction that is open.
    """
    return await reader.beginning_offsets(places), await reader.end_offsets(places)


async def positions_of(
    reader: AIOKafkaConsumer, places: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The offsets that a reader has come to."""
    return {place: await reader.position(place) for place in places}


async def read_to(
    reader: AIOKafkaConsumer,
    beginnings: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    on_position: Callable[[TopicPartition, int], object],
) -> AsyncIterator[tuple[TopicPartition, Sequence[ConsumerRecord]]]:
    """Hand over all records of partitions, from one offset up to another, some at a time, in the
    order of each partition.

    The last offset of a log can be a transaction's marker, and compaction leaves gaps anywhere. So
    what tells the end is the position of the reader, never a record.

    Args:
        reader: started, and assigned these partitions, if not only these.
        on_position: told whenever the reader has got on in a partition.

    Raises:
        aiokafka.errors.KafkaError, TimeoutError: the cluster does not answer.
    """
    positions = dict(beginnings)
    for place, position in positions.items():
        reader.seek(place, position)
        reader.resume(place)
    while unfinished := [place for place in positions if positions[place] < ends[place]]:
        for place, records in (
            await promptly(
                reader.getmany(*unfinished, timeout_ms=POLL_MS, max_records=MOST_RECORDS)
            )
        ).items():
            # Others may write meanwhile, and a fetch knows no end.
            yield (
                place,
                records
                if records[-1].offset < ends[place]
                else [record for record in records if record.offset < ends[place]],
            )
        for place, position in (await promptly(positions_of(reader, unfinished))).items():
            if position != positions[place]:
                positions[place] = position
                on_position(place, position)
            if position >= ends[place]:
                reader.pause(place)
        await asyncio.sleep(0)  # as long as something is fetched, nothing of the above gives way
