"""The webhook as an ASGI application: takes a signed event, and answers with 204 after Kafka's
acknowledgement.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.errors import RollcallError
from rollcall.http.body_limit import BodyLimit
from rollcall.http.concurrency_limit import ConcurrencyLimit
from rollcall.http.deadline import Deadline
from rollcall.http.error_responses import ErrorResponses
from rollcall.http.errors import HttpError, unavailable
from rollcall.http.http_only import HttpOnly
from rollcall.http.recorder import ResponseRecorder
from rollcall.http.request_head import RequestHeadCheck
from rollcall.ingest.https.bodies import Bodies
from rollcall.ingest.https.keys import Keys, KeysUnavailableError
from rollcall.ingest.https.token import Refusal, TokenError, parse_token, verified_payload
from rollcall.ingest.metrics import WebhookMetrics
from rollcall.ingest.raw_records import HTTPS, SOURCE_HEADER, RawRecord
from rollcall.ingest.sink import RecordTooLargeError

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 2 * 1024**2
"""Largest body. A token is a third longer than its event."""

MOST_HELD_BYTES = 64 * 1024**2
"""Bytes of all bodies that are not acknowledged by Kafka yet. One half is for events, and the other
one for bodies that nobody has checked: they cannot take the place of events.
"""

MOST_REQUESTS = 500
"""Requests at once. Others are refused."""

REQUEST_SECONDS = 10.0
"""Time for a request from its head to its answer. Canvas waits for 15 s."""

_CLOSE = {"connection": "close"}
"""Only senders with a valid signature keep their connection."""


class Sink(Protocol):
    """Takes records to Kafka: :class:`rollcall.ingest.sink.KafkaSink`."""

    @property
    def unavailable_reason(self) -> str | None: ...

    @property
    def pending_bytes(self) -> int: ...

    async def send(self, record: RawRecord) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """What the webhook accepts."""

    issuers: Collection[str]
    """Allowed issuers; none: any."""
    unsigned: bool
    """Whether a body that is no token is taken as an event."""


class Webhook:
    """Verifies events and sends them on. The limits are around it: :func:`with_limits`.

    Args:
        record_key: the key of a raw record, from its value.
        clock: Unix time, in seconds.
    """

    def __init__(
        self,
        options: WebhookOptions,
        *,
        keys: Keys,
        sink: Sink,
        record_key: Callable[[bytes], bytes],
        metrics: WebhookMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._keys = keys
        self._sink = sink
        self._record_key = record_key
        self._metrics = metrics
        self._clock = clock
        self.bodies = Bodies(MOST_HELD_BYTES // 2)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self._check_kafka(close=True)
        await self._write(await self._received(receive))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _check_kafka(self, size: int = 0, *, close: bool) -> None:
        """Check that Kafka takes records, and that there is room for one of this size.

        Args:
            close: whether a refused sender loses its connection.

        Raises:
            HttpError: one of them is not so.
        """
        if (reason := self._sink.unavailable_reason) is not None:
            raise _unavailable("Kafka takes no records", reason, close=close)
        if self._sink.pending_bytes + size > MOST_HELD_BYTES // 2:
            raise _unavailable("too many bytes are waiting for Kafka", close=close)

    async def _received(self, receive: Receive) -> bytes:
        """The event of a request. Its body is held no more."""
        async with self.bodies.held(receive) as body:
            return await self._event(body)

    async def _event(self, body: bytes) -> bytes:
        """The event in a body, as bytes.

        Raises:
            HttpError: the body has no event of Canvas.
        """
        try:
            return await self._verified(body)
        except TokenError as error:
            if self._options.unsigned and error.refusal is Refusal.NOT_A_TOKEN and body.strip():
                return body
            self._metrics.tokens_refused_total.labels(error.refusal.value).inc()
            # A message for each reason: of lines with the same one, most are left out.
            log.warning("refused a request to the webhook: " + error.message)
            status = 400 if error.refusal is Refusal.NOT_A_TOKEN else 401
            raise HttpError(status, error.message, headers=_CLOSE) from None

    async def _verified(self, body: bytes) -> bytes:
        token = parse_token(body)
        try:
            key = await self._keys.key(token.key_id)
        except KeysUnavailableError:
            raise _unavailable("the keys of signatures cannot be fetched", close=True) from None
        if key is None:
            raise TokenError(Refusal.UNKNOWN_KEY, "the token's key (kid) is not in the key set")
        return verified_payload(token, key, issuers=self._options.issuers, now=self._clock())

    async def _write(self, event: bytes) -> None:
        metrics = self._metrics
        metrics.event_bytes.observe(len(event))
        metrics.last_received_timestamp_seconds.set(self._clock())
        self._check_kafka(len(event), close=False)
        record = RawRecord(self._record_key(event), event, ((SOURCE_HEADER, HTTPS.encode()),))
        try:
            await self._sink.send(record)
            metrics.produced_total.inc()
        except RecordTooLargeError as error:
            metrics.refused_total.inc()
            log.warning("refused an event from the webhook: %s", error)
            raise HttpError(413, "the event is too large", headers=_CLOSE) from None
        except RollcallError as error:
            raise _unavailable("Kafka takes no records", str(error), close=False) from None


def _unavailable(message: str, details: str = "see /readyz", *, close: bool) -> HttpError:
    """503.

    Args:
        message: for the sender.
        details: for the log.
        close: whether the sender loses its connection.
    """
    log.warning("the webhook cannot take events: %s (%s)", message, details)
    return unavailable(message, close=close)


class Target:
    """Middleware: the webhook's path (else 404) and method (else 405)."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # In constant time: the path may have a secret.
        if not hmac.compare_digest(scope["path"].encode(), self._path):
            raise HttpError(404, "there is nothing here", headers=_CLOSE)
        if scope["method"] != "POST":
            raise HttpError(405, "events come by POST", headers={**_CLOSE, "allow": "POST"})
        await self._app(scope, receive, send)


class AnswerMetrics:
    """Middleware: counts requests by the status of their answers, and their duration."""

    def __init__(self, app: ASGIApp, metrics: WebhookMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        response = ResponseRecorder(send)
        failed = False
        try:
            await self._app(scope, receive, response)
        except Exception:
            failed = True  # uvicorn answers with 500, if there is no answer yet
            raise
        finally:
            status = 500 if failed and not response.started else response.status
            self._metrics.request(status, time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class LimitedWebhook:
    """The webhook with its limits, for a server."""

    app: ASGIApp
    deadline: Deadline

    def end_within(self, seconds: float) -> None:
        """Answer all running requests in this time."""
        self.deadline.end_within(seconds)


def with_limits(webhook: Webhook, path: str, metrics: WebhookMetrics) -> LimitedWebhook:
    """Put the limits around the webhook."""
    # Within the deadline, because it waits for the client.
    deadline = Deadline(BodyLimit(webhook, MOST_BODY_BYTES), REQUEST_SECONDS, close=True)
    # Around the deadline: a place is free only when the request has really ended.
    app: ASGIApp = ConcurrencyLimit(deadline, MOST_REQUESTS, close=True)
    # Cheap refusals take no place.
    app = RequestHeadCheck(Target(app, path))
    return LimitedWebhook(HttpOnly(AnswerMetrics(ErrorResponses(app), metrics)), deadline)
