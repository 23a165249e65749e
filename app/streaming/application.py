"""A Faust application whose agents consume chunks: start, rebalance, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import TP

from app.errors import BrokerUnavailableError, RollcallError, describe
from app.streaming.batches import BATCH_BYTES
from app.streaming.bounded import promptly
from app.streaming.chunks import ChunkAgent, ChunkPolicy
from app.streaming.consumer_thread import end_threads
from app.streaming.failures import hold_back_what_was_not_added
from app.streaming.lane import LaneKit, LaneObserver, LaneState
from app.streaming.lanes import Lanes
from app.streaming.offsets import Bounds, Offsets
from app.streaming.table_store import TableStore
from app.streaming.tables import LaneTables
from app.streaming.transport import ChunkConsumer, ChunkSchema, ChunkTransport, wait_crashed
from app.streaming.watchdog import Watchdog

log = logging.getLogger(__name__)

SURVEY_SECONDS = 1.0
"""How often lag is measured."""

LOST_SECONDS = 30.0
"""So long may a consumer that has partitions be without the coordinator of its group, while the cluster answers others."""

ANSWERED_SECONDS = 5.0
"""A cluster that answered so recently answers."""

MEASURE_SECONDS = 10.0
"""How long the cluster may take to answer."""

FETCH_BYTES = 4 * 1024**2
"""Most bytes of one partition in one fetch, as stored (compressed); also what lies ready for each partition while its lane is busy. Several agents share it."""

NEVER_SECONDS = 2_000_000.0
"""aiokafka would leave the group when nothing is fetched for a while; a partition whose lane is halted is kept. The watchdog looks after the main loop."""

STOP_SECONDS = 3.0
"""How long the consumer may take to leave its group at the end. When it cannot, because no broker answers, the group finds out after the session timeout."""


class StreamingError(RollcallError):
    """The process had to stop; nothing that was not written is committed."""


@dataclass(frozen=True, slots=True)
class StreamingOptions:
    """What an application is told. Times in seconds."""

    group: str
    client_options: Mapping[str, Any]
    """Keyword arguments for every aiokafka client: servers and security."""
    policy: ChunkPolicy
    session_timeout: float
    group_instance_id: str | None
    watchdog: float
    partitions: int
    """Of the tables, and so of all topics of an agent that has one."""
    batch_bytes: int = BATCH_BYTES
    """Most bytes of one batch of output, before compression; no topic may take less."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How one input partition stands."""

    agent: str
    tp: TP
    state: LaneState
    halt_reason: str | None
    committed: int | None
    lag: int | None
    """High watermark minus committed offset; None until first measured."""
    oldest_pending: int | None
    """Timestamp (ms) of the first record that was read and is not committed."""
    restoring: int | None
    """While the table is loaded: how many records are left, at most."""
    unfinished: int
    """How much the handler has still to do that needs no further input."""


class StreamingApplication:
    """Consumes topics chunk by chunk, until it is stopped or must end.

    Args:
        agents: who consumes what.
        observer: told what happens, for metrics.
        on_survey: called every second with the status of all assigned partitions.
    """

    def __init__(
        self,
        options: StreamingOptions,
        agents: Sequence[ChunkAgent],
        *,
        observer: LaneObserver,
        on_survey: Callable[[list[PartitionStatus]], None],
    ) -> None:
        self._options = options
        self._agents = tuple(agents)
        self._observer = observer
        self._on_survey = on_survey
        self._lanes = Lanes(self._agents)
        self._watchdog = Watchdog(options.watchdog)
        self._failure: asyncio.Future[BaseException] | None = None
        self._offsets = Offsets(options.group, options.client_options)
        self._bounds: dict[TP, Bounds] = {}
        self._member = True
        self.tables = TableStore(options.client_options, self._offsets.bounds)
        self.surveyed_at: float | None = None
        """When the cluster last answered (monotonic seconds)."""

    @property
    def joined(self) -> bool:
        """Whether the group has given this process its share, which may be nothing."""
        return self._lanes.assigned and self._member

    @property
    def stuck(self) -> str | None:
        """Why the watchdog will end the process, or None."""
        return self._watchdog.verdict

    @property
    def statuses(self) -> list[PartitionStatus]:
        """How the assigned partitions stand."""
        statuses = []
        for lane in self._lanes:
            for tp in sorted(lane.inputs):
                committed, bounds = lane.committed.get(tp), self._bounds.get(tp)
                lag = None if committed is None or bounds is None else max(bounds.end - committed, 0)
                halt_reason = lane.halted.reason if lane.halted else None
                statuses.append(
                    PartitionStatus(lane.agent.name, tp, lane.state, halt_reason, committed, lag, lane.oldest_pending, lane.restoring, lane.unfinished)
                )
        return statuses

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain.

        Raises:
            StreamingError: a chunk could not be written, or the consumer failed.
            BrokerUnavailableError: no broker could be reached at start.
        """
        self._failure = asyncio.get_running_loop().create_future()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await promptly(stack.enter_async_context(self._offsets))
            except (KafkaError, OSError) as error:
                raise BrokerUnavailableError(
                    f"no Kafka broker answers at {self._options.client_options['bootstrap_servers']} ({error}); check ROLLCALL_KAFKA"
                ) from None
            with tempfile.TemporaryDirectory(prefix="rollcall-") as scratch:
                app = self._new_app(scratch)
                survey = asyncio.create_task(self._watch(app))
                self._watchdog.start()
                try:
                    await app.start()
                    await self._until_end(app, stop, survey)
                finally:
                    survey.cancel()
                    await self._end(app)
                    self._watchdog.stop()
                self._raise_failure()  # of a chunk that was in flight when the end came

    async def _until_end(self, app: faust.App, stop: asyncio.Event, survey: asyncio.Task[None]) -> None:
        assert self._failure is not None
        crashed = asyncio.ensure_future(wait_crashed(app))
        stopped = asyncio.ensure_future(stop.wait())
        ends: set[asyncio.Future[Any]] = {crashed, stopped, survey, self._failure}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        crashed.cancel()
        stopped.cancel()
        self._raise_failure()
        if app.crashed:
            raise StreamingError(f"the consumer failed: {describe(app.crash_reason)}") from app.crash_reason
        if survey.done() and not stop.is_set():
            survey.result()

    def _raise_failure(self) -> None:
        if self._failure is not None and self._failure.done():
            raise StreamingError(f"stopped without committing: {describe(self._failure.result())}") from self._failure.result()

    async def _end(self, app: faust.App) -> None:
        # Lanes first: what they have in flight is finished while the consumer still holds the partitions, so that no other process begins with them.
        await self._lanes.revoke()
        try:
            await promptly(app.stop(), STOP_SECONDS)
        except Exception as error:
            log.warning("the consumer did not stop cleanly: %s", describe(error))
        end_threads()

    def _new_app(self, scratch: str) -> faust.App:
        options = self._options
        app = faust.App(
            options.group,
            env={},  # whatever it would read there wins over what stands here
            broker="kafka://unused",  # the transport connects with client_options
            datadir=scratch,
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_enabled=False,
            stream_wait_empty=False,
            stream_buffer_maxsize=16,
            consumer_max_fetch_size=FETCH_BYTES // len(self._agents),
            consumer_group_instance_id=options.group_instance_id,
            broker_session_timeout=options.session_timeout,
            broker_heartbeat_interval=options.session_timeout / 5,
            broker_request_timeout=max(options.session_timeout * 1.5, 15.0),
            broker_rebalance_timeout=max(options.session_timeout * 2, options.policy.drain + 10),
            broker_max_poll_interval=NEVER_SECONDS,
            table_standby_replicas=0,
            TableManager=LaneTables,
        )
        app.transport = transport = ChunkTransport(
            app, lanes=self._lanes, max_records=options.policy.max_records, max_bytes=options.policy.max_bytes, client_options=options.client_options
        )
        app.producer_transport = transport
        self._lanes.equip(
            LaneKit(
                group=options.group,
                policy=options.policy,
                new_producer=self._new_producer,
                batch_bytes=options.batch_bytes,
                offsets=self._offsets,
                tables=self.tables,
                seek=lambda tp, offset: cast(ChunkConsumer, app.consumer).seek_exact(tp, offset),
                wants=self._lanes.announce,
                fatal=self._fail,
                observer=self._observer,
            )
        )
        for agent in self._agents:
            app.agent(app.topic(*agent.topics, schema=ChunkSchema()), name=agent.name)(self._deliver)
            self.tables.declare(app, agent, options.partitions)
        return app

    async def _deliver(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self._lanes.deliver(event.value)

    def _new_producer(self, transactional_id: str) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._options.client_options,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(self._options.policy.transaction * 1000),
            acks="all",
            linger_ms=0,
        )
        hold_back_what_was_not_added(producer)
        return producer

    def _fail(self, error: BaseException) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(error)

    async def _watch(self, app: faust.App) -> None:
        await asyncio.gather(self._measure(), self._survey(), self._check(app))

    async def _check(self, app: faust.App) -> None:
        """Ask the consumer whether it is still a member of its group, and let its failure be this process's."""
        lost_since: float | None = None
        while True:
            await asyncio.sleep(SURVEY_SECONDS)
            if not self._lanes.assigned_once:
                continue
            now = time.monotonic()
            answers = self.surveyed_at is not None and now - self.surveyed_at < ANSWERED_SECONDS
            lost_since = (lost_since or now) if answers and self._lanes.assigned and not self._member else None
            if lost_since is not None and now - lost_since > LOST_SECONDS:
                # aiokafka may stand still for ever (app/aiokafka_patches.py mends the known way to that). Meanwhile the group has given the partitions
                # to others, and this process, which does not know, would take them back again and again.
                raise StreamingError(f"the cluster answers, but the coordinator of group {self._options.group} has not been found for {LOST_SECONDS:.0f} s")
            try:
                self._member = await cast(ChunkConsumer, app.consumer).check()
            except KafkaError as error:
                raise StreamingError(f"the consumer group {self._options.group} cannot be joined: {describe(error)}") from error

    def _has_to_do(self, status: PartitionStatus) -> bool:
        """Whether a partition should move. What belongs to transactions that are open cannot be read, and is no reason to move."""
        if status.state is LaneState.HALTED:
            return False
        if status.state is not LaneState.OPEN or status.committed is None or status.unfinished:
            return True
        bounds = self._bounds.get(status.tp)
        return bounds is not None and bounds.readable_end > status.committed

    async def _measure(self) -> None:
        """Ask the cluster where the inputs end, for as long as the process lives, also when nothing moves."""
        while True:
            partitions = [tp for lane in self._lanes for tp in lane.inputs]
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                self._bounds = await promptly(self._offsets.bounds(partitions), MEASURE_SECONDS)
                self.surveyed_at = time.monotonic()
            await asyncio.sleep(SURVEY_SECONDS)

    async def _survey(self) -> None:
        """Report how things stand, every second, also when the cluster does not answer."""
        while True:
            statuses = self.statuses
            behind = [status for status in statuses if self._has_to_do(status)]
            self._watchdog.beat({f"{status.tp.topic}[{status.tp.partition}]": (status.committed, status.restoring, status.unfinished) for status in behind})
            self._on_survey(statuses)
            await asyncio.sleep(SURVEY_SECONDS)
