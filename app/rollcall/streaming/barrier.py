"""Read barrier: proves that a lane starts from current state.

A broker that was suspended or partitioned away does not know that another one was elected in its
place. Until it knows, it answers as group coordinator or partition leader from its old state.
Fencing does not help: it goes through the transaction coordinator.

So an opening lane writes a barrier in one transaction of its producer: a nonce, as the note beside
an offset of its group, for a partition without readers (:class:`BarrierTopic`); and, if it has a
table, one record in the changelog. The lane accepts only offsets from an answer that shows the
nonce, and only a changelog that was read past the record. docs/adr/0010-a-read-barrier.md shows why
such an answer cannot be older than the barrier. tests/streaming/test_barrier_model.py checks every
order of events.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.leaders import UnprovenError
from rollcall.record import NO_HEADERS

RECORD_KEY = b"rollcall.barrier"
"""Key of a barrier's record in a changelog. The record is a tombstone without a row: the log
cleaner removes it, and loading a table ignores it.
"""


@dataclass(frozen=True, slots=True)
class BarrierTopic:
    """Topic whose partitions hold the offsets of barriers. Stays empty: Kafka only stores offsets
    of existing partitions.
    """

    name: str
    partitions: int

    def partition_for(self, number: int) -> TP:
        """The partition for a lane. Lanes that share one overwrite each other's nonces, and write
        them again.
        """
        return TP(self.name, number % self.partitions)


@dataclass(frozen=True, slots=True)
class Barrier:
    """A written barrier."""

    tp: TP
    """Partition with the nonce beside its committed offset."""
    nonce: str
    changelog_end: int
    """Offset after the record in the changelog; 0 without a changelog."""


async def write_barrier(
    producer: AIOKafkaProducer, group: str, tp: TP, changelog: TP | None
) -> Barrier:
    """Write a barrier.

    Args:
        producer: started, without an open transaction.
        changelog: of the lane's table, if it has one.

    Raises:
        aiokafka.errors.KafkaError: it could not be written, or its offset is unknown.
    """
    nonce = uuid.uuid4().hex
    await producer.begin_transaction()
    end = 0
    if changelog is not None:
        outputs = BatchedOutputs(producer)
        outputs.append(changelog.topic, changelog.partition, RECORD_KEY, None, None, NO_HEADERS)
        ends = await outputs.send()
        if changelog not in ends:
            raise UnprovenError(
                f"the leader of {changelog.topic}, partition {changelog.partition}, does not tell "
                "the offset of its record"
            )
        end = ends[changelog]
    await producer.send_offsets_to_transaction(
        {KafkaPartition(*tp): OffsetAndMetadata(0, nonce)}, group
    )
    await producer.commit_transaction()
    return Barrier(tp, nonce, end)
