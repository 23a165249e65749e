"""What the cluster knows of offsets: committed ones with their notes, and the bounds of partitions.
One connection for all lanes.
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
"""How long a barrier may take to be seen. It takes milliseconds: until the transaction's marker is
in the log of the group's offsets.
"""

_RETRY_SECONDS = 0.02


class Committed(NamedTuple):
    """A group's place in a partition."""

    offset: int | None
    """Offset of the next record; None: the group never committed here."""
    note: str
    """Free text stored beside the offset."""


class Bounds(NamedTuple):
    """Offsets of a partition: of the first record that still exists, and one past the last."""

    beginning: int
    end: int
    """The high watermark."""
    readable_end: int
    """The last stable offset: what comes behind belongs to transactions that are open."""


class Offsets:
    """Reads offsets. Every method raises :class:`aiokafka.errors.KafkaError` when the cluster does
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
        """How many brokers the cluster has, as far as is known."""
        return len(self._admin._client.cluster.brokers())

    async def reach(self) -> None:
        """Ask one of the brokers that are known for nothing but an answer."""
        await self._admin.describe_cluster()

    async def absent(self, topics: Collection[str]) -> set[str]:
        """Those of some topics that are not there, as one of the brokers says."""
        return set(topics) - set((await describe_topics(self._admin, topics)).topics)

    async def proven(self, partitions: Collection[TP], barrier: Barrier) -> dict[TP, Committed]:
        """The group's committed offsets, with their notes, from an answer that is not older than a
        barrier.

        Raises:
            UnprovenError: whoever answers has not seen the barrier.
            aiokafka.errors.KafkaError: the cluster does not answer.
        """
        until = time.monotonic() + PROOF_SECONDS
        while True:
            # One answer shows one state of the group: its offsets are as new as the nonce that
            # comes with them.
            found = await self.committed([*partitions, barrier.place])
            if found.pop(barrier.place).note == barrier.nonce:
                return found
            if time.monotonic() > until:
                raise UnprovenError(
                    f"no answer shows the barrier of {barrier.place.topic}, partition "
                    f"{barrier.place.partition}"
                )
            await asyncio.sleep(_RETRY_SECONDS)

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Committed]:
        """The group's committed offsets, with their notes, as whoever counts as the coordinator has
        them: it may have been deposed.
        """
        try:
            found = await self._admin.list_consumer_group_offsets(
                self._group, partitions=[KafkaPartition(*tp) for tp in partitions]
            )
        except NoError:
            found = {}
        # A coordinator that is just moving or loading answers with an error beside an empty list,
        # which aiokafka does not look at. Taken for "never committed", it would repeat the whole
        # topic. An offset that was really never committed is in the list, as -1.
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
        """The bounds of partitions, as whoever counts as their leader has them: it may have been
        deposed.
        """
        if not partitions:
            return {}
        wanted = [KafkaPartition(*tp) for tp in partitions]
        beginnings = await self._consumer.beginning_offsets(wanted)
        ends = await self._consumer.end_offsets(wanted)
        readable = await self._committed_consumer.end_offsets(wanted)
        return {
            TP(tp.topic, tp.partition): Bounds(beginnings[tp], ends[tp], readable[tp])
            for tp in wanted
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
