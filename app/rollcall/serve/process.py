"""``rollcall serve`` as a process: the replica, the server and their health."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Iterator

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.gzip import GZipMiddleware

from rollcall.errors import BrokerUnavailableError, ConfigurationError, RollcallError
from rollcall.kafka.bounded import promptly
from rollcall.kafka.rights import check_rights
from rollcall.open_files import OTHER_FILES, make_room
from rollcall.process.metrics import ServeMetrics
from rollcall.serve.api.application import new_application, routes_of
from rollcall.serve.context import ServeContext
from rollcall.serve.gate import OTHER_ROUTE, Gate, is_loopback
from rollcall.serve.page.router import Page
from rollcall.serve.protocol import PatientProtocol
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.progress import Progress
from rollcall.serve.replica.reading import ReplicaReader
from rollcall.serve.replica.relations import RELATIONS
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.rights import serve_rights
from rollcall.serve.tokens import Tokens
from rollcall.settings import Settings

log = logging.getLogger(__name__)

DEFAULT_PORT = 8080

GZIP_BYTES = 1_000
GZIP_LEVEL = 5
"""A page of 100 enrollments takes 1 ms, and is a twelfth in the end; the highest level takes four
times as long for little.
"""

STOPPING_SECONDS = 3
"""So long may requests take to finish when the process ends."""

SWITCH_SECONDS = 0.0005
"""The thread that follows the topics computes for milliseconds at a time, and with Python's default
a request would wait for 5 of them at each step.
"""

PATIENCE_SECONDS = 5.0
"""So long a cluster may take to answer before serve starts without it."""

_WATCH_SECONDS = 0.2


def _most_connections(settings: Settings) -> int:
    """How many clients may be connected at once. The one after that is told to come back, and needs
    a file for that, too.
    """
    return 2 * settings.most_requests + 200


class ServeError(RollcallError):
    """Serving has ended by itself."""


class ServeProcess:
    """The process."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        tokens = Tokens(settings.tokens_file)
        if not tokens.required and not is_loopback(settings.bind):
            raise ConfigurationError(
                f"ROLLCALL_BIND={settings.bind}: without tokens, rosters are served on the "
                "loopback address only; "
                "make a token with 'rollcall token new NAME', and set ROLLCALL_TOKENS_FILE"
            )
        self._settings = settings
        self._bootstrap = bootstrap
        self._socket = listen(
            settings.bind, DEFAULT_PORT if settings.port is None else settings.port
        )
        try:
            self._store = ReplicaStore(settings.replica_file, settings.topic_prefix)
        except BaseException:
            self._socket.close()
            raise
        feed = Feed()
        self._follower = Follower(settings, bootstrap, self._store, feed)
        self._reader = ReplicaReader(settings.replica_file, self._follower.doubt)
        context = ServeContext(settings, bootstrap, self._reader, self._follower, feed, tokens)
        self._tokens = tokens
        self._told = Progress()
        self._page = Page(context)
        application = new_application(context, [self._health(), self._page.router])
        routes = [*routes_of(application), OTHER_ROUTE]
        self._metrics = ServeMetrics(
            CollectorRegistry(), [relation.name for relation in RELATIONS], routes
        )
        gate = Gate(
            GZipMiddleware(application, minimum_size=GZIP_BYTES, compresslevel=GZIP_LEVEL),
            context,
            self._metrics,
        )
        self._server = _Server(
            uvicorn.Config(
                gate,
                http=PatientProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Of connections, also such as say nothing; requests are counted by the gate, which
                # tells why it refuses.
                limit_concurrency=_most_connections(settings),
                timeout_keep_alive=5,
                timeout_graceful_shutdown=STOPPING_SECONDS,
            )
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set.

        Raises:
            RightsError, ConfigurationError: Kafka does not let serve in, or not read what it must.
            ServeError: the replica is no longer kept, for a reason that is in the log.
        """
        host, port = self._socket.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        sys.setswitchinterval(SWITCH_SECONDS)
        make_room(2 * OTHER_FILES + _most_connections(self._settings))
        try:
            await _check_rights(self._settings, self._bootstrap)
            self._follower.start()
            async with self._page.running():
                serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
                log.info(
                    "serve started",
                    extra={
                        "http": url,
                        "replica": str(self._settings.replica_file),
                        "tokens": self._tokens.required,
                    },
                )
                try:
                    while not (
                        stop.is_set() or serving.done() or self._follower.failure is not None
                    ):
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(_WATCH_SECONDS):
                                await stop.wait()
                finally:
                    self._page.end_streams()
                    self._server.should_exit = True
                    await serving
        finally:
            await asyncio.to_thread(self._follower.stop)
            self._reader.close()
            self._store.close()
            self._socket.close()
        if self._follower.failure is not None:
            raise ServeError(f"the replica is no longer kept ({self._follower.failure!r})")
        log.info("serve stopped")

    def not_ready(self) -> list[str]:
        """Why answers may be missing something."""
        progress, now = self._follower.progress, time.time()
        reasons = []
        if progress.problem is not None:
            reasons.append(progress.problem)
        if not progress.complete:
            left = sum(progress.lag.values())
            reasons.append(
                f"the replica is being built, {left} records are left"
                if progress.lag
                else "the replica is being built"
            )
        elif (freshness := progress.freshness(now)) > self._settings.stale_seconds:
            reasons.append(
                f"the replica has lacked something for {freshness:.0f} s "
                f"({sum(progress.lag.values())} records at the last look)"
            )
        if self._tokens.problem is not None:
            reasons.append(self._tokens.problem)
        return reasons

    def _show_progress(self) -> None:
        progress, metrics = self._follower.progress, self._metrics
        metrics.replica_freshness_seconds.set(progress.freshness(time.time()))
        metrics.replica_complete.set(progress.complete)
        metrics.ready.set(not self.not_ready())
        for relation, count in progress.rows.items():
            metrics.replica_rows.labels(relation).set(count)
        metrics.consumer_lag_records.clear()
        for (topic, partition), lag in progress.lag.items():
            metrics.consumer_lag_records.labels(topic, str(partition)).set(lag)
        metrics.replica_records_total.inc(progress.records - self._told.records)
        metrics.replica_unusable_records_total.inc(progress.unusable - self._told.unusable)
        metrics.replica_rebuilds_total.inc(progress.rebuilds - self._told.rebuilds)
        self._told = progress

    def _health(self) -> APIRouter:
        router = APIRouter()

        @router.get("/livez")
        async def livez() -> Response:
            return JSONResponse({"status": "ok"})

        @router.get("/readyz")
        async def readyz() -> Response:
            reasons = self.not_ready()
            freshness = round(self._follower.progress.freshness(time.time()), 3)
            status = {"status": "failing", "reasons": reasons} if reasons else {"status": "ok"}
            return JSONResponse({**status, "freshness_seconds": freshness}, 503 if reasons else 200)

        @router.get("/metrics")
        async def metrics() -> Response:
            self._show_progress()
            return Response(
                generate_latest(self._metrics.registry),
                headers={"content-type": CONTENT_TYPE_LATEST},
            )

        return router


class _Server(uvicorn.Server):
    """uvicorn's, which leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def listen(bind: str, port: int) -> socket.socket:
    """A socket on an address.

    Raises:
        ConfigurationError: it cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((bind, port), family=family, backlog=512)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {bind}:{port} ({error.strerror or error}); set ROLLCALL_PORT or "
            "ROLLCALL_BIND"
        ) from None
    # Connections inherit it. An answer's head and body are two writes, and the second would wait 40
    # ms for the client to acknowledge the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


async def _check_rights(settings: Settings, bootstrap: str) -> None:
    """See to it that serve may read its topics.

    A cluster that does not answer is no reason not to serve: the replica does, and its follower
    tries again.
    """
    try:
        await promptly(check_rights(settings, bootstrap, serve_rights(settings)), PATIENCE_SECONDS)
    except (BrokerUnavailableError, KafkaError, TimeoutError) as error:
        log.warning(
            "starting without Kafka: %s",
            str(error) or f"nobody answers at {bootstrap} within {PATIENCE_SECONDS:.0f} s",
        )
