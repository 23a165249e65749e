"""The process of ``rollcall ingest https``: builds the webhook and its server, and runs them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection

import uvicorn
from prometheus_client import CollectorRegistry

from rollcall.errors import ConfigurationError
from rollcall.http.addresses import is_loopback
from rollcall.http.protocol import PatientProtocol
from rollcall.http.server import Server, listen
from rollcall.ingest.https.application import (
    MOST_REQUESTS,
    LimitedWebhook,
    Webhook,
    WebhookOptions,
    with_limits,
)
from rollcall.ingest.https.certificate import Certificate
from rollcall.ingest.https.key_source import key_source
from rollcall.ingest.https.keys import Keys
from rollcall.ingest.https.token import Refusal
from rollcall.ingest.metrics import WebhookMetrics
from rollcall.ingest.raw_records import raw_keys
from rollcall.ingest.sink import KafkaSink
from rollcall.open_files import OTHER_FILES, make_room
from rollcall.process.health import serve_health
from rollcall.settings import Settings

log = logging.getLogger(__name__)

DEFAULT_PORT = 9104
"""Of health and metrics."""

MOST_CONNECTIONS = 2 * MOST_REQUESTS + 200
"""Connections at once, idle ones too. A refused connection needs an open file, too."""

KEEP_ALIVE_SECONDS = 75.0
"""Time for which a sender with a valid signature may keep an idle connection. Longer than load
balancers do (60 s): one that sends on a connection that is just being closed loses the request.
"""

SECRET_CHARACTERS = 22
"""Least length of a secret in the path: 128 bits in base64."""

RESERVE_SECONDS = 1.0
"""Part of the time for draining in which the last answers are sent."""


class WebhookProcess:
    """The process of ``rollcall ingest https``.

    Raises:
        ConfigurationError: a setting is wrong, or the address cannot be listened on.
    """

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        _check_unsigned(settings)
        self._settings = settings
        self._certificate = (
            Certificate(settings.webhook_tls_cert_file, settings.webhook_tls_key_file)
            if settings.webhook_tls_cert_file is not None
            else None
        )
        self._metrics = WebhookMetrics(CollectorRegistry(), Refusal)
        self._keys = Keys(key_source(settings.webhook_jwks_url), on_fetch=self._count_fetch)
        self._sink = KafkaSink(settings, bootstrap)
        self._webhook = with_limits(
            Webhook(
                WebhookOptions(
                    issuers=frozenset(settings.webhook_issuers),
                    unsigned=settings.webhook_unsigned,
                ),
                keys=self._keys,
                sink=self._sink,
                record_key=raw_keys(settings).key,
                metrics=self._metrics,
            ),
            settings.webhook_path,
            self._metrics,
        )
        self._ending = False
        self._metrics.ready.set_function(lambda: not self.not_ready())
        self._metrics.kafka_away.set_function(lambda: self._sink.unavailable_reason is not None)
        self._metrics.last_received_timestamp_seconds.set_to_current_time()
        self._metrics.keys_age_seconds.set_function(self._keys_age)
        self._socket = listen(
            settings.webhook_bind,
            settings.webhook_port,
            hint="set ROLLCALL_WEBHOOK_PORT or ROLLCALL_WEBHOOK_BIND",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Take events until ``stop`` is set, then answer what is open.

        Raises:
            RightsError, TopicsError, ConfigurationError: an operator must act.
        """
        settings = self._settings
        make_room(OTHER_FILES + MOST_CONNECTIONS)
        port = DEFAULT_PORT if settings.port is None else settings.port
        health = serve_health(
            settings.bind,
            port,
            live=lambda: (),
            ready=self.not_ready,
            registry=self._metrics.registry,
        )
        try:
            async with health as bound_port, self._fresh() as fresh:
                log.info(
                    "ingest https started",
                    extra={
                        "http": f"http://{settings.bind}:{bound_port}",
                        "webhook": self._url(),
                        "signed": not settings.webhook_unsigned,
                    },
                )
                try:
                    await self._serve(stop, fresh)
                finally:
                    self._ending = True
                    await self._sink.stop(RESERVE_SECONDS)
        finally:
            self._socket.close()
        log.info("ingest https stopped")

    def not_ready(self) -> list[str]:
        """Reasons why events are refused, or soon will be."""
        if self._ending:
            return ["the process is ending"]
        reasons = []
        if (reason := self._sink.unavailable_reason) is not None:
            reasons.append(reason)
        if self._keys.age_seconds is None and not self._settings.webhook_unsigned:
            reasons.append(
                "there are no keys to check signatures with"
                + (f": {self._keys.problem}" if self._keys.problem else "")
            )
        if self._certificate is not None and self._certificate.problem is not None:
            reasons.append(self._certificate.problem)
        return reasons

    async def _serve(self, stop: asyncio.Event, fresh: Collection[asyncio.Task[None]]) -> None:
        """Answer from the first moment on: without Kafka with 503, for Canvas would wait.

        Args:
            fresh: tasks without an end. If one ends, its error is raised.
        """
        drain = self._settings.drain_seconds
        server = new_server(self._webhook, self._certificate, graceful_seconds=drain)
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        try:
            if await self._sink.start_unless(stop):
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait({serving, stopped, *fresh}, return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
                for task in fresh:
                    if task.done():
                        task.result()
        finally:
            self._ending = True
            self._webhook.end_within(max(drain - RESERVE_SECONDS, 0))
            server.should_exit = True
            await serving

    @contextlib.asynccontextmanager
    async def _fresh(self) -> AsyncIterator[Collection[asyncio.Task[None]]]:
        """Keep keys and certificate fresh, in tasks."""
        tasks = [asyncio.create_task(self._keys.keep_fresh())]
        if self._certificate is not None:
            tasks.append(asyncio.create_task(self._certificate.keep_fresh()))
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._keys.close()

    def _url(self) -> str:
        """The webhook's address for the log; without its path if that is a secret."""
        host, port = self._socket.getsockname()[:2]
        scheme = "http" if self._certificate is None else "https"
        path = "" if self._settings.webhook_unsigned else self._settings.webhook_path
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"

    def _keys_age(self) -> float:
        age = self._keys.age_seconds
        return -1.0 if age is None else age

    def _count_fetch(self, success: bool) -> None:
        self._metrics.key_fetches_total.labels("success" if success else "failure").inc()


def new_server(
    webhook: LimitedWebhook, certificate: Certificate | None, *, graceful_seconds: float
) -> Server:
    """The server of a webhook.

    Args:
        graceful_seconds: time for running requests when it ends.
    """
    return Server(
        uvicorn.Config(
            webhook.app,
            http=PatientProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,  # type: ignore[arg-type]
            timeout_graceful_shutdown=graceful_seconds,  # type: ignore[arg-type]
        ),
        None if certificate is None else certificate.context,
    )


def _check_unsigned(settings: Settings) -> None:
    """Without signatures, a secret in the path or a proxy must keep others away.

    Raises:
        ConfigurationError: neither is there.
    """
    if not settings.webhook_unsigned:
        return
    has_secret = any(map(_is_secret, settings.webhook_path.split("/")))
    if not has_secret and not is_loopback(settings.webhook_bind):
        raise ConfigurationError(
            "ROLLCALL_WEBHOOK_UNSIGNED: without signatures, everybody who reaches the webhook "
            "could write events; set ROLLCALL_WEBHOOK_PATH to a path with a secret word of at "
            f"least {SECRET_CHARACTERS} characters, with letters and digits, or "
            "ROLLCALL_WEBHOOK_BIND to 127.0.0.1 behind a proxy that authenticates senders"
        )
    log.warning(
        "ROLLCALL_WEBHOOK_UNSIGNED is on: events are not proven to come from Canvas; %s",
        "keep the path secret" if has_secret else "a proxy must authenticate senders",
    )


def _is_secret(word: str) -> bool:
    """Whether a word of a path can be a secret. Letters without digits are likely words of a
    language, such as ``canvas-live-events-webhook``.
    """
    return (
        len(word) >= SECRET_CHARACTERS
        and any(map(str.isalpha, word))
        and any(map(str.isdigit, word))
    )
