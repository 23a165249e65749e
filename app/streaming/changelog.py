"""Loading a table's partition from its changelog: what is committed, from the beginning to the end as of now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from faust.types import TP

from app.streaming.offsets import Bounds

FETCH_BYTES = 4 * 1024**2
"""Most bytes in one fetch, as stored (compressed)."""

MOST_RECORDS = 2_000
"""Records that are loaded before the process looks after something else."""

POLL_MS = 200


async def load_changelog(
    client_options: Mapping[str, Any], tp: TP, bounds: Bounds, load: Callable[[bytes | None, bytes | None], None], on_remaining: Callable[[int], None]
) -> int:
    """Load a changelog partition, to which nobody writes meanwhile, and return how many records there were.

    The last offset of a log can be a transaction's marker, and compaction leaves gaps anywhere. So what tells the end is the position of the reader, never a
    record. And it is the high watermark that must be reached, not the last stable offset: whoever had the partition is fenced, so no transaction stays open.

    Args:
        load: takes key and value (None: the row is gone), in the order in which they were written.
        on_remaining: told how many offsets are left to be read, at most.

    Raises:
        aiokafka.errors.KafkaError: the cluster does not answer.
    """
    place = KafkaPartition(*tp)
    position, count = bounds.beginning, 0
    on_remaining(bounds.end - position)
    if position >= bounds.end:
        return 0
    consumer = AIOKafkaConsumer(
        **client_options,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=POLL_MS,
    )
    try:
        await consumer.start()
        consumer.assign([place])
        consumer.seek(place, position)
        while position < bounds.end:
            for record in (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=MOST_RECORDS)).get(place, ()):
                load(record.key, record.value)
                count += 1
            position = await consumer.position(place)
            await asyncio.sleep(0)  # as long as something is fetched, nothing of the above gives way
            on_remaining(max(bounds.end - position, 0))
        return count
    finally:
        await consumer.stop()
