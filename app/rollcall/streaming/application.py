"""Faust application whose agents consume chunks: start, rebalance, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP

from rollcall.errors import BrokerUnavailableError, describe
from rollcall.kafka.batches import BATCH_BYTES
from rollcall.kafka.bounded import abandon, promptly
from rollcall.open_files import OTHER_FILES, make_room
from rollcall.streaming.barrier import BarrierTopic
from rollcall.streaming.chunks import ChunkAgent, ChunkPolicy
from rollcall.streaming.failures import fail_unadded_batches
from rollcall.streaming.faust.tables import LaneTables
from rollcall.streaming.faust.transport import (
    ChunkConsumer,
    ChunkSchema,
    ChunkTransport,
    wait_crashed,
)
from rollcall.streaming.lane import LaneContext, LaneObserver
from rollcall.streaming.lanes import Lanes
from rollcall.streaming.offsets import Offsets
from rollcall.streaming.stages.table_store import TableStore
from rollcall.streaming.survey import PartitionStatus, StreamingError, Survey
from rollcall.streaming.watchdog import Watchdog

log = logging.getLogger(__name__)

SHARED_CLIENTS = 6
"""Kafka clients besides those of lanes, including clients that are being replaced."""

COORDINATORS = 2
"""Connections of a producer besides one to each broker: to the coordinators of its transactions and
of the group.
"""

FETCH_BYTES = 4 * 1024**2
"""Maximum bytes of one partition in one fetch, as stored (compressed). The same amount is
prefetched for each partition while its lane is busy. Divided between several agents.
"""

MAX_POLL_SECONDS = 2_000_000.0
"""Maximum poll interval. aiokafka would leave the group after an interval without fetches, but a
partition stays assigned while its lane is halted. The watchdog checks the main loop.
"""

START_SECONDS = 1.0
"""Time limit for a starting consumer to finish its start before it is stopped."""

STOP_SECONDS = 3.0
"""Time limit for the consumer to leave its group. If no broker answers, the group notices after the
session timeout.
"""


@dataclass(frozen=True, slots=True)
class StreamingOptions:
    """Options of an application. Times in seconds."""

    group: str
    client_options: Mapping[str, Any]
    """Keyword arguments of every aiokafka client: servers and security."""
    policy: ChunkPolicy
    session_timeout: float
    group_instance_id: str | None
    watchdog: float
    partitions: int
    """Number of partitions of the tables, and of all topics of an agent with a table."""
    barrier: BarrierTopic
    outputs: Collection[str]
    """Topics that the agents write."""
    batch_bytes: int = BATCH_BYTES
    """Maximum size of one output batch, before compression. Every topic must accept it."""

    @property
    def rebalance_timeout(self) -> float:
        """How long the group waits for its members during a rebalance."""
        return max(self.session_timeout * 2, self.policy.drain + 10)


class StreamingApplication:
    """Consumes topics chunk by chunk until it is stopped or fails.

    Args:
        agents: the consumers and their topics.
        observer: observes the lanes, for metrics.
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
        self._lanes = Lanes(self._agents, self._make_room)
        self._watchdog = Watchdog(options.watchdog)
        self._failure: asyncio.Future[BaseException] | None = None
        self._offsets = Offsets(options.group, options.client_options)
        self.tables = TableStore(options.client_options, self._offsets.bounds)
        self.survey = Survey(
            group=options.group,
            servers=options.client_options["bootstrap_servers"],
            lanes=self._lanes,
            offsets=self._offsets,
            inputs=[topic for agent in self._agents for topic in agent.topics],
            outputs=options.outputs,
            watchdog=self._watchdog,
            rebalance_timeout=options.rebalance_timeout,
            on_survey=on_survey,
        )

    @property
    def stuck(self) -> str | None:
        """Why the watchdog will end the process, or None."""
        return self._watchdog.verdict

    def _make_room(self, lanes: int) -> None:
        """Raise the limit of open files for the connections of ``lanes`` lanes. Each has a
        producer, and a reader while it loads its table.
        """
        brokers = self._offsets.brokers
        make_room(
            OTHER_FILES + SHARED_CLIENTS * (brokers + 1) + lanes * (2 * brokers + COORDINATORS + 1)
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain.

        Raises:
            StreamingError: a chunk could not be written, or the consumer failed.
            BrokerUnavailableError: no broker could be reached at start, or none of the brokers
                known from the start answers any more.
            TopicsGoneError: partitions stand still, and output topics do not exist.
        """
        self._failure = asyncio.get_running_loop().create_future()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await promptly(stack.enter_async_context(self._offsets))
            except (KafkaError, OSError) as error:
                raise BrokerUnavailableError(
                    "no Kafka broker answers at "
                    f"{self._options.client_options['bootstrap_servers']} ({error}); check "
                    "ROLLCALL_KAFKA"
                ) from None
            with tempfile.TemporaryDirectory(prefix="rollcall-") as scratch:
                app = self._new_app(scratch)
                started = asyncio.create_task(app.start())
                survey = asyncio.create_task(
                    self.survey.run(lambda: cast(ChunkConsumer, app.consumer))
                )
                self._watchdog.start()
                try:
                    await self._until_end(app, stop, started, survey)
                finally:
                    abandon(survey)
                    await self._end(app, started)
                    self._watchdog.stop()
                self._raise_failure()  # of a chunk in flight during the stop

    async def _until_end(
        self,
        app: faust.App,
        stop: asyncio.Event,
        started: asyncio.Task[None],
        survey: asyncio.Task[None],
    ) -> None:
        assert self._failure is not None
        crashed = asyncio.ensure_future(wait_crashed(app))
        stopped = asyncio.ensure_future(stop.wait())
        ends: set[asyncio.Future[Any]] = {crashed, stopped, survey, self._failure}
        try:
            await asyncio.wait(ends | {started}, return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                _raise_unless_started(started)
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            crashed.cancel()
            stopped.cancel()
        self._raise_failure()
        if app.crashed:
            raise StreamingError(
                f"the consumer failed: {describe(app.crash_reason)}"
            ) from app.crash_reason
        if survey.done() and not stop.is_set():
            survey.result()

    def _raise_failure(self) -> None:
        if self._failure is not None and self._failure.done():
            raise StreamingError(
                f"stopped without committing: {describe(self._failure.result())}"
            ) from self._failure.result()

    async def _end(self, app: faust.App, started: asyncio.Task[None]) -> None:
        self._watchdog.beat({})  # from now on only the event loop is watched
        # Lanes first: they finish their transactions while the consumer still holds the partitions,
        # so no other process takes these over yet.
        await self._lanes.end()
        await asyncio.wait({started}, timeout=START_SECONDS)
        abandon(started)
        try:
            await promptly(app.stop(), STOP_SECONDS)
        except Exception as error:
            log.warning("the consumer did not stop cleanly: %s", describe(error))

    def _new_app(self, scratch: str) -> faust.App:
        options = self._options
        app = faust.App(
            options.group,
            env={},  # variables would override these options
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
            # a broker holds a join request until all members have given up their partitions
            broker_request_timeout=options.rebalance_timeout + 5,
            broker_rebalance_timeout=options.rebalance_timeout,
            broker_max_poll_interval=MAX_POLL_SECONDS,
            table_standby_replicas=0,
            TableManager=LaneTables,
        )
        app.transport = transport = ChunkTransport(
            app,
            lanes=self._lanes,
            max_records=options.policy.max_records,
            max_bytes=options.policy.max_bytes,
            client_options=options.client_options,
        )
        app.producer_transport = transport
        self._lanes.configure(
            LaneContext(
                group=options.group,
                policy=options.policy,
                new_producer=self._new_producer,
                batch_bytes=options.batch_bytes,
                offsets=self._offsets,
                barrier_partition=self._barrier_partition,
                tables=self.tables,
                seek=lambda tp, offset: cast(ChunkConsumer, app.consumer).seek_exact(tp, offset),
                on_room=self._lanes.notify_room,
                fatal=self._fail,
                observer=self._observer,
            )
        )
        for agent in self._agents:
            app.agent(app.topic(*agent.topics, schema=ChunkSchema()), name=agent.name)(
                self._deliver
            )
            self.tables.declare(app, agent, options.partitions)
        return app

    async def _deliver(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self._lanes.deliver(event.value)

    def _barrier_partition(self, agent: ChunkAgent, partition: int) -> TP:
        """Partition for a lane's barrier. Lanes of the agents take turns, so no two share a
        partition while there are enough.
        """
        return self._options.barrier.partition_for(
            partition * len(self._agents) + self._agents.index(agent)
        )

    def _new_producer(self, transactional_id: str) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._options.client_options,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(self._options.policy.transaction * 1000),
            acks="all",
            linger_ms=0,
        )
        fail_unadded_batches(producer)
        return producer

    def _fail(self, error: BaseException) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(error)


def _raise_unless_started(start: asyncio.Task[None]) -> None:
    """Raise the error of the consumer's start with an explanation."""
    try:
        start.result()
    except KafkaError as error:
        if error.retriable or isinstance(error, KafkaConnectionError):
            raise BrokerUnavailableError(
                f"the brokers went away when the consumer started ({describe(error)})"
            ) from error
        raise StreamingError(f"the consumer cannot start: {describe(error)}") from error
    except OSError as error:
        raise BrokerUnavailableError(
            f"the brokers went away when the consumer started ({describe(error)})"
        ) from error
