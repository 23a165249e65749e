"""Middleware: time for a response."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall.http.errors import unavailable
from rollcall.http.headers import starts_stream
from rollcall.http.protocol import SENDING_SECONDS


class Deadline:
    """Cancels a request that takes too long, and refuses it (503) if no response has started.

    A response that has started gets time for sending, counted from its start. A stream has no
    deadline.

    Args:
        exempt: paths without this limit.
        close: whether a refused client loses its connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        seconds: float,
        *,
        exempt: Collection[str] = (),
        close: bool = False,
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._exempt = frozenset(exempt)
        self._close = close
        self._running: set[asyncio.Timeout] = set()

    def end_within(self, seconds: float) -> None:
        """Give all running requests that have no response yet at most so many seconds more."""
        latest = asyncio.get_running_loop().time() + seconds
        for timeout in self._running:
            when = timeout.when()
            timeout.reschedule(latest if when is None else min(when, latest))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_and_extend(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                self._running.discard(timeout)
                now = asyncio.get_running_loop().time()
                timeout.reschedule(None if starts_stream(message) else now + SENDING_SECONDS)
            await send(message)

        try:
            async with asyncio.timeout(self._seconds) as timeout:
                self._running.add(timeout)
                try:
                    await self._app(scope, receive, send_and_extend)
                finally:
                    self._running.discard(timeout)
        except TimeoutError:
            if has_started:
                raise
            raise unavailable(
                f"the answer took more than {self._seconds:g} s and was given up; ask for less",
                close=self._close,
            ) from None
