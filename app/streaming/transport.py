"""Faust's aiokafka driver, made to hand over chunks. The one place where private machinery of Faust is touched.

Written against faust-streaming 0.15.3; line numbers are of ``faust/transport/``. tests/streaming/test_upstream.py fails when a replaced signature changes.

What is replaced, and why
- records come as one :class:`Chunk` for each partition instead of one by one, each with the fetch positions before and after it. Positions are read in the
  consumer's own thread, in the same step as the records, where no seek can come between them;
- a partition is read only while its lane wants more (back-pressure without blocking the other partitions);
- lanes are closed before a partition is given up, and opened when one is assigned;
- nothing is acknowledged to Faust, and Faust commits nothing: offsets are committed in the lanes' transactions.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias, cast

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.events import Event
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message
from mode.threads import WorkerThread

from app.streaming.chunks import Chunk, Record
from app.streaming.decoding import bytes_of, decode_again, keep_fetched_records, leave_bare

RecordMap: TypeAlias = Mapping[TP, list[Any]]
"""What Faust passes on from fetch to delivery; here each list holds one :class:`Chunk`."""

FETCH_WAIT_MS = 250
"""How long the broker holds a fetch that finds nothing. aiokafka has one fetch in flight for each broker, so a partition that is consumed meanwhile waits
for it; Faust's fixed 1,500 ms (``drivers/aiokafka.py:615``) would show as latency when only some partitions have traffic."""

METADATA_AGE_MS = 30_000
"""How long a new partition of the input, or an input that was made anew, may go unnoticed. aiokafka's default is five minutes."""

OUT_OF_RANGE = -1
"""Position of a chunk that says only this: the broker has no record where the partition is read. Retention was faster, or the topic was cut or made anew."""

THREAD_SECONDS = 1.0
"""So long may the consumer's thread take to end, once its consumer has."""

FIRST_SLICE = 64
"""Records taken first when a chunk is bounded in bytes; their mean size decides how many are taken next."""


class LaneDirectory(Protocol):
    """What the transport asks of the lanes."""

    def wanting(self, partitions: Collection[TP]) -> set[TP]:
        """Those of the partitions whose lanes have room for a chunk."""

    def assign(self, partitions: Collection[TP]) -> None:
        """Open a lane for each partition; returns at once."""

    async def revoke(self) -> None:
        """Close all lanes: finish or give up what is in flight. Returns when no lane can write any more."""

    def fail(self, error: BaseException) -> None:
        """End the process: a rebalance has failed."""

    def on_wanting(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever a lane gets room for a chunk."""


class DaemonThread(WorkerThread):
    """A thread that cannot keep the process from ending."""

    _given_up = False

    def __init__(self, service: Any, **kwargs: Any) -> None:
        # Extends mode/threads.py:52.
        super().__init__(service, **kwargs)
        self.daemon = True

    def run(self) -> None:
        """The thread's work."""
        # Extends mode/threads.py:58.
        try:
            super().run()
        except RuntimeError:
            if not self._given_up:
                raise

    def stop(self) -> None:
        """Wait for the thread's end, but not for ever."""
        # Replaces mode/threads.py:74, which has the whole process wait, its event loop too, until every task of the thread has ended. aiokafka's may take their
        # cancellation for that of another task, and never do (see app/streaming/bounded.py). By now the consumer has left its group.
        if not self.is_stopped.wait(THREAD_SECONDS):
            self.give_up()

    def give_up(self) -> None:
        """End the thread, whatever its tasks are at. When the interpreter ends before a thread with a running event loop, uvloop may crash."""
        self._given_up = True
        loop = self.service.thread_loop
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(loop.stop)
        self.join(THREAD_SECONDS)


def end_threads() -> None:
    """End the threads of consumers that did not end when they were stopped."""
    for thread in threading.enumerate():
        if isinstance(thread, DaemonThread):
            thread.give_up()


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka's consumer lives."""

    Worker = DaemonThread
    max_records: int
    max_bytes: int
    client_options: Mapping[str, Any]
    _wake: asyncio.Event | None = None

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        # Replaces drivers/aiokafka.py:568: reads only what is committed, waits less for empty fetches, takes security options as aiokafka names them.
        conf = self.app.conf
        self._assignor = self.app.assignor if self.app.tables.changelog_topics else RoundRobinPartitionAssignor
        return AIOKafkaConsumer(
            **self.client_options,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # a position that the broker does not have is the lane's business: see OUT_OF_RANGE
            metadata_max_age_ms=METADATA_AGE_MS,
            isolation_level="read_committed",
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            # Liveness of the main loop is the watchdog's business; a poll interval would only add a second way to lose partitions.
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            check_crcs=conf.broker_check_crcs,
        )

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 upstream's signature
        max_records: int | None = None,
    ) -> RecordMap:
        # Replaces drivers/aiokafka.py:1088.
        fetcher = consumer._fetcher
        wake = self._wake = self._wake or asyncio.Event()
        wake.clear()
        if not self.consumer.flow_active:
            return {}
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():
            chunks = await self._take_all(consumer, active_partitions)
            if not chunks and timeout:
                arrived = fetcher._create_fetch_waiter()
                woken = asyncio.ensure_future(wake.wait())
                await asyncio.wait((arrived, woken), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                if arrived.done():
                    arrived.result()  # raises what the coordinator found to be fatal, such as a missing authorization
                else:
                    arrived.cancel()
                chunks = await self._take_all(consumer, active_partitions)
            return chunks

    async def _take_all(self, consumer: AIOKafkaConsumer, partitions: Iterable[TP]) -> RecordMap:
        taken = {tp: await self._take(consumer, tp) for tp in partitions}
        return {tp: [chunk] for tp, chunk in taken.items() if chunk is not None}

    async def _take(self, consumer: AIOKafkaConsumer, tp: TP) -> Chunk | None:
        """What has been fetched of one partition, up to the bounds. Runs without giving way, so no seek comes between the positions and the records."""
        subscriptions = consumer._fetcher._subscriptions
        if subscriptions.reassignment_in_progress or not subscriptions.is_assigned(tp):
            return None
        state = subscriptions.subscription.assignment.state_value(tp)
        if not state.has_valid_position:
            return None
        before = state.position
        records: list[Record] = []
        size, limit = 0, min(FIRST_SLICE, self.max_records)
        while limit > 0:
            leave_bare(consumer._fetcher._records.get(tp))
            try:
                # With a timeout of 0, and no reassignment under way, fetched_records has nothing to wait for.
                fetched = (await consumer._fetcher.fetched_records({tp}, timeout=0, max_records=limit)).get(tp, ())
            except UnicodeDecodeError:
                decode_again(consumer._fetcher._records[tp], state.position)
                continue
            except NoOffsetForPartitionError:
                break  # the lane has not said yet where to begin
            except OffsetOutOfRangeError as error:
                if state.position not in error.args[0].values():
                    break  # of a position that was left since
                return Chunk(tp.topic, tp.partition, OUT_OF_RANGE, OUT_OF_RANGE, [], 0)
            if not fetched:
                break
            records.extend(fetched)
            size += sum(map(bytes_of, fetched))
            room = int((self.max_bytes - size) * len(records) / max(size, 1))
            limit = min(self.max_records - len(records), room)
        if state.position == before:
            return None
        return Chunk(tp.topic, tp.partition, before, state.position, records, size)

    async def seek_exact(self, tp: TP, offset: int) -> None:
        """Go on reading at ``offset``; does nothing when the partition is no longer this process's."""
        await self.call_thread(self._seek_exact, tp, offset)

    async def _seek_exact(self, tp: TP, offset: int) -> None:
        consumer = self._ensure_consumer()
        if tp in consumer.assignment():
            consumer.seek(tp, offset)

    async def check(self) -> bool:
        """Whether this process is a member of its group now.

        Raises:
            aiokafka.errors.KafkaError: the group cannot be joined, or nothing can be fetched, and that will not pass. aiokafka tells only who asks.
        """
        member: bool = await self.call_thread(self._check)
        return member

    async def _check(self) -> bool:
        consumer = self._ensure_consumer()
        coordinator, fetching = consumer._coordinator, consumer._fetcher.error_future
        coordinator.check_errors()
        if fetching.done() and not fetching.cancelled():
            fetching.result()
        return bool(coordinator.generation > 0 and coordinator.coordinator_id is not None)

    def wake(self) -> None:
        """End a fetch that waits for data: another partition is wanted now. May be called from any thread."""
        if self._wake is not None and self.thread_loop.is_running():
            with contextlib.suppress(RuntimeError):  # the loop closed in between: the consumer has stopped
                self.thread_loop.call_soon_threadsafe(self._wake.set)


class ChunkConsumer(driver.Consumer):
    """Faust's consumer: delivers chunks to the conductor and tells the lanes of rebalances."""

    _thread: ChunkConsumerThread

    @property
    def _lanes(self) -> LaneDirectory:
        return cast(ChunkTransport, self.transport).lanes

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        # Replaces drivers/aiokafka.py:237.
        transport = cast(ChunkTransport, self.transport)
        keep_fetched_records()
        thread = ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.max_records = transport.max_records
        thread.max_bytes = transport.max_bytes
        thread.client_options = transport.client_options
        self._lanes.on_wanting(thread.wake)
        return thread

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Extends consumer.py:642: with the eager protocol everything is given up before it is assigned anew.
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
        """aiokafka logs what a rebalance listener raises, and goes on: the process would hold partitions that nobody consumes."""
        try:
            yield
        except Exception as error:
            self._lanes.fail(error)
            raise

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109 upstream's signature
        # Extends consumer.py:1437. While the group rebalances nothing is read: it would only be thrown away.
        wanting = set() if self.app.rebalancing else self._lanes.wanting(active_partitions or ())
        if not wanting:
            await asyncio.sleep(0.01)
            return {}
        return await super()._getmany(wanting, timeout)

    async def _drain_messages(self, fetcher: Any) -> None:
        # Replaces consumer.py:1180, where each message costs four tasks. A chunk that is dropped here is not lost: its lane sees the gap and seeks back.
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
                await self.wait_first(self.callback(self._to_chunk_message(tp, chunk, generation)), self.suspend_flow.wait())
            await asyncio.sleep(0)

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
            value=cast(bytes, chunk),  # Faust hands it on unseen; ChunkSchema makes it the event's value
            checksum=None,
            tp=tp,
            generation_id=generation,
        )

    async def seek_exact(self, tp: TP, offset: int) -> None:
        """Go on reading a partition at ``offset``."""
        await self._thread.seek_exact(tp, offset)

    async def check(self) -> bool:
        """See :meth:`ChunkConsumerThread.check`."""
        return await self._thread.check()


class IdleProducer(driver.Producer):
    """Faust's own producer, without a connection: only lanes write, each with its own transactional producer."""

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
    """The transport to give a Faust application: ``app.transport = ChunkTransport(...)``."""

    Consumer: ClassVar[type[ChunkConsumer]] = ChunkConsumer
    Producer: ClassVar[type[IdleProducer]] = IdleProducer

    def __init__(self, app: faust.App, *, lanes: LaneDirectory, max_records: int, max_bytes: int, client_options: Mapping[str, Any]) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.lanes = lanes
        self.max_records = max_records
        self.max_bytes = max_bytes
        self.client_options = client_options


async def wait_crashed(app: faust.App) -> None:
    """Return when the application, or a service that belongs to it, has crashed; ``app.crash_reason`` tells why."""
    await app._crashed.wait()


class ChunkSchema(Schema[Any, Any]):
    """Passes a chunk through as the value of one event, decoding nothing."""

    def compile(self, app: Any, *, on_key_decode_error: Any = None, on_value_decode_error: Any = None, default_propagate: bool = False) -> Any:
        # Replaces faust/serializers/schemas.py, Schema.compile.
        async def decode(message: Message, *, propagate: bool = False) -> Event:
            return Event(app, None, message.value, message.headers, message)

        return decode
