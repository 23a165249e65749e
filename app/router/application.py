"""The router as a process: topics checked, pipeline built, chunks consumed, health and metrics served."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from app.events.pipeline import Pipeline
from app.events.redaction import Redactor
from app.events.registry import REGISTRY
from app.events.validation import load_validators
from app.health import serve_health
from app.kafka import client_options
from app.metrics import RouterMetrics
from app.router.breaker import BreakerPolicy
from app.router.handler import RouterHandler, RouterKit
from app.router.records import TimestampWindow
from app.settings import Settings
from app.streaming.application import PartitionStatus, StreamingApplication, StreamingOptions
from app.streaming.batches import BATCH_BYTES
from app.streaming.chunks import ChunkPolicy
from app.streaming.lane import LaneState
from app.streaming.partitioner import partitioner
from app.topics import TopicFinding, TopicNames, ensure_topics

log = logging.getLogger(__name__)

DEFAULT_PORT = 9101

DEFAULT_RECORD_BYTES = 1_048_588
"""``max.message.bytes`` of Kafka, where a cluster does not tell."""

STOPPING_SECONDS = 4.5
"""Beside the draining of chunks, so much may the rest of the end take: with the default settings a process is gone within 10 s of SIGTERM."""

SILENCE_SECONDS = 15.0
"""Without an answer of the cluster for so long, the router is not ready."""


class Router:
    """The router application."""

    def __init__(self, settings: Settings, bootstrap: str, topics: Sequence[TopicFinding]) -> None:
        self._settings = settings
        self._names = TopicNames(settings.topic_prefix)
        self.metrics = RouterMetrics(CollectorRegistry(), REGISTRY)
        redactor = Redactor(settings.redact_parameters) if settings.redact and settings.redact_parameters else None
        outputs = [finding.limits for finding in topics if finding.plan.name != self._names.raw]
        self._kit = RouterKit(
            pipeline=Pipeline(load_validators(), shard=settings.shard, redactor=redactor),
            names=self._names,
            partitions=settings.partitions,
            partition_of=partitioner(settings.partitions),
            max_record_bytes=min((limits.record_bytes for limits in outputs if limits.record_bytes is not None), default=DEFAULT_RECORD_BYTES),
            retention_ms=min((limits.retention_ms for limits in outputs if limits.retention_ms is not None and limits.retention_ms >= 0), default=None),
            window=TimestampWindow(
                ahead_ms=min((limits.ahead_ms for limits in outputs if limits.ahead_ms is not None), default=None),
                behind_ms=min((limits.behind_ms for limits in outputs if limits.behind_ms is not None), default=None),
            ),
            breaker=BreakerPolicy(settings.breaker_ratio, settings.breaker_events),
            metrics=self.metrics,
        )
        self._stream = StreamingApplication(
            StreamingOptions(
                group=settings.group("router"),
                topics=(self._names.raw,),
                client_options=client_options(settings, bootstrap),
                policy=ChunkPolicy(
                    max_records=settings.chunk_records,
                    max_bytes=settings.chunk_bytes,
                    gather=settings.gather_seconds,
                    drain=settings.drain_seconds,
                    reopen=settings.session_timeout_seconds,
                ),
                session_timeout=settings.session_timeout_seconds,
                group_instance_id=settings.group_instance_id,
                transaction_timeout=settings.transaction_timeout_seconds,
                watchdog=settings.watchdog_seconds,
                batch_bytes=min(BATCH_BYTES, self._kit.max_record_bytes * 7 // 8),
            ),
            new_handler=lambda _partition: RouterHandler(self._kit),
            observer=self,
            on_survey=self._on_survey,
        )
        self._behind_since: float | None = None
        self._reported: set[tuple[str, str]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Route until ``stop`` is set, then drain. Raises a :class:`app.errors.RollcallError` when the process must end for another reason."""
        settings = self._settings
        port = DEFAULT_PORT if settings.port is None else settings.port
        async with serve_health(settings.bind, port, live=self.not_live, ready=self.not_ready, registry=self.metrics.registry) as bound:
            log.info("router started", extra={"http": f"http://{settings.bind}:{bound}", "input": self._names.raw, "group": settings.group("router")})
            await self._stream.run(stop)
        log.info("router stopped")

    # --- LaneObserver

    def processed(self, seconds: float) -> None:
        """A chunk went through the pipeline."""
        self.metrics.chunk_seconds.observe_many((seconds,))

    def committed(self) -> None:
        """A transaction was committed."""
        self.metrics.last_progress_timestamp_seconds.set_to_current_time()

    def produce_failed(self) -> None:
        """A transaction could not be written."""
        self.metrics.produce_failures_total.inc()

    def expired(self, records: int) -> None:
        """Input was deleted before it was read."""
        self.metrics.expired_records_total.inc(records)

    # --- state

    def not_live(self) -> list[str]:
        """Why the router should be started anew."""
        stuck = self._stream.stuck
        return [] if stuck is None else [stuck]

    def not_ready(self) -> list[str]:
        """Why the router is not ready."""
        reasons = []
        if not self._stream.joined:
            reasons.append("the consumer group has not given this process its partitions yet")
        answered = self._stream.surveyed_at
        if answered is None or time.monotonic() - answered > SILENCE_SECONDS:
            reasons.append("the cluster does not answer")
        for status in self._stream.statuses:
            if status.halt_reason is not None:
                reasons.append(f"partition {status.tp.partition} is not consumed: {status.halt_reason}")
            elif status.state is not LaneState.OPEN:
                reasons.append(f"partition {status.tp.partition} is {status.state.value}")
        return reasons

    def _on_survey(self, statuses: list[PartitionStatus]) -> None:
        metrics = self.metrics
        now = time.time()
        present = set()
        oldest: float | None = None
        for status in statuses:
            labels = (status.tp.topic, str(status.tp.partition))
            present.add(labels)
            if status.lag is not None:
                metrics.consumer_lag_records.labels(*labels).set(status.lag)
            metrics.breaker_open.labels(*labels).set(status.state is LaneState.HALTED)
            if status.oldest_pending is not None and status.oldest_pending >= 0:
                oldest = min(oldest or now, status.oldest_pending / 1000)
        for labels in self._reported - present:
            metrics.consumer_lag_records.remove(*labels)
            metrics.breaker_open.remove(*labels)
        self._reported = present
        if any(status.lag for status in statuses):
            self._behind_since = self._behind_since or now
            oldest = min(self._behind_since, oldest or now)
        else:
            self._behind_since = None
        metrics.oldest_unprocessed_seconds.set(max(now - oldest, 0.0) if oldest is not None else 0.0)


async def run_router(settings: Settings, bootstrap: str) -> None:
    """Check the topics and route until SIGTERM or SIGINT. Raises a :class:`app.errors.RollcallError` for whatever a person can mend."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            _exit_after(settings.drain_seconds + STOPPING_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    topics = await ensure_topics(settings, bootstrap)
    await Router(settings, bootstrap, topics).run(stop)


def _exit_after(seconds: float) -> None:
    """Whatever hangs while the process stops: it ends. What was not committed is done again by its successor."""

    def exit_now() -> None:
        log.error("the router did not stop in time and is ended")
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()
