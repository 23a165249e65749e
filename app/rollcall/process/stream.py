"""Process that consumes chunks (router, rosters): metrics, health, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from faust.types import TP
from prometheus_client import Gauge

from rollcall.errors import BrokerUnavailableError, ConfigurationError, how_to_install
from rollcall.kafka.batches import BATCH_BYTES
from rollcall.kafka.bounded import abandon, promptly
from rollcall.kafka.client import client_options
from rollcall.kafka.errors import is_passing
from rollcall.kafka.rights import Rights, diagnose, is_refusal
from rollcall.kafka.topics import TopicFinding, barrier_topic
from rollcall.open_files import raise_if_exhausted
from rollcall.process.health import serve_health
from rollcall.process.metrics import StreamMetrics
from rollcall.process.refusals import explain
from rollcall.settings import Settings
from rollcall.streaming.application import StreamingApplication, StreamingOptions
from rollcall.streaming.barrier import BarrierTopic
from rollcall.streaming.chunks import ChunkAgent, ChunkPolicy
from rollcall.streaming.faust.tables import LaneTable
from rollcall.streaming.lane import LaneState
from rollcall.streaming.survey import Membership, PartitionStatus, StreamingError, TopicsGoneError

if TYPE_CHECKING:  # it needs OpenTelemetry, which is optional
    from rollcall.process.tracing import Tracing

log = logging.getLogger(__name__)

SILENCE_SECONDS = 15.0
"""A process is not ready after this time without an answer of the cluster."""

PREPARING_SECONDS = 300.0
"""Time limit for checking topics and creating missing ones, which takes seconds."""

RETRY_SECONDS = 1.0
"""Interval of attempts while the process waits for the cluster."""

REMINDER_SECONDS = 60.0
"""Interval of log lines while the process waits for the cluster."""

Gauges = Mapping[Gauge, Callable[[PartitionStatus], float | None]]
"""Gauges with the labels topic and partition, and their value for a partition; None: no value."""


class Work(NamedTuple):
    """Work of a process, determined by the cluster's topics."""

    agents: Sequence[ChunkAgent]
    max_record_bytes: int
    """Record size that all output topics accept."""
    barrier: BarrierTopic
    outputs: frozenset[str]
    """Topics that the agents write."""


class OldestUnprocessed:
    """Age of the oldest unprocessed record."""

    def __init__(self) -> None:
        self._still: dict[TP, tuple[int | None, float]] = {}
        """Position of each partition with lag, and its time."""

    def seconds(self, statuses: Iterable[PartitionStatus], now: float) -> float:
        """Age of the oldest record that was read and is not committed. For a partition with lag and
        nothing read, the age is unknown: then the time since its last progress.

        Call it regularly, with ``now`` in seconds since the epoch.
        """
        oldest, still = now, {}
        for status in statuses:
            if status.oldest_pending is not None and status.oldest_pending >= 0:
                oldest = min(oldest, status.oldest_pending / 1000)
            elif status.lag:
                earlier = self._still.get(status.tp)
                still[status.tp] = (
                    earlier
                    if earlier is not None and earlier[0] == status.committed
                    else (status.committed, now)
                )
                oldest = min(oldest, still[status.tp][1])
        self._still = still
        return now - oldest


class StreamProcess:
    """Waits for the cluster, and runs agents. Implements
    :class:`rollcall.streaming.lane.LaneObserver`.

    Args:
        name: ``router`` or ``rosters``: last part of the consumer group's name, and the name in the
            log.
        default_port: default of the HTTP port.
        default_gather: default of the time that a chunk waits for more records (seconds).
        prepare: checks the topics and creates the agents. Raises :class:`BrokerUnavailableError` if
            the cluster does not answer, and is called again. Also called again if an output topic
            was deleted.
        gauges: further gauges of partitions.
        on_survey: called every second, for other gauges.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        *,
        name: str,
        rights: Rights,
        default_port: int,
        default_gather: float,
        prepare: Callable[[], Awaitable[Work]],
        metrics: StreamMetrics,
        gauges: Gauges | None = None,
        on_survey: Callable[
            [StreamProcess, Sequence[PartitionStatus]], None
        ] = lambda process, statuses: None,
    ) -> None:
        self.name = name
        self._rights = rights
        self._settings = settings
        self._bootstrap = bootstrap
        self._default_port = default_port
        self._default_gather = default_gather
        self._prepare = prepare
        self._metrics = metrics
        self._gauges: Gauges = {
            metrics.consumer_lag_records: lambda status: status.lag,
            **(gauges or {}),
        }
        self._on_extra_survey = on_survey
        self._tracing = new_tracing(settings, name)
        self._stream: StreamingApplication | None = None
        self._waits_for: str | None = None
        """What the process waits for, as a sentence."""
        self._ending: Callable[[], bool] = lambda: False
        self._oldest = OldestUnprocessed()
        self._reported: set[tuple[str, str]] = set()
        metrics.ready.set_function(lambda: not self.not_ready())

    @property
    def tables(self) -> Iterable[tuple[str, LaneTable]]:
        """Tables of the agents, by agent name."""
        return () if self._stream is None else self._stream.tables.items()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain. Raises a :class:`rollcall.errors.RollcallError` if
        the process must end for another reason.
        """
        self._ending = stop.is_set
        settings = self._settings
        port = self._default_port if settings.port is None else settings.port
        health = serve_health(
            settings.bind,
            port,
            live=self.not_live,
            ready=self.not_ready,
            registry=self._metrics.registry,
        )
        async with self._tracing or contextlib.nullcontext(), health as bound_port:
            log.info(
                "%s started",
                self.name,
                extra={
                    "http": f"http://{settings.bind}:{bound_port}",
                    "group": settings.group(self.name),
                },
            )
            reminded = -math.inf
            while not stop.is_set():
                try:
                    await self._work(stop)
                    break
                except BrokerUnavailableError as error:
                    raise_if_exhausted()
                    self._waits_for = str(error)
                    if time.monotonic() - reminded > REMINDER_SECONDS:
                        reminded = time.monotonic()
                        log.warning("%s; waiting for it", error)
                except TopicsGoneError as error:
                    log.warning("%s; all topics are checked anew, as at start", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RETRY_SECONDS)
        log.info("%s stopped", self.name)

    async def _work(self, stop: asyncio.Event) -> None:
        async def prepare() -> Work:
            return await promptly(self._prepare(), PREPARING_SECONDS)

        preparing = asyncio.ensure_future(prepare())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({preparing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                return
            work = preparing.result()
        except Exception as error:
            if not is_passing(error):
                raise
            raise BrokerUnavailableError(
                f"Kafka at {self._bootstrap} does not answer ({type(error).__name__}); look at "
                "the brokers' logs"
            ) from error
        finally:
            stopped.cancel()
            abandon(preparing)
            await asyncio.wait({preparing})
        log.info(
            "reading", extra={"inputs": [topic for agent in work.agents for topic in agent.topics]}
        )
        agents = (
            work.agents
            if self._tracing is None
            else [
                self._tracing.traced(agent, self._settings.group(self.name))
                for agent in work.agents
            ]
        )
        self._stream = StreamingApplication(
            self._options(work), agents, observer=self, on_survey=self._on_survey
        )
        self._waits_for = None
        try:
            await self._stream.run(stop)
        except StreamingError as error:
            if (explained := explain(error, self._settings, self.name)) is not None:
                raise explained from error
            problem = (
                await diagnose(self._settings, self._bootstrap, self._rights)
                if is_refusal(error)
                else None
            )
            raise (
                error if problem is None else StreamingError(f"{error}; {problem}")
            ) from error.__cause__
        finally:
            self._on_survey([])
            self._stream = None

    def _options(self, work: Work) -> StreamingOptions:
        settings = self._settings
        return StreamingOptions(
            group=settings.group(self.name),
            client_options=client_options(settings, self._bootstrap),
            policy=ChunkPolicy(
                max_records=settings.chunk_records,
                max_bytes=settings.chunk_bytes,
                gather=self._default_gather
                if settings.gather_seconds is None
                else settings.gather_seconds,
                drain=settings.drain_seconds,
                transaction=settings.transaction_timeout_seconds,
                reopen=settings.session_timeout_seconds,
            ),
            session_timeout=settings.session_timeout_seconds,
            group_instance_id=settings.group_instance_id,
            watchdog=settings.watchdog_seconds,
            partitions=settings.partitions,
            barrier=work.barrier,
            outputs=work.outputs,
            batch_bytes=min(BATCH_BYTES, work.max_record_bytes * 7 // 8),
        )

    # --- LaneObserver

    def processed(self, agent: str, seconds: float) -> None:
        """An agent's handler has processed a chunk."""
        self._metrics.chunk_seconds.observe_many((seconds,), agent)

    def committed(self) -> None:
        """A transaction was committed."""
        self._metrics.last_progress_timestamp_seconds.set_to_current_time()

    def produce_failed(self) -> None:
        """A transaction could not be written."""
        self._metrics.produce_failures_total.inc()

    def expired(self, records: int) -> None:
        """Input was deleted before it was read."""
        self._metrics.expired_records_total.inc(records)

    # --- state

    def not_live(self) -> list[str]:
        """Reasons to restart the process."""
        stuck = None if self._stream is None else self._stream.stuck
        return [] if stuck is None else [stuck]

    def not_ready(self) -> list[str]:
        """Reasons why the process is not ready."""
        if self._ending():
            return ["the process is ending"]
        stream = self._stream
        if stream is None or self._waits_for is not None:
            return [self._waits_for or "the topics are being checked"]
        survey, now = stream.survey, time.monotonic()
        reasons = []
        silent = survey.answered_at is None or now - survey.answered_at > SILENCE_SECONDS
        if silent:
            reasons.append("the cluster does not answer")
        elif (
            survey.unmeasured_since is not None and now - survey.unmeasured_since > SILENCE_SECONDS
        ):
            reasons.append(
                "the cluster answers, but does not tell where the inputs end: a partition may "
                "have no leader"
            )
        if survey.missing_inputs:
            reasons.append(f"topics are gone: {', '.join(survey.missing_inputs)}")
        membership = survey.membership
        if membership is not Membership.JOINED and not (
            silent and membership is Membership.COORDINATOR_AWAY
        ):
            reasons.append(membership.value)
        for status in survey.statuses:
            place = f"{status.tp.topic}, partition {status.tp.partition}"
            if status.halt_reason is not None:
                reasons.append(f"{place} is not consumed: {status.halt_reason}")
            elif status.state is LaneState.RESTORING:
                left = "" if status.restoring is None else f", {status.restoring} records are left"
                reasons.append(f"{place} is {status.state.value}{left}")
            elif status.state is not LaneState.OPEN:
                reasons.append(f"{place} is {status.state.value}")
        return reasons

    def _on_survey(self, statuses: list[PartitionStatus]) -> None:
        present = set()
        for status in statuses:
            labels = (status.tp.topic, str(status.tp.partition))
            present.add(labels)
            for gauge, value_of in self._gauges.items():
                if (value := value_of(status)) is not None:
                    gauge.labels(*labels).set(value)
        for labels in self._reported - present:
            for gauge in self._gauges:
                gauge.remove(*labels)
        self._reported = present
        self._metrics.oldest_unprocessed_seconds.set(self._oldest.seconds(statuses, time.time()))
        self._on_extra_survey(self, statuses)


def barrier_topic_of(topics: Iterable[TopicFinding], group: str) -> BarrierTopic:
    """The barrier topic of a group, from findings that are all fine."""
    name = barrier_topic(group)
    partitions = next(finding.partitions for finding in topics if finding.plan.name == name)
    assert partitions, "it was found fine"
    return BarrierTopic(name, partitions)


def new_tracing(settings: Settings, process: str) -> Tracing | None:
    """Tracing for a process; None: disabled.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if settings.trace_ratio is None:
        return None
    try:
        from rollcall.process.tracing import Tracing
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"ROLLCALL_TRACE_RATIO is set, and {error.name} is not there: "
            f"{how_to_install('tracing')}, or unset it"
        ) from None
    # Only the router starts traces: others would start in the middle.
    return Tracing(f"rollcall-{process}", settings.trace_ratio if process == "router" else 0.0)
