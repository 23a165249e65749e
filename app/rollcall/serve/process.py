"""The process of ``rollcall serve``: builds the replica, the application and the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

import uvicorn
from aiokafka.errors import KafkaError

from rollcall.errors import BrokerUnavailableError, ConfigurationError, RollcallError
from rollcall.http.addresses import is_loopback
from rollcall.http.protocol import PatientProtocol
from rollcall.http.server import Server, listen
from rollcall.kafka.bounded import promptly
from rollcall.kafka.rights import check_rights
from rollcall.open_files import OTHER_FILES, make_room
from rollcall.serve.application import new_application
from rollcall.serve.context import ServeContext
from rollcall.serve.health import Health
from rollcall.serve.middleware.stack import with_middlewares
from rollcall.serve.page.page import Page
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.reading import ReplicaReader
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.rights import serve_rights
from rollcall.serve.tokens import Tokens
from rollcall.settings import Settings

log = logging.getLogger(__name__)

DEFAULT_PORT = 8080

STOPPING_SECONDS = 3
"""Time for running requests when the process ends."""

SWITCH_SECONDS = 0.0005
"""Interval in which Python switches threads. The follower's thread computes for milliseconds at a
time; with Python's default, each step of a request would wait 5 ms for it.
"""

PATIENCE_SECONDS = 5.0
"""Time for the cluster to answer. After it, serve starts without Kafka."""

_WATCH_SECONDS = 0.2


def _most_connections(settings: Settings) -> int:
    """Limit of connections at once. A refused connection needs an open file, too."""
    return 2 * settings.most_requests + 200


class ServeError(RollcallError):
    """The follower failed, and ended the process."""


class ServeProcess:
    """The process of ``rollcall serve``.

    Raises:
        ConfigurationError: a setting is wrong, or the address cannot be listened on.
        ReplicaError: another process writes the replica.
    """

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
            settings.bind,
            DEFAULT_PORT if settings.port is None else settings.port,
            hint="set ROLLCALL_PORT or ROLLCALL_BIND",
        )
        try:
            self._store = ReplicaStore(settings.replica_file, settings.topic_prefix)
        except BaseException:
            self._socket.close()
            raise
        feed = Feed()
        self._follower = Follower(settings, bootstrap, self._store, feed)
        self._reader = ReplicaReader(settings.replica_file, self._follower.report_damage)
        context = ServeContext(
            settings=settings,
            bootstrap=bootstrap,
            reader=self._reader,
            follower=self._follower,
            feed=feed,
            tokens=tokens,
        )
        self._tokens_required = tokens.required
        self._page = Page(context)
        application = new_application(context, page=self._page, health_state=Health(context))
        self._server = Server(
            uvicorn.Config(
                with_middlewares(application, context, application.state.metrics),
                http=PatientProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Limits connections, idle ones too. A middleware limits requests, and says why.
                limit_concurrency=_most_connections(settings),
                timeout_keep_alive=5,
                timeout_graceful_shutdown=STOPPING_SECONDS,
            )
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set.

        Raises:
            RightsError, ConfigurationError: Kafka refuses the connection, or a right is missing.
            ServeError: the follower failed; the log has the reason.
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
                        "tokens": self._tokens_required,
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


async def _check_rights(settings: Settings, bootstrap: str) -> None:
    """Check that serve may read its topics.

    Serve starts even if the cluster does not answer: it has the replica, and the follower retries.
    """
    try:
        await promptly(check_rights(settings, bootstrap, serve_rights(settings)), PATIENCE_SECONDS)
    except (BrokerUnavailableError, KafkaError, TimeoutError) as error:
        log.warning(
            "starting without Kafka: %s",
            str(error) or f"no answer from {bootstrap} within {PATIENCE_SECONDS:.0f} s",
        )
