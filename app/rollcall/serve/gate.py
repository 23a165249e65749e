"""What every request to serve goes through, and nothing gets past: who may ask, how much, and for
how long; and what is noted of it.

Nothing personal is noted: of a request its route, not its path, which has ids of people in it; and
not its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import time
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall.process.metrics import ServeMetrics
from rollcall.serve.api.errors import RETRY_SECONDS, ApiError
from rollcall.serve.api.parameters import normalised
from rollcall.serve.context import ServeContext
from rollcall.serve.protocol import MOST_HEAD_BYTES, SENDING_SECONDS

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 4_096
"""Only a login has a body."""

CLIENT_GONE = 499
"""The status, in log and metrics, of a request whose client did not wait, as nginx has it."""

OTHER_ROUTE = "other"
"""Of requests for what there is not, and of refused ones."""

_READING = ("GET", "HEAD")
_OPEN = ("/livez", "/readyz", "/metrics")
_API = "/api/"
_WRITE_IN_CANVAS = (
    "Rollcall only reads: send this to Canvas itself, and the answer here changes "
    "when Canvas tells of it"
)
_SPECIAL_NAMES = ("localhost", "localhost.localdomain")

_is_host = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?").fullmatch
"""What ``Host`` may be: it comes back in ``Link``, and that header has a syntax of its own."""

_is_parameters = re.compile(r"form|json|multipart").search
"""Kinds of bodies that Rack and Rails read."""

_ONCE = (b"host", b"authorization")
"""Headers on which it depends who may ask: of two, somebody in between may have looked at the other
one.
"""


def is_loopback(host: str) -> bool:
    """Whether an address, or the name of one, is reached from this machine only."""
    if host in _SPECIAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """An ASGI application around another one."""

    def __init__(self, inner: ASGIApp, context: ServeContext, metrics: ServeMetrics) -> None:
        self._inner = inner
        self._context = context
        self._metrics = metrics
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            # Nothing here speaks anything else.
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        began = time.perf_counter()
        method = scope["method"]
        scope = {**scope}  # what is changed for those within, and what they say of it in turn
        answering = _Answering(send)
        try:
            await self._pass(scope, receive, answering)
        except ApiError as error:
            await answering.refuse(error)
        except TimeoutError:
            if answering.status is not None:
                raise
            seconds = self._context.settings.request_seconds
            await answering.refuse(
                ApiError(
                    503,
                    f"the answer took more than {seconds:g} s and was given up; ask for less",
                    headers={"retry-after": RETRY_SECONDS},
                )
            )
        except (ClientDisconnect, ConnectionError):
            pass
        finally:
            self._note(scope, method, answering, time.perf_counter() - began)

    async def _pass(self, scope: Scope, receive: Receive, answering: _Answering) -> None:
        headers = _headers(scope)
        path, method = scope["path"], scope["method"]
        self._check_host(headers)
        if path.startswith(_API):
            self._check_api(scope, headers, method)
            query = parse_qsl(
                scope["query_string"].decode(errors="replace"),
                keep_blank_values=True,
                errors="replace",
            )
            scope["query_string"] = urlencode(normalised(query)).encode()
        if method == "HEAD":
            scope["method"] = "GET"
        if path in _OPEN:
            await self._inner(scope, _bounded(receive, headers), answering)
            return
        if self._running >= self._context.settings.most_requests:
            raise ApiError(
                503,
                "too many requests at once; come back later",
                headers={"retry-after": RETRY_SECONDS},
            )
        self._running += 1
        leave = contextlib.ExitStack()
        leave.callback(self._left)
        with leave:
            async with asyncio.timeout(self._context.settings.request_seconds) as limit:
                # What streams stays for hours, and is counted by who serves it.
                answering.begun(limit, leave)
                await self._inner(scope, _bounded(receive, headers), answering)

    def _left(self) -> None:
        self._running -= 1

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Without tokens, answer nobody but this machine: a page of another site could have its own
        name point here, and read everything.
        """
        if self._context.tokens.required:
            return
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if not is_loopback(name) and name != self._context.settings.bind.lower():
            raise ApiError(
                421,
                "without tokens, this answers to the names of this machine only, such as "
                "localhost; see ROLLCALL_TOKENS_FILE",
            )

    def _check_api(self, scope: Scope, headers: dict[bytes, bytes], method: str) -> None:
        tokens = self._context.tokens
        if tokens.required:
            kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            name = tokens.name_of(token.strip()) if kind.lower() == "bearer" and token else None
            if name is None:
                message = "Invalid access token." if token else "user authorization required"
                raise ApiError(
                    401, message, headers={"www-authenticate": 'Bearer realm="canvas-lms"'}
                )
            scope["rollcall_token"] = name
        if method not in _READING:
            raise ApiError(405, _WRITE_IN_CANVAS, headers={"allow": "GET, HEAD"})
        if _has_parameters(headers):
            message = (
                "body: parameters are taken from the address only; write them there, after "
                "a question mark"
            )
            raise ApiError(400, message, field="body", headers={"connection": "close"})
        if not self._context.follower.progress.complete:
            raise ApiError(
                503,
                "the replica is not complete yet; /readyz says how far it is",
                headers={"retry-after": RETRY_SECONDS},
            )

    def _note(self, scope: Scope, method: str, answering: _Answering, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", OTHER_ROUTE)
        status = answering.status or CLIENT_GONE
        if route in _OPEN:
            return
        self._metrics.request(route, status, seconds)
        log.info(
            "request",
            extra={
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
                "bytes": answering.sent,
                **({"token": scope["rollcall_token"]} if "rollcall_token" in scope else {}),
            },
        )


class _Answering:
    """The way back, with a look at what goes over it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._limit: asyncio.Timeout | None = None
        self._leave: contextlib.ExitStack | None = None
        self.status: int | None = None
        self.sent = 0

    def begun(self, limit: asyncio.Timeout, leave: contextlib.ExitStack) -> None:
        """The request is being answered, within a time."""
        self._limit = limit
        self._leave = leave

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._limit is not None and self._leave is not None:
                streams = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
                self._limit.reschedule(
                    None if streams else asyncio.get_running_loop().time() + SENDING_SECONDS
                )
                if streams:
                    self._leave.close()
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, error: ApiError) -> None:
        """Answer with an error."""
        if self.status is not None:
            return
        self._limit = None  # it may be what has ended the request
        body = orjson.dumps(error.body())
        headers = {
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(body)),
            "x-content-type-options": "nosniff",
            **error.headers,
        }
        await self(
            {
                "type": "http.response.start",
                "status": error.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await self({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Headers by name.

    Raises:
        ApiError: 431, there are too many, or the address is too long; 400, one of them cannot be
            meant.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if (
        len(scope["raw_path"])
        + len(scope["query_string"])
        + sum(len(name) + len(value) for name, value in headers)
        > MOST_HEAD_BYTES
    ):
        raise ApiError(
            431,
            f"address and headers of a request may have {MOST_HEAD_BYTES} bytes",
            headers={"connection": "close"},
        )
    found = dict(headers)
    for once in _ONCE:
        if sum(name == once for name, _ in headers) > 1:
            raise ApiError(
                400, f"the header {once.decode()} is there twice", headers={"connection": "close"}
            )
    host = found.get(b"host", b"").decode("latin-1").lower()
    if host and not _is_host(host):
        raise ApiError(
            400, "the header host is no name or address of a host", headers={"connection": "close"}
        )
    return found


def _has_parameters(headers: dict[bytes, bytes]) -> bool:
    """Whether there is a body from which Rails takes parameters, whatever the method. One that is
    too large is refused as such.
    """
    length = headers.get(b"content-length", b"")
    has_body = b"transfer-encoding" in headers or (
        length.isdigit() and 0 < int(length) <= MOST_BODY_BYTES
    )
    return (
        has_body
        and _is_parameters(headers.get(b"content-type", b"").decode("latin-1").lower()) is not None
    )


def _bounded(receive: Receive, headers: dict[bytes, bytes]) -> Receive:
    """What the client sends, as far as it is not too much."""
    length = headers.get(b"content-length", b"0")
    too_large = ApiError(
        413, f"a request may have {MOST_BODY_BYTES} bytes", headers={"connection": "close"}
    )
    if not length.isdigit() or int(length) > MOST_BODY_BYTES:
        raise too_large
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MOST_BODY_BYTES:
            raise too_large
        return message

    return bounded
