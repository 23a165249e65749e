"""Outputs of one chunk as record batches, one or more per topic and partition."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from itertools import zip_longest

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from rollcall.kafka.encoding import (
    NO_PRODUCER,
    ProducerState,
    PythonRecordBatch,
    RecordBatch,
    RecordBatches,
    seal,
)
from rollcall.record import EncodedHeaders

BATCH_BYTES = 900_000
"""Maximum size of one batch before compression. Even an incompressible batch stays under the
broker's default limit of 1,048,588 (``message.max.bytes``).
"""


class GatheredBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka has no types
    """Encoded records as a batch that aiokafka sends. Replaces all of ``message_accumulator.py:17``
    but its name, which aiokafka checks.
    """

    def __init__(self, records: RecordBatch | PythonRecordBatch, *, transactional: bool) -> None:
        self._records: RecordBatch | PythonRecordBatch | None = records
        self._count = records.count
        self._transactional = transactional
        self._producer = NO_PRODUCER
        self._sealed = bytearray()

    def append(self, **_record: object) -> None:
        """Always None: the batch is full."""

    def close(self) -> None:
        """Nothing to do: it is created closed."""

    def closed(self) -> bool:
        """True: it is created closed."""
        return True

    def record_count(self) -> int:
        """Number of records."""
        return self._count

    def size(self) -> int:
        """Size in bytes: of the sealed batch, or of the records before that."""
        return len(self._sealed if self._records is None else self._records.encoded)

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        assert self._records is not None, "it was sealed in another's name"
        self._producer = ProducerState(producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._records is not None:
            self._sealed = seal(self._records, self._producer, transactional=self._transactional)
            self._records = None  # free the records: they take much more memory
        return self._sealed


class BatchedOutputs:
    """Implements :class:`rollcall.streaming.chunks.Outputs` on a producer's batches. Always
    compresses with zstd, so a record too large for the typed topics still fits through a raw topic
    with Kafka's default limit.
    """

    __slots__ = ("_batch_bytes", "_batches", "_producer")

    def __init__(self, producer: AIOKafkaProducer, *, batch_bytes: int = BATCH_BYTES) -> None:
        self._producer = producer
        self._batch_bytes = batch_bytes
        self._batches: dict[tuple[str, int], RecordBatches] = {}

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: EncodedHeaders,
    ) -> None:
        """Add a record to the last batch of its topic and partition, or to a new one if that is
        full.
        """
        place = (topic, partition)
        batches = self._batches.get(place)
        if batches is None:
            batches = self._batches[place] = RecordBatches(self._batch_bytes)
        batches.append(timestamp, key, value, headers)

    async def send(self) -> dict[TopicPartition, int]:
        """Send all batches and wait until every one is acknowledged. Returns the offset after the
        last record, by partition.

        The first batch of every partition goes first: the producer holds one batch per partition at
        a time, and waiting for it would keep other partitions out of the same request.

        Raises:
            aiokafka.errors.KafkaError: a batch was refused or not delivered; a note names the
                partition. The transaction must not be committed.
        """
        transactions = self._producer._txn_manager
        transactional = transactions is not None and transactions.transactional_id is not None
        places = list(self._batches)
        rounds = zip_longest(*(place.batches for place in self._batches.values()))
        in_turn = [
            (place, GatheredBatch(batch, transactional=transactional))
            for batches in rounds
            for place, batch in zip(places, batches, strict=True)
            if batch
        ]
        self._batches = {}  # each batch frees its records when it is compressed
        await self._learn_topics({topic for topic, _ in places})
        acknowledged: dict[asyncio.Future[RecordMetadata], tuple[TopicPartition, int]] = {}
        try:
            for place, batch in in_turn:
                tp = TopicPartition(*place)
                try:
                    acknowledged[
                        await self._producer.send_batch(batch, tp.topic, partition=tp.partition)
                    ] = (tp, batch.record_count())
                except KafkaError as error:
                    _note(error, tp)
                    raise
        finally:
            all_acknowledged = asyncio.gather(*acknowledged)
            # if a batch is refused, nobody awaits the others
            all_acknowledged.add_done_callback(_see)
        try:
            await all_acknowledged
        except KafkaError as error:
            for delivered, (tp, _count) in acknowledged.items():
                if (
                    delivered.done()
                    and not delivered.cancelled()
                    and delivered.exception() is error
                ):
                    _note(error, tp)
            raise
        written = [
            (tp, delivered.result().offset, count)
            for delivered, (tp, count) in acknowledged.items()
        ]
        # A leader that already has the batch, and no longer knows its offset, answers -1.
        return {tp: first + count for tp, first, count in written if first >= 0}

    async def _learn_topics(self, topics: Set[str]) -> None:
        """Request the metadata of new topics together. A producer requests those of one topic after
        the other, and of all earlier ones each time. What fails here, it repeats.
        """
        client = self._producer.client
        new = [topic for topic in topics if client.cluster.partitions_for_topic(topic) is None]
        if len(new) > 1:
            await asyncio.gather(*map(client.add_topic, new))


def _note(error: KafkaError, tp: TopicPartition) -> None:
    """Add the partition to an error: aiokafka rarely names it."""
    error.add_note(f"topic {tp.topic}, partition {tp.partition}")


def _see(done: asyncio.Future[list[RecordMetadata]]) -> None:
    """Mark an error as retrieved, for asyncio."""
    if not done.cancelled():
        done.exception()
