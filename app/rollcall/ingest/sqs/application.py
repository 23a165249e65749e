"""The process of ``rollcall ingest sqs``."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import CollectorRegistry

from rollcall.ingest.metrics import SqsMetrics
from rollcall.ingest.raw_records import raw_keys
from rollcall.ingest.sink import KafkaSink
from rollcall.ingest.sqs.client import Queue
from rollcall.ingest.sqs.source import SqsSource
from rollcall.process.health import serve_health
from rollcall.settings import Settings

log = logging.getLogger(__name__)

DEFAULT_PORT = 9103

STOPPING_SECONDS = 5.0
"""Time limit for a stop, besides the open call to the queue."""


def stopping_seconds(settings: Settings) -> float:
    """Time limit of a stop."""
    return settings.sqs_wait_seconds + STOPPING_SECONDS


class SqsProcess:
    """The process of ``rollcall ingest sqs``.

    Raises:
        ConfigurationError: there is no queue, or a setting is wrong.
    """

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._queue = Queue(settings)
        self._keys = raw_keys(settings)
        self._metrics = SqsMetrics(CollectorRegistry())
        self._bootstrap = bootstrap
        self._sink: KafkaSink | None = None
        self._source: SqsSource | None = None

    def not_ready(self) -> list[str]:
        """Why events do not arrive on the raw topic; empty: they do."""
        if self._sink is None or self._source is None:
            return ["the process is starting"]
        reason = self._sink.unavailable_reason
        return [*([] if reason is None else [reason]), *self._source.problems]

    async def run(self, stop: asyncio.Event) -> None:
        """Move events until ``stop`` is set.

        Raises:
            RightsError, TopicsError, ConfigurationError: an operator must act.
        """
        settings, metrics = self._settings, self._metrics
        self._sink = sink = KafkaSink(settings, self._bootstrap)
        metrics.ready.set_function(lambda: not self.not_ready())
        metrics.kafka_away.set_function(lambda: sink.unavailable_reason is not None)
        metrics.last_received_timestamp_seconds.set_to_current_time()
        health = serve_health(
            settings.bind,
            DEFAULT_PORT if settings.port is None else settings.port,
            live=list,
            ready=self.not_ready,
            registry=metrics.registry,
        )
        async with health as port:
            log.info(
                "ingest sqs started",
                extra={"http": f"http://{settings.bind}:{port}", "queue": self._queue.name},
            )
            try:
                if await sink.start_unless(stop):
                    async with self._queue:
                        self._source = SqsSource(
                            settings, queue=self._queue, sink=sink, keys=self._keys, metrics=metrics
                        )
                        await self._source.run(stop)
            finally:
                # what the source has left to the queue is not waited for
                await sink.stop(0)
        log.info("ingest sqs stopped")
