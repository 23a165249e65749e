"""A producer for somebody who sends records for a while: in order for each partition, acknowledged
by all replicas, none twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from rollcall.kafka.bounded import promptly

STOP_SECONDS = 5.0
"""A producer that still has records for a cluster that does not answer would wait for it."""


@contextlib.asynccontextmanager
async def open_sender(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    """A producer for :class:`rollcall.kafka.batches.BatchedOutputs`, started, and stopped in the
    end.

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
