"""Faust's aiokafka driver, delivering chunks. Line numbers are of ``faust/transport/``.

Differences from upstream:
- Records come as one :class:`Chunk` per partition, with the fetch positions before and after it.
  The consumer's thread (:mod:`rollcall.streaming.faust.consumer_thread`) reads positions and
  records in one step, so no seek comes between them.
- A partition is read only while its lane has room: back-pressure that blocks no other partition.
- Lanes close before their partitions are revoked, and open when partitions are assigned.
- Nothing is acknowledged to Faust, and Faust commits nothing: lanes commit offsets in their
  transactions. So Faust does not check progress, either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, Protocol, cast

import faust
from faust.events import Event
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from rollcall.streaming.chunks import Chunk
from rollcall.streaming.faust.consumer_thread import ChunkConsumerThread, RecordMap


class LaneDirectory(Protocol):
    """The transport's view of the lanes."""

    def with_room(self, partitions: Collection[TP]) -> set[TP]:
        """The partitions whose lanes have room for a chunk."""

    def assign(self, partitions: Collection[TP]) -> None:
        """Open a lane for each partition; returns at once."""

    async def revoke(self) -> None:
        """Close all lanes: finish or abandon their transactions. Afterwards no lane can write."""

    def fail(self, error: BaseException) -> None:
        """Stop the process: a rebalance has failed."""

    def notify_on_room(self, callback: Callable[[], None]) -> None:
        """Set the callback for a lane that gets room for a chunk."""


class ChunkConsumer(driver.Consumer):
    """Faust's consumer: delivers chunks to the conductor, and rebalances to the lanes."""

    _thread: ChunkConsumerThread

    @property
    def _lanes(self) -> LaneDirectory:
        return cast(ChunkTransport, self.transport).lanes

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        # Replaces drivers/aiokafka.py:237.
        transport = cast(ChunkTransport, self.transport)
        thread = ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.max_records = transport.max_records
        thread.max_bytes = transport.max_bytes
        thread.client_options = transport.client_options
        self._lanes.notify_on_room(thread.wake)
        return thread

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Extends consumer.py:642. With the eager protocol all partitions are revoked before the new
        # assignment.
        with self._failing():
            await self._lanes.revoke()
            await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # Extends consumer.py:668.
        with self._failing():
            self._lanes.assign(assigned)
            await super().on_partitions_assigned(assigned, generation_id)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Fail the process on an error in a rebalance listener. aiokafka only logs it, and the
        process would hold partitions that nobody consumes.
        """
        try:
            yield
        except Exception as error:
            self._lanes.fail(error)
            raise

    # upstream's signature
    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109
        # Extends consumer.py:1437. Nothing is read during a rebalance: it would be discarded.
        ready = set() if self.app.rebalancing else self._lanes.with_room(active_partitions or ())
        if not ready:
            await asyncio.sleep(0.01)
            return {}
        return await super()._getmany(ready, timeout)

    async def _drain_messages(self, fetcher: Any) -> None:
        # Replaces consumer.py:1180, where each message costs four tasks. A chunk dropped here is
        # not lost: its lane sees the gap and seeks back.
        while not (self.should_stop or fetcher.should_stop):
            try:
                chunks, _active = await self._wait_next_records(1.0)
            except self.consumer_stopped_errors:
                if self.app.should_stop:
                    return
                raise
            generation = self.app.consumer_generation_id
            for tp, (chunk,) in (chunks or {}).items():
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    break
                await self.wait_first(
                    self.callback(self._to_chunk_message(tp, chunk, generation)),
                    self.suspend_flow.wait(),
                )
            await asyncio.sleep(0)

    async def verify_all_partitions_active(self) -> None:
        # Replaces consumer.py:926. It logs an error every 7 s for each partition that Faust itself
        # has not committed or polled for 5 minutes. Lanes commit and fetch without Faust, so every
        # healthy partition would be an error. watchdog.py checks progress.
        return

    async def perform_seek(self) -> None:
        # Replaces consumer.py:565, which requests the committed offset of one partition after the
        # other. Nothing is read meanwhile, and the lanes seek their positions.
        return

    @staticmethod
    def _to_chunk_message(tp: TP, chunk: Chunk, generation: int) -> ConsumerMessage:
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=chunk.position,
            timestamp=0.0,
            timestamp_type=0,
            headers=[],
            key=b"",
            value=cast(
                bytes, chunk
            ),  # Faust does not look at it; ChunkSchema makes it the event's value
            checksum=None,
            tp=tp,
            generation_id=generation,
        )

    async def seek_exact(self, tp: TP, offset: int) -> None:
        """Continue reading a partition at ``offset``."""
        await self._thread.seek_exact(tp, offset)

    @property
    def has_started(self) -> bool:
        """Whether there is a consumer to check."""
        return self._thread.has_started

    async def check_membership(self) -> bool:
        """See :meth:`ChunkConsumerThread.check_membership`."""
        return await self._thread.check_membership()


class IdleProducer(driver.Producer):
    """Faust's own producer, without a connection: lanes write, each with its own transactional
    producer.
    """

    async def on_start(self) -> None:
        # Replaces drivers/aiokafka.py:1383.
        return

    async def on_stop(self) -> None:
        # Replaces drivers/aiokafka.py:1390.
        return

    async def flush(self) -> None:
        # Replaces drivers/aiokafka.py:1487.
        return


class ChunkTransport(driver.Transport):
    """Transport for a Faust application: ``app.transport = ChunkTransport(...)``."""

    Consumer: ClassVar[type[ChunkConsumer]] = ChunkConsumer
    Producer: ClassVar[type[IdleProducer]] = IdleProducer

    def __init__(
        self,
        app: faust.App,
        *,
        lanes: LaneDirectory,
        max_records: int,
        max_bytes: int,
        client_options: Mapping[str, Any],
    ) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.lanes = lanes
        self.max_records = max_records
        self.max_bytes = max_bytes
        self.client_options = client_options


async def wait_crashed(app: faust.App) -> None:
    """Return when the application or one of its services has crashed; ``app.crash_reason`` is the
    error.
    """
    await app._crashed.wait()


class ChunkSchema(Schema[Any, Any]):
    """Passes a chunk through as the value of one event, without decoding."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any = None,
        on_value_decode_error: Any = None,
        default_propagate: bool = False,
    ) -> Any:
        # Replaces faust/serializers/schemas.py, Schema.compile.
        async def decode(message: Message, *, propagate: bool = False) -> Event:
            return Event(app, None, message.value, message.headers, message)

        return decode
