"""The outputs of one chunk, gathered into record batches, one or more for each topic and partition."""

from __future__ import annotations

import asyncio
import sys
from itertools import zip_longest

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from backports.zstd import ZstdCompressor

from app.streaming.chunks import Headers

BATCH_BYTES = 900_000
"""Most bytes of one batch before compression: under the 1,048,588 that a broker accepts by default (``message.max.bytes``), however badly it compresses."""


_ZSTD_LEVEL = 1
"""A fifth faster than aiokafka's 3, and 4 % larger."""

_compressor = ZstdCompressor(level=_ZSTD_LEVEL)


def _compress(data: bytes) -> bytes:
    """A zstd frame. With one compressor for all batches, a small one takes a third less time than with aiokafka's, which makes a new one for each."""
    return _compressor.compress(data, ZstdCompressor.FLUSH_FRAME)


sys.modules[DefaultRecordBatchBuilder.__module__].zstd_encode = _compress  # type: ignore[attr-defined]


class _OpenBatch:
    """A batch that is being filled, without the two calls of Python (``message_accumulator.py:43`` and ``:55``) that aiokafka puts before its builder in C."""

    __slots__ = ("add", "batch", "records")

    def __init__(self, batch: BatchBuilder) -> None:
        self.batch = batch
        self.add = batch._builder.append
        self.records = 0

    def close(self) -> BatchBuilder:
        """The batch as aiokafka sends it."""
        self.batch._relative_offset = self.records
        self.batch.close()
        return self.batch


class BatchedOutputs:
    """Implements :class:`app.streaming.chunks.Outputs` on a producer's batches. A record larger than a batch becomes a batch by itself."""

    __slots__ = ("_batches", "_open", "_producer")

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._open: dict[tuple[str, int], _OpenBatch] = {}
        self._batches: dict[tuple[str, int], list[_OpenBatch]] = {}

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, timestamp: int | None, headers: Headers) -> None:
        """Add one record to the open batch of its topic and partition, or to a new one when that is full."""
        place = (topic, partition)
        batch = self._open.get(place)
        if batch is None or batch.add(batch.records, timestamp, key, value, headers) is None:
            batch = self._open[place] = _OpenBatch(self._producer.create_batch())
            self._batches.setdefault(place, []).append(batch)
            if batch.add(0, timestamp, key, value, headers) is None:
                raise RuntimeError(f"a record for {topic}[{partition}] does not fit into an empty batch")
        batch.records += 1

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
                        try:
                            acknowledged[await self._producer.send_batch(batch.close(), topic, partition=partition)] = (topic, partition)
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
