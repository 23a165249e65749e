"""Sending records to the raw topic, as a bridge does: in order for each partition, and done when
the cluster has them all.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from aiokafka import TopicPartition

from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.sender import open_sender
from rollcall.sandbox.canvas.traffic import TrafficRecord

CHUNK_RECORDS = 5_000
"""Records that are made into batches at once: enough to fill a batch for each of a few partitions,
few enough that the cluster does not wait for more.
"""


async def send_records(
    client_options: Mapping[str, Any],
    topic: str,
    records: Iterable[TrafficRecord],
    *,
    keep_timestamps: bool = False,
    on_sent: Callable[[int], object] = lambda count: None,
) -> int:
    """Send records and return how many, when all are acknowledged by all replicas.

    Args:
        client_options: how to reach the cluster (:func:`rollcall.kafka.client.client_options`).
        topic: it must exist.
        records: a record with a key goes to the key's partition, as with a Java producer, one
            without to the next partition in turn.
        keep_timestamps: use the records' own timestamps instead of the time of sending. A topic's
            retention deletes old ones soon.
        on_sent: told after each chunk how many are acknowledged so far.

    Raises:
        aiokafka.errors.KafkaError: the cluster cannot be reached, or refuses a batch.
    """
    in_flight: asyncio.Task[dict[TopicPartition, int]] | None = None
    async with open_sender(client_options) as producer:
        try:
            count = len(await producer.partitions_for(topic))
            partition_of, turn = partitioner(count), itertools.cycle(range(count))
            remaining = iter(records)
            acknowledged = sending = 0
            while chunk := list(islice(remaining, CHUNK_RECORDS)):
                outputs = BatchedOutputs(producer)
                for key, value, headers, timestamp_ms, _expected in chunk:
                    partition = next(turn) if key is None else partition_of(key)
                    outputs.append(
                        topic,
                        partition,
                        key,
                        value,
                        timestamp_ms if keep_timestamps else None,
                        list(headers),
                    )
                if in_flight is not None:
                    await in_flight
                    acknowledged += sending
                    on_sent(acknowledged)
                in_flight, sending = asyncio.create_task(outputs.send()), len(chunk)
                await asyncio.sleep(0)  # so that it is on its way while the next chunk is made
            if in_flight is not None:
                await in_flight
                acknowledged += sending
                on_sent(acknowledged)
            return acknowledged
        finally:
            if in_flight is not None:
                in_flight.cancel()  # whoever gives up does not wait for it


async def send_at_rate(
    client_options: Mapping[str, Any], topic: str, records: Iterable[TrafficRecord], rate: float
) -> int:
    """Send so many records a second, and return how many, when there are no more. Raises as
    :func:`send_records`.
    """
    remaining, began, sent = iter(records), time.monotonic(), 0
    # The records of a second at once; at low rates one record at a time.
    while batch := list(islice(remaining, max(1, int(rate)))):
        await asyncio.sleep(began + sent / rate - time.monotonic())
        sent += await send_records(client_options, topic, batch)
    return sent
