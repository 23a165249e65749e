"""Thread of aiokafka's consumer: fetches chunks, and always ends.

Line numbers of ``drivers/`` are of ``faust/transport/``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import ServiceThread, WorkerThread
from mode.utils.locks import Event

from rollcall.kafka.bounded import abandon, ignore_error
from rollcall.kafka.decoding import decode_leniently, record_size, skip_record_wrapping
from rollcall.record import Record
from rollcall.streaming.chunks import OUT_OF_RANGE, Chunk

RecordMap: TypeAlias = Mapping[TP, list[Any]]
"""What Faust passes from fetch to delivery. Here each list holds one :class:`Chunk`."""

FETCH_WAIT_MS = 250
"""How long the broker holds a fetch without records. aiokafka has one fetch in flight per broker,
so a partition that gets room meanwhile waits for it. Faust's fixed 1,500 ms
(``drivers/aiokafka.py:615``) would add latency when only some partitions have traffic.
"""

METADATA_AGE_MS = 10_000
"""How long a new input partition, a recreated input topic or a new leader may go unnoticed. A
deposed leader answers, but without new records. aiokafka's default is five minutes.
"""

THREAD_SECONDS = 1.0
"""Time limit for the thread to end after its consumer."""

FIRST_SLICE = 64
"""Number of records in the first slice of a chunk. Their mean size decides the size of the next
slice.
"""


def set_in_any_thread(event: Event) -> None:
    """Set an event of mode, and wake its waiters in their own event loop."""
    # Replaces mode/utils/locks.py:47. A crash sets events of the services of both threads (see
    # mode/services.py:928), and upstream wakes their waiters at once. uvloop's loops may only be
    # used in their own thread: other use can end the process with a segmentation fault.
    if event._value:
        return
    event._value = True
    loop = event._loop
    if loop is None:
        return  # nothing has waited yet
    if loop is asyncio._get_running_loop():
        _wake_waiters(event)
    else:
        with contextlib.suppress(RuntimeError):  # a closed loop has no waiters
            loop.call_soon_threadsafe(_wake_waiters, event)


def _wake_waiters(event: Event) -> None:
    for waiter in event._waiters:
        if not waiter.done():
            waiter.set_result(True)


Event.set = set_in_any_thread  # type: ignore[method-assign, assignment]


async def leave_positions_to_lanes(
    fetcher: Fetcher, assignment: Any, _node_id: int, partitions: Iterable[TP]
) -> bool:
    """``Fetcher._update_fetch_positions`` that asks for no committed offsets. Returns whether there
    is something to read.
    """
    # Replaces aiokafka/consumer/fetcher.py:920, which requests them for one partition after the
    # other, and fetches nothing from their leader meanwhile. Lanes seek their positions. Changelogs
    # never get one, so nothing of them is fetched.
    for tp in partitions:
        if not assignment.state_value(tp).has_valid_position:
            fetcher._set_error(tp, NoOffsetForPartitionError(tp))
    return False


class DaemonThread(WorkerThread):
    """Thread that does not keep the process from ending."""

    def __init__(self, service: Any, **kwargs: Any) -> None:
        # Extends mode/threads.py:52.
        super().__init__(service, **kwargs)
        self.daemon = True

    def run(self) -> None:
        # Extends mode/threads.py:58. Where aiokafka cancels one of its own tasks and waits for it
        # (``consumer/fetcher.py:456``), the cancellation also reaches the caller that stops the
        # consumer, and leaves the thread. The service has ended all the same. An error that the
        # service has reported as its crash also leaves the thread, and Python would print it to
        # standard error, outside the log.
        try:
            super().run()
        except asyncio.CancelledError:
            self.service.set_shutdown()
        except Exception:
            if self.service.crash_reason is None:
                raise

    def stop(self) -> None:
        """Wait for the thread's end, with a time limit: the process leaves the thread behind (see
        app/rollcall/process/ending.py).
        """
        # Replaces mode/threads.py:74, which blocks the process and its event loop until every task
        # of the thread has ended. aiokafka's tasks may mistake their cancellation for another
        # task's and never end (see app/rollcall/kafka/bounded.py). The consumer has already left
        # its group.
        self.is_stopped.wait(THREAD_SECONDS)


class StoppableThread(ServiceThread):
    """Service in its own thread that can be stopped in any state of the thread."""

    abstract = True
    Worker = DaemonThread

    async def _wakeup_timer_in_thread(self) -> None:
        # Extends mode/threads.py:192, which logs an error if its last call was more than 3 s ago:
        # the process was suspended, or busy. The watchdog judges that.
        await super()._wakeup_timer_in_thread()
        self.last_wakeup_at = 0.0

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        # Replaces mode/threads.py:310, which prints a traceback to standard error, outside the log.
        # The service's crash is logged, and ends the process with an error.
        return

    def _stopped_set(self) -> None:
        # Replaces mode/threads.py:227, which fails if the loop is closed. A thread whose service
        # has crashed closes its loop by itself, before or after it is stopped.
        self._stopped.set()

    def set_shutdown(self) -> None:
        # Replaces mode/threads.py:230, which fails if the loop is closed. An abandoned thread may
        # be garbage-collected, and so ended, after the loop of its waiters.
        self._shutdown.set()

    async def crash(self, exc: BaseException) -> None:
        """Report an error. Ignored if the loop is closed."""
        # Extends mode/threads.py:197. If the thread crashes before ``start`` waits for it, nobody
        # retrieves the error from this future, and asyncio would report that.
        running = self._thread_running
        with contextlib.suppress(RuntimeError):
            if running is not None:
                self.parent_loop.call_soon_threadsafe(ignore_error, running)
            await super().crash(exc)


class ChunkConsumerThread(StoppableThread, driver.AIOKafkaConsumerThread):
    """Thread of aiokafka's consumer."""

    max_records: int
    max_bytes: int
    client_options: Mapping[str, Any]
    _wake: asyncio.Event | None = None

    async def on_start(self) -> None:
        # Extends drivers/aiokafka.py:541.
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher
        fetcher._update_fetch_positions = functools.partial(leave_positions_to_lanes, fetcher)

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        # Replaces drivers/aiokafka.py:568: isolation level read_committed, shorter waits for empty
        # fetches, security options under aiokafka's names.
        conf = self.app.conf
        self._assignor = (
            self.app.assignor if self.app.tables.changelog_topics else RoundRobinPartitionAssignor
        )
        return AIOKafkaConsumer(
            **self.client_options,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            # the lane handles a position that the broker does not have: see OUT_OF_RANGE
            auto_offset_reset="none",
            metadata_max_age_ms=METADATA_AGE_MS,
            isolation_level="read_committed",
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            # The watchdog checks the main loop. A poll interval would only add a second way to lose
            # partitions.
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            check_crcs=conf.broker_check_crcs,
        )

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109
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
                try:
                    await asyncio.wait(
                        (arrived, woken), timeout=timeout, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    woken.cancel()
                    abandon(arrived)
                if not arrived.cancelled():
                    # raises fatal errors of the coordinator, such as a missing authorization
                    arrived.result()
                chunks = await self._take_all(consumer, active_partitions)
            return chunks

    async def _take_all(self, consumer: AIOKafkaConsumer, partitions: Iterable[TP]) -> RecordMap:
        taken = {tp: await self._take(consumer, tp) for tp in partitions}
        return {tp: [chunk] for tp, chunk in taken.items() if chunk is not None}

    async def _take(self, consumer: AIOKafkaConsumer, tp: TP) -> Chunk | None:
        """A chunk of the fetched records of one partition, up to the limits. Does not yield to the
        event loop, so no seek comes between the positions and the records.
        """
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
            skip_record_wrapping(consumer._fetcher._records.get(tp))
            try:
                # With timeout 0 and without a reassignment, fetched_records does not wait.
                fetched = (
                    await consumer._fetcher.fetched_records({tp}, timeout=0, max_records=limit)
                ).get(tp, ())
            except UnicodeDecodeError:
                decode_leniently(consumer._fetcher._records[tp], state.position)
                continue
            except NoOffsetForPartitionError:
                break  # the lane has not sought its start position yet
            except OffsetOutOfRangeError as error:
                if state.position not in error.args[0].values():
                    break  # the error is about an earlier position
                return Chunk(tp.topic, tp.partition, OUT_OF_RANGE, OUT_OF_RANGE, [], 0)
            if not fetched:
                break
            records.extend(fetched)
            size += sum(map(record_size, fetched))
            room = int((self.max_bytes - size) * len(records) / max(size, 1))
            limit = min(self.max_records - len(records), room)
        if state.position == before:
            return None
        return Chunk(tp.topic, tp.partition, before, state.position, records, size)

    def close(self) -> None:
        # Replaces drivers/aiokafka.py:766, which Faust calls if the group rebalances while the
        # process stops. It closes the connections of this thread's event loop in the main thread,
        # which can end the process with a segmentation fault. The stop closes them in this thread.
        return

    async def seek_exact(self, tp: TP, offset: int) -> None:
        """Continue reading at ``offset``. Ignored if the partition is no longer assigned."""
        await self.call_thread(self._seek_exact, tp, offset)

    async def _seek_exact(self, tp: TP, offset: int) -> None:
        consumer = self._ensure_consumer()
        if tp in consumer.assignment():
            consumer.seek(tp, offset)

    @property
    def has_started(self) -> bool:
        """Whether there is a consumer that has started to join its group."""
        return (
            self._consumer is not None
            and self._consumer._coordinator is not None
            and self.thread_loop.is_running()
        )

    async def check_membership(self) -> bool:
        """Whether this process is a member of its group now.

        Raises:
            aiokafka.errors.KafkaError: the group cannot be joined, or nothing can be fetched, and
                retrying does not help. aiokafka reports such errors only on request.
        """
        member: bool = await self.call_thread(self._check_membership)
        return member

    async def _check_membership(self) -> bool:
        consumer = self._ensure_consumer()
        coordinator, fetching = consumer._coordinator, consumer._fetcher.error_future
        coordinator.check_errors()
        if fetching.done() and not fetching.cancelled():
            fetching.result()
        return bool(coordinator.generation > 0 and coordinator.coordinator_id is not None)

    def wake(self) -> None:
        """End a fetch that waits for data: another partition has room now. Safe in any thread."""
        if self._wake is not None and self.thread_loop.is_running():
            # the loop has closed: the consumer has stopped
            with contextlib.suppress(RuntimeError):
                self.thread_loop.call_soon_threadsafe(self._wake.set)
