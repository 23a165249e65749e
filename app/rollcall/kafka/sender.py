"""Producer for plain sending: in order per partition, acknowledged by all replicas, without
duplicates.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from rollcall.kafka.bounded import promptly

STOP_SECONDS = 5.0
"""Time limit for sending the last records: without an answer the producer would wait for ever."""


@contextlib.asynccontextmanager
async def open_sender(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer for :class:`rollcall.kafka.batches.BatchedOutputs`, stopped at the end.

    Raises:
        aiokafka.errors.KafkaError: the cluster cannot be reached.
    """
    producer = AIOKafkaProducer(**client_options, acks="all", enable_idempotence=True, linger_ms=0)
    try:
        await producer.start()
        yield producer
    finally:
        with contextlib.suppress(TimeoutError):
            await promptly(producer.stop(), STOP_SECONDS)
