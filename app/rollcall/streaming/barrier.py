"""A lane's barrier: the read barrier that proves that what a lane begins with is current.

A broker that was suspended, or is cut off from its peers, does not know that another one was
elected in its place. For that long it answers as the group's coordinator, or as a partition's
leader, from the state that it had. No fencing helps: a producer's fencing goes through the
coordinator of transactions.

So a lane that opens writes a barrier, in one transaction of its producer: a nonce as the note
beside an offset of its group, for a partition that nobody reads (:class:`BarrierTopic`), and, if it
keeps a table, one record in the table's changelog. The lane begins only at offsets from an answer
that shows the nonce, and only with a changelog that was read beyond the record.
docs/adr/0010-a-read-barrier.md says why no such answer can be older than the barrier, and
tests/streaming/test_barrier_model.py goes through every order of events.
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

RECORD_KEY = b"rollcall.barrier"
"""Key of a barrier's record in a changelog. It is a tombstone of no row, so the log cleaner removes
it, and whoever loads the table passes it over.
"""


@dataclass(frozen=True, slots=True)
class BarrierTopic:
    """The topic for whose partitions barriers commit offsets. It stays empty: it is there because
    Kafka takes offsets of existing partitions only.
    """

    name: str
    partitions: int

    def place(self, number: int) -> TP:
        """The partition of a process's lane. Lanes that share one overwrite each other's nonces,
        and then write them again.
        """
        return TP(self.name, number % self.partitions)


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier that was written."""

    place: TP
    """The partition that has the nonce beside its committed offset."""
    nonce: str
    changelog_end: int
    """One past the offset of the record in the changelog; 0 without a changelog."""


async def write_barrier(
    producer: AIOKafkaProducer, group: str, place: TP, changelog: TP | None
) -> Barrier:
    """Write a barrier.

    Args:
        producer: started, and in no transaction.
        changelog: of the lane's table, if it keeps one.

    Raises:
        aiokafka.errors.KafkaError: it could not be written, or nobody says where.
    """
    nonce = uuid.uuid4().hex
    await producer.begin_transaction()
    end = 0
    if changelog is not None:
        outputs = BatchedOutputs(producer)
        outputs.append(changelog.topic, changelog.partition, RECORD_KEY, None, None, [])
        ends = await outputs.send()
        if changelog not in ends:
            raise UnprovenError(
                f"the leader of {changelog.topic}, partition {changelog.partition}, does not say "
                "where it wrote"
            )
        end = ends[changelog]
    await producer.send_offsets_to_transaction(
        {KafkaPartition(*place): OffsetAndMetadata(0, nonce)}, group
    )
    await producer.commit_transaction()
    return Barrier(place, nonce, end)
