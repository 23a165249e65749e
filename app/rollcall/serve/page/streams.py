"""Server-sent events: streams of which there are not too many, and which end when the client goes
or the process stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rollcall.serve.page.answers import error, stream_headers

MOST_STREAMS = 100

HEARTBEAT_SECONDS = 15.0
"""So often a silent stream says that it is still there: what is in between would take it for dead,
and a client that is gone would not be noticed.
"""

HEARTBEAT = b": still here\n\n"

RETRY_MS = 2_000
"""After which a browser asks again when a stream breaks off."""


def event(name: str, content: Any = None) -> bytes:
    """A named event with JSON, which has no line breaks. Bytes are taken to be JSON already."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


HELLO = b"retry: %d\n" % RETRY_MS + event("hello")
GOODBYE = event("goodbye")
"""The session has ended."""


class Streams:
    """How many streams there are, and whether they have to end."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._ending = asyncio.Event()
        self.count = 0

    def end(self) -> None:
        """End all streams, and let no new one begin."""
        self._ending.set()

    @property
    def refusal(self) -> str | None:
        """Why no stream can begin now; None: one can."""
        if self._ending.is_set():
            return "the process is about to stop"
        return (
            f"{self.count} pages are being watched already, and there can be no more: try again "
            "later"
            if self.count >= self._most
            else None
        )

    def answer(self, events: AsyncGenerator[bytes, None]) -> Response:
        """A stream as an answer."""
        return _EventStream(self, events)

    @contextlib.contextmanager
    def _one_more(self) -> Any:
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    async def ended(self) -> None:
        """Wait until all streams have to end."""
        await self._ending.wait()

    async def run(
        self, events: AsyncGenerator[bytes, None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send events until there are no more, the client is gone, or streams have to end."""
        if self.refusal is not None:
            await error(503, self.refusal)(scope, receive, send)
            return
        with self._one_more():
            headers = [
                (name.lower().encode(), value.encode()) for name, value in stream_headers().items()
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

            async def pump() -> None:
                async for chunk in events:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass

            tasks = [asyncio.create_task(work()) for work in (pump, watch, self.ended)]
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


class _EventStream(Response):
    """Counts from the moment at which it is sent: an answer that is never sent takes no place."""

    def __init__(self, streams: Streams, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(None, 200)
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._streams.run(self._events, scope, receive, send)
        finally:
            await self._events.aclose()
