"""A process that consumes chunks, as the router and the rosters are: its metrics, its health, its start and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import Gauge

from app.access import diagnose, is_refusal
from app.health import serve_health
from app.kafka import client_options
from app.metrics import StreamMetrics
from app.settings import Settings
from app.streaming.application import PartitionStatus, StreamingApplication, StreamingError, StreamingOptions
from app.streaming.batches import BATCH_BYTES
from app.streaming.chunks import ChunkAgent, ChunkPolicy
from app.streaming.lane import LaneState
from app.streaming.table_store import TableStore

log = logging.getLogger(__name__)

STOPPING_SECONDS = 4.5
"""Beside the draining of chunks, so much may the rest of the end take: with the default settings a process is gone within 10 s of SIGTERM."""

SILENCE_SECONDS = 15.0
"""Without an answer of the cluster for so long, a process is not ready."""

Gauges = Mapping[Gauge, Callable[[PartitionStatus], float | None]]
"""Gauges with the labels topic and partition, and what each says of a partition; None: nothing."""


class Process(Protocol):
    """What runs until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises a :class:`app.errors.RollcallError` when the process must end for another reason."""


class StreamProcess:
    """Runs agents. Implements :class:`app.streaming.lane.LaneObserver`.

    Args:
        name: ``router`` or ``rosters``: the last word of the consumer group, and how the process is called in its log.
        default_port: of its HTTP, where the settings say nothing.
        default_gather: how long a chunk waits for more records, likewise (seconds).
        max_record_bytes: what all topics take that it writes.
        gauges: further gauges of partitions.
        on_survey: called every second, for gauges of other things.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        *,
        name: str,
        default_port: int,
        default_gather: float,
        agents: Sequence[ChunkAgent],
        metrics: StreamMetrics,
        max_record_bytes: int,
        gauges: Gauges | None = None,
        on_survey: Callable[[StreamProcess, Sequence[PartitionStatus]], None] = lambda process, statuses: None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._bootstrap = bootstrap
        self._default_port = default_port
        self._metrics = metrics
        self._gauges: Gauges = {metrics.consumer_lag_records: lambda status: status.lag, **(gauges or {})}
        self._on_other_survey = on_survey
        self._inputs = [topic for agent in agents for topic in agent.topics]
        self._stream = StreamingApplication(
            StreamingOptions(
                group=settings.group(name),
                client_options=client_options(settings, bootstrap),
                policy=ChunkPolicy(
                    max_records=settings.chunk_records,
                    max_bytes=settings.chunk_bytes,
                    gather=default_gather if settings.gather_seconds is None else settings.gather_seconds,
                    drain=settings.drain_seconds,
                    transaction=settings.transaction_timeout_seconds,
                    reopen=settings.session_timeout_seconds,
                ),
                session_timeout=settings.session_timeout_seconds,
                group_instance_id=settings.group_instance_id,
                watchdog=settings.watchdog_seconds,
                partitions=settings.partitions,
                batch_bytes=min(BATCH_BYTES, max_record_bytes * 7 // 8),
            ),
            agents,
            observer=self,
            on_survey=self._on_survey,
        )
        self._behind_since: float | None = None
        self._reported: set[tuple[str, str]] = set()

    @property
    def tables(self) -> TableStore:
        """The tables of the agents."""
        return self._stream.tables

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain. Raises a :class:`app.errors.RollcallError` when the process must end for another reason."""
        settings = self._settings
        port = self._default_port if settings.port is None else settings.port
        async with serve_health(settings.bind, port, live=self.not_live, ready=self.not_ready, registry=self._metrics.registry) as bound:
            url = f"http://{settings.bind}:{bound}"
            log.info("%s started", self.name, extra={"http": url, "inputs": self._inputs, "group": settings.group(self.name)})
            try:
                await self._stream.run(stop)
            except StreamingError as error:
                lack = await diagnose(settings, self._bootstrap, self.name) if is_refusal(error) else None
                raise error if lack is None else StreamingError(f"{error}; {lack}") from error.__cause__
        log.info("%s stopped", self.name)

    # --- LaneObserver

    def processed(self, agent: str, seconds: float) -> None:
        """A chunk went through an agent's handler."""
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
        """Why the process should be started anew."""
        stuck = self._stream.stuck
        return [] if stuck is None else [stuck]

    def not_ready(self) -> list[str]:
        """Why the process is not ready."""
        reasons = []
        if not self._stream.joined:
            reasons.append("the consumer group has not given this process its partitions yet")
        answered = self._stream.surveyed_at
        if answered is None or time.monotonic() - answered > SILENCE_SECONDS:
            reasons.append("the cluster does not answer")
        for status in self._stream.statuses:
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
        now = time.time()
        present = set()
        oldest: float | None = None
        for status in statuses:
            labels = (status.tp.topic, str(status.tp.partition))
            present.add(labels)
            for gauge, value_of in self._gauges.items():
                if (value := value_of(status)) is not None:
                    gauge.labels(*labels).set(value)
            if status.oldest_pending is not None and status.oldest_pending >= 0:
                oldest = min(oldest or now, status.oldest_pending / 1000)
        for labels in self._reported - present:
            for gauge in self._gauges:
                gauge.remove(*labels)
        self._reported = present
        if any(status.lag for status in statuses):
            self._behind_since = self._behind_since or now
            oldest = min(self._behind_since, oldest or now)
        else:
            self._behind_since = None
        self._metrics.oldest_unprocessed_seconds.set(max(now - oldest, 0.0) if oldest is not None else 0.0)
        self._on_other_survey(self, statuses)


async def run_until_signalled(settings: Settings, start: Callable[[], Awaitable[Process]]) -> None:
    """Run a process until SIGTERM or SIGINT. ``start`` checks the topics and makes it.

    Raises a :class:`app.errors.RollcallError` for whatever a person can mend.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            _exit_after(settings.drain_seconds + STOPPING_SECONDS)

    for number in ending_signals():
        loop.add_signal_handler(number, end)
    process = await start()
    await process.run(stop)


def ending_signals() -> list[signal.Signals]:
    """The signals that end a process in good order. A terminal that is closed is one, unless ``nohup`` has it ignored."""
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL else [])]


def _exit_after(seconds: float) -> None:
    """Whatever hangs while the process stops: it ends. What was not committed is done again by its successor."""

    def exit_now() -> None:
        log.error("the process did not stop in time and is ended")
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()
