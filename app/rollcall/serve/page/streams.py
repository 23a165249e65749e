"""Server-sent events: a limited number of streams, which end with the client or the process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rollcall.serve.page.responses import error_response, stream_headers

MOST_STREAMS = 100

HEARTBEAT_SECONDS = 15.0
"""Interval of heartbeats in a silent stream. Without them, proxies would close the stream, and
serve would not notice that a client is gone.
"""

HEARTBEAT = b": still here\n\n"

RETRY_MS = 2_000
"""Pause of a browser before it opens a broken stream again."""


def event(name: str, content: Any = None) -> bytes:
    """A named event with JSON, which has no line breaks.

    Args:
        content: bytes are JSON already.
    """
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


HELLO = b"retry: %d\n" % RETRY_MS + event("hello")
GOODBYE = event("goodbye")
"""The session has ended."""


class Streams:
    """The running streams of a process."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._ending = asyncio.Event()
        self.count = 0

    def end(self) -> None:
        """End all streams, and refuse new ones."""
        self._ending.set()

    @property
    def refusal(self) -> str | None:
        """Why no stream can start now; None: one can."""
        if self._ending.is_set():
            return "the process is about to stop"
        if self.count >= self._most:
            return (
                f"{self.count} pages are being watched already, and there can be no more: try "
                "again later"
            )
        return None

    def response(self, events: AsyncGenerator[bytes, None]) -> Response:
        """A stream as a response."""
        return _EventStream(self, events)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a stream while the context is open."""
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    async def ended(self) -> None:
        """Wait until all streams have to end."""
        await self._ending.wait()


class _EventStream(Response):
    """Counts as a stream from the moment when it is sent: a response that is never sent takes no
    place.
    """

    def __init__(self, streams: Streams, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(None, 200)
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if (refusal := self._streams.refusal) is not None:
                await error_response(503, refusal)(scope, receive, send)
                return
            with self._streams.counted():
                await self._run(receive, send)
        finally:
            await self._events.aclose()

    async def _run(self, receive: Receive, send: Send) -> None:
        """Send events until they end, the client is gone, or streams have to end."""
        headers = [
            (name.lower().encode(), value.encode()) for name, value in stream_headers().items()
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        tasks = [
            asyncio.create_task(self._send_events(send)),
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(self._streams.ended()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        async for chunk in self._events:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
