"""The outputs of one chunk, gathered into record batches, one or more for each topic and partition."""

from __future__ import annotations

import asyncio
from itertools import zip_longest

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from app.streaming.chunks import Headers

BATCH_BYTES = 900_000
"""Most bytes of one batch before compression: under the 1,048,588 that a broker accepts by default (``message.max.bytes``), however badly it compresses."""


class BatchedOutputs:
    """Implements :class:`app.streaming.chunks.Outputs` on a producer's batches. A record larger than a batch becomes a batch by itself."""

    __slots__ = ("_batches", "_open", "_producer")

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._open: dict[tuple[str, int], BatchBuilder] = {}
        self._batches: dict[tuple[str, int], list[BatchBuilder]] = {}

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, timestamp: int | None, headers: Headers) -> None:
        """Add one record to the open batch of its topic and partition, or to a new one when that is full."""
        place = (topic, partition)
        batch = self._open.get(place)
        if batch is not None and batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is not None:
            return
        batch = self._open[place] = self._producer.create_batch()
        self._batches.setdefault(place, []).append(batch)
        if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
            raise RuntimeError(f"a record for {topic}[{partition}] does not fit into an empty batch")

    async def send(self) -> None:
        """Give all batches to the producer and wait until every one is acknowledged.

        The first batch of every partition goes first: the producer holds one batch of a partition at a time, and waiting for it would keep the others out of
        the same request.

        Raises:
            aiokafka.errors.KafkaError: a batch was refused or could not be delivered; a note says where. The transaction must not be committed.
        """
        acknowledged: dict[asyncio.Future[object], tuple[str, int]] = {}
        try:
            for batches in zip_longest(*self._batches.values()):
                for (topic, partition), batch in zip(self._batches, batches, strict=True):
                    if batch is not None:
                        batch.close()
                        try:
                            acknowledged[await self._producer.send_batch(batch, topic, partition=partition)] = (topic, partition)
                        except KafkaError as error:
                            _note(error, topic, partition)
                            raise
        finally:
            all_acknowledged = asyncio.gather(*acknowledged)
            all_acknowledged.add_done_callback(_see)  # when a batch is not taken, nobody waits for the others
        try:
            await all_acknowledged
        except KafkaError as error:
            for delivered, (topic, partition) in acknowledged.items():
                if delivered.done() and not delivered.cancelled() and delivered.exception() is error:
                    _note(error, topic, partition)
            raise


def _note(error: KafkaError, topic: str, partition: int) -> None:
    """Say with an error where it was met: few of aiokafka's do."""
    error.add_note(f"topic {topic}, partition {partition}")


def _see(done: asyncio.Future[list[object]]) -> None:
    """Let asyncio know that an error was seen."""
    if not done.cancelled():
        done.exception()
