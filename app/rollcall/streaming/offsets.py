"""Offsets from the cluster: committed offsets with their notes, and bounds of partitions. One
connection for all lanes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, NoError
from faust.types import TP

from rollcall.kafka.bounded import close, stop_reader
from rollcall.kafka.leaders import UnprovenError, proven_ends
from rollcall.kafka.topic_ids import describe_topics
from rollcall.streaming.barrier import Barrier

REQUEST_MS = 10_000

PROOF_SECONDS = 3.0
"""Time limit for an answer to show a barrier. It takes milliseconds: until the transaction's marker
is in the log of the group's offsets.
"""

_RETRY_SECONDS = 0.02


class Committed(NamedTuple):
    """Committed offset of a group in a partition."""

    offset: int | None
    """Offset of the next record; None: the group has never committed here."""
    note: str
    """Free text stored beside the offset."""


class Bounds(NamedTuple):
    """Bounds of a partition: offset of its first record, and offset after its last one."""

    beginning: int
    end: int
    """The high watermark."""
    readable_end: int
    """The last stable offset: later records belong to open transactions."""


class Offsets:
    """Reads offsets. Every method raises :class:`aiokafka.errors.KafkaError` if the cluster does
    not answer.
    """

    def __init__(self, group: str, client_options: Mapping[str, Any]) -> None:
        self._group = group
        self._client_options = client_options
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._admin = AIOKafkaAdminClient(**self._client_options, request_timeout_ms=REQUEST_MS)
            stack.push_async_callback(lambda: close(self._admin.close()))
            await self._admin.start()
            self._consumer = await self._new_consumer(stack, "read_uncommitted")
            self._committed_consumer = await self._new_consumer(stack, "read_committed")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._stack.aclose()

    @property
    def brokers(self) -> int:
        """Number of known brokers."""
        return len(self._admin._client.cluster.brokers())

    async def ping(self) -> None:
        """Ping one of the known brokers."""
        await self._admin.describe_cluster()

    async def missing_topics(self, topics: Collection[str]) -> set[str]:
        """The topics that do not exist, according to one of the brokers."""
        return set(topics) - set((await describe_topics(self._admin, topics)).topics)

    async def proven(self, partitions: Collection[TP], barrier: Barrier) -> dict[TP, Committed]:
        """Committed offsets of the group, with notes, from an answer that is not older than a
        barrier.

        Raises:
            UnprovenError: the coordinator's answer does not show the barrier.
            aiokafka.errors.KafkaError: the cluster does not answer.
        """
        until = time.monotonic() + PROOF_SECONDS
        while True:
            # One answer shows one state of the group: its offsets are as recent as its nonce.
            found = await self.committed([*partitions, barrier.tp])
            if found.pop(barrier.tp).note == barrier.nonce:
                return found
            if time.monotonic() > until:
                raise UnprovenError(
                    f"no answer shows the barrier in {barrier.tp.topic}, partition "
                    f"{barrier.tp.partition}"
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Committed]:
        """Committed offsets of the group, with notes, from the current coordinator, which may be
        deposed.
        """
        try:
            found = await self._admin.list_consumer_group_offsets(
                self._group, partitions=[KafkaPartition(*tp) for tp in partitions]
            )
        except NoError:
            found = {}
        # A coordinator that is moving or loading answers with an error and an empty list, and
        # aiokafka ignores the error. Read as "never committed", that would repeat the whole topic.
        # An offset that was never committed is in the list, as -1.
        if not all(KafkaPartition(*tp) in found for tp in partitions):
            raise GroupCoordinatorNotAvailableError(
                f"the coordinator of group {self._group} gave no offsets"
            )
        metas = {tp: found[KafkaPartition(*tp)] for tp in partitions}
        return {
            tp: Committed(meta.offset if meta.offset >= 0 else None, meta.metadata or "")
            for tp, meta in metas.items()
        }

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, Bounds]:
        """Bounds of partitions from their current leaders, which may be deposed."""
        if not partitions:
            return {}
        kafka_partitions = [KafkaPartition(*tp) for tp in partitions]
        beginnings = await self._consumer.beginning_offsets(kafka_partitions)
        ends = await self._consumer.end_offsets(kafka_partitions)
        readable = await self._committed_consumer.end_offsets(kafka_partitions)
        return {
            TP(tp.topic, tp.partition): Bounds(beginnings[tp], ends[tp], readable[tp])
            for tp in kafka_partitions
        }

    async def proven_ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        """See :func:`rollcall.kafka.leaders.proven_ends`."""
        ends = await proven_ends(self._admin, partitions)
        return {tp: ends[KafkaPartition(*tp)] for tp in partitions}

    async def _new_consumer(self, stack: AsyncExitStack, isolation_level: str) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._client_options,
            request_timeout_ms=REQUEST_MS,
            enable_auto_commit=False,
            isolation_level=isolation_level,
        )
        stack.push_async_callback(stop_reader, consumer)
        await consumer.start()
        return consumer
