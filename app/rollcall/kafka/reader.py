"""Reads partitions to a known end, without a consumer group: committed records, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from rollcall.kafka.bounded import promptly

FETCH_BYTES = 4 * 1024**2
"""Maximum bytes of a partition in one fetch, as stored (compressed)."""

MAX_RECORDS = 2_000
"""Maximum records in one step, after which other tasks run."""

POLL_MS = 200

METADATA_AGE_MS = 5_000
"""How long a new leader may go unnoticed. A deposed leader answers, but without new records."""


def new_reader(
    client_options: Mapping[str, Any], *, out_of_range: str = "earliest"
) -> AIOKafkaConsumer:
    """A consumer without a group that reads committed records. The caller starts and stops it.

    Args:
        out_of_range: at an offset that the log does not have: ``earliest``: go to the first one;
            ``none``: fail.
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
    reader: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Beginnings and ends of partitions. For a reader of committed records the end is before the
    first open transaction.
    """
    return await reader.beginning_offsets(partitions), await reader.end_offsets(partitions)


async def positions_of(
    reader: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Current positions of a reader."""
    return {tp: await reader.position(tp) for tp in partitions}


async def read_to(
    reader: AIOKafkaConsumer,
    beginnings: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    on_position: Callable[[TopicPartition, int], object],
) -> AsyncIterator[tuple[TopicPartition, Sequence[ConsumerRecord]]]:
    """Yield all records of partitions between two offsets, in batches, in the order of each
    partition.

    The last offset of a log can be a transaction marker, and compaction leaves gaps anywhere. So
    the reader's position shows the end, never a record.

    Args:
        reader: started, and assigned at least these partitions.
        on_position: called when the reader's position in a partition changes.

    Raises:
        aiokafka.errors.KafkaError, TimeoutError: the cluster does not answer.
    """
    positions = dict(beginnings)
    for tp, position in positions.items():
        reader.seek(tp, position)
        reader.resume(tp)
    while unfinished := [tp for tp in positions if positions[tp] < ends[tp]]:
        for tp, records in (
            await promptly(reader.getmany(*unfinished, timeout_ms=POLL_MS, max_records=MAX_RECORDS))
        ).items():
            # Others may write meanwhile: a fetch may go past the end.
            yield (
                tp,
                records
                if records[-1].offset < ends[tp]
                else [record for record in records if record.offset < ends[tp]],
            )
        for tp, position in (await promptly(positions_of(reader, unfinished))).items():
            if position != positions[tp]:
                positions[tp] = position
                on_position(tp, position)
            if position >= ends[tp]:
                reader.pause(tp)
        await asyncio.sleep(0)  # with fetched data, nothing above yields to the event loop
