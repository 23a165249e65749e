"""Sends records to the raw topic like a bridge: in order for each partition, until the cluster has
acknowledged all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from aiokafka import TopicPartition

from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.sender import open_sender
from rollcall.record import encode_headers
from rollcall.sandbox.canvas.traffic import TrafficRecord

CHUNK_RECORDS = 5_000
"""Number of records that are batched together: enough to fill a batch for a few partitions, few
enough that the cluster does not wait.
"""


async def send_records(
    client_options: Mapping[str, Any],
    topic: str,
    records: Iterable[TrafficRecord],
    *,
    keep_timestamps: bool = False,
    on_sent: Callable[[int], object] = lambda count: None,
) -> int:
    """Send records, wait for the acknowledgement of all replicas, and return their number.

    Args:
        client_options: see :func:`rollcall.kafka.client.client_options`.
        topic: an existing topic.
        records: a record with a key goes to the partition of Java's default partitioner, one
            without to the next partition in turn.
        keep_timestamps: use the records' timestamps instead of the time of sending. Kafka soon
            deletes records that are older than the topic's retention.
        on_sent: takes the number of acknowledged records after each chunk.

    Raises:
        aiokafka.errors.KafkaError: the cluster does not answer, or refuses a batch.
    """
    in_flight: asyncio.Task[dict[TopicPartition, int]] | None = None
    async with open_sender(client_options) as producer:
        try:
            count = len(await producer.partitions_for(topic))
            partition_of, next_partition = partitioner(count), itertools.cycle(range(count))
            remaining = iter(records)
            acknowledged = sending = 0
            while chunk := list(islice(remaining, CHUNK_RECORDS)):
                outputs = BatchedOutputs(producer)
                for key, value, headers, timestamp_ms, _expected in chunk:
                    partition = next(next_partition) if key is None else partition_of(key)
                    outputs.append(
                        topic,
                        partition,
                        key,
                        value,
                        timestamp_ms if keep_timestamps else None,
                        encode_headers(headers),
                    )
                if in_flight is not None:
                    await in_flight
                    acknowledged += sending
                    on_sent(acknowledged)
                in_flight, sending = asyncio.create_task(outputs.send()), len(chunk)
                await asyncio.sleep(0)  # start sending before the next chunk is built
            if in_flight is not None:
                await in_flight
                acknowledged += sending
                on_sent(acknowledged)
            return acknowledged
        finally:
            if in_flight is not None:
                in_flight.cancel()  # do not wait for it after an error
