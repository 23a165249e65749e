"""The webhook on its server in a thread, with keys of a test and without Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from rollcall.http.server import Server, listen
from rollcall.ingest.https import process
from rollcall.ingest.https.application import LimitedWebhook, Webhook, WebhookOptions, with_limits
from rollcall.ingest.https.certificate import Certificate
from rollcall.ingest.https.key_source import FetchError
from rollcall.ingest.https.keys import Keys
from rollcall.ingest.https.token import Refusal
from rollcall.ingest.metrics import WebhookMetrics
from rollcall.ingest.raw_records import RawRecord
from rollcall.sandbox.canvas.signing import ISSUER, Signer, key_set
from tests.waiting import DEADLINE_SECONDS, wait_until

NOW = 1_800_000_000
PATH = "/events"
EVENT: dict[str, Any] = {
    "metadata": {"event_name": "course_created", "event_time": "2026-11-30T00:00:00Z"},
    "body": {"course_id": "21070000000000565", "name": "Linear Algebra"},
}


new_signer = cache(Signer)


def signer(name: str = "current") -> Signer:
    """A key, made once."""
    return new_signer(name)


def signed(event: dict[str, Any] | None = None, name: str = "current", **claims: Any) -> bytes:
    """The body of a request with an event, as Canvas sends it."""
    return signer(name).request_body({**(event or EVENT), **claims}, NOW)


def payload_of(event: dict[str, Any] | None = None, **claims: Any) -> bytes:
    """The payload of :func:`signed`."""
    return orjson.dumps({**(event or EVENT), **claims, "iss": ISSUER, "iat": NOW})


class MemorySink:
    """Keeps records. A test holds its acknowledgements back, or lets it fail."""

    def __init__(self) -> None:
        self.unavailable_reason: str | None = None
        self.pending_bytes = 0
        self.error: Exception | None = None
        self.records: list[RawRecord] = []
        self.waiting = 0
        self.acknowledging = threading.Event()
        self.acknowledging.set()

    async def send(self, record: RawRecord) -> None:
        """Keep a record, as soon as acknowledgements are allowed."""
        self.waiting += 1
        try:
            while not self.acknowledging.is_set():  # noqa: ASYNC110 - an event of threads
                await asyncio.sleep(0.01)
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        self.records.append(record)


class MemoryKeys:
    """A key set in memory. None: it cannot be fetched."""

    def __init__(self) -> None:
        self.document: bytes | None = key_set([signer()])
        self.reads = 0

    async def read(self) -> bytes:
        """The document."""
        self.reads += 1
        if self.document is None:
            raise FetchError("away")
        return self.document


@dataclass
class Hosted:
    """A webhook in a thread."""

    url: str
    sink: MemorySink
    keys: MemoryKeys
    metrics: WebhookMetrics
    server: Server
    loop: asyncio.AbstractEventLoop
    app: Webhook
    limited: LimitedWebhook

    def count(self, status: int) -> float:
        """Requests with a status."""
        value = self.metrics.registry.get_sample_value(
            "rollcall_ingest_webhook_requests_total", {"status": str(status)}
        )
        assert value is not None
        return value

    def refused(self, reason: Refusal) -> float:
        """Requests refused for a reason."""
        value = self.metrics.registry.get_sample_value(
            "rollcall_ingest_tokens_refused_total", {"reason": reason.value}
        )
        assert value is not None
        return value

    def end_within(self, seconds: float) -> None:
        """:meth:`LimitedWebhook.end_within`, in the server's thread."""
        self.loop.call_soon_threadsafe(self.limited.end_within, seconds)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self.server.server_state.connections)


@contextmanager
def hosting(
    *,
    unsigned: bool = False,
    issuers: tuple[str, ...] = (ISSUER,),
    certificate: Certificate | None = None,
    path: str = PATH,
) -> Iterator[Hosted]:
    """Serve the webhook while the context is open."""
    sink, keys = MemorySink(), MemoryKeys()
    metrics = WebhookMetrics(CollectorRegistry(), Refusal)
    app = Webhook(
        WebhookOptions(issuers=issuers, unsigned=unsigned),
        keys=Keys(keys),
        sink=sink,
        record_key=lambda value: value[:4],
        metrics=metrics,
        clock=lambda: NOW,
    )
    limited = with_limits(app, path, metrics)
    listening = listen("127.0.0.1", 0, hint="")
    server = process.new_server(limited, certificate, graceful_seconds=5)
    scheme = "http" if certificate is None else "https"
    url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
    hosted = Hosted(url, sink, keys, metrics, server, asyncio.new_event_loop(), app, limited)

    async def serve() -> None:
        await server.serve(sockets=[listening])

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: hosted.loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="the server")
    try:
        yield hosted
    finally:
        sink.acknowledging.set()
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()
