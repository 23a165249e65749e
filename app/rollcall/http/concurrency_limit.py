"""Middleware: number of requests at once."""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall.http.errors import unavailable
from rollcall.http.headers import starts_stream


class ConcurrencyLimit:
    """Refuses a request (503) if too many are running.

    A stream counts until it starts only: it lasts for hours, and the page limits its streams
    itself.

    Args:
        exempt: paths without this limit.
        close: whether a refused client loses its connection.
    """

    def __init__(
        self, app: ASGIApp, limit: int, *, exempt: Collection[str] = (), close: bool = False
    ) -> None:
        self._app = app
        self._limit = limit
        self._exempt = frozenset(exempt)
        self._close = close
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        if self._running >= self._limit:
            raise unavailable("too many requests at once; come back later", close=self._close)
        self._running += 1
        is_counted = True

        async def send_and_release(message: Message) -> None:
            nonlocal is_counted
            if is_counted and starts_stream(message):
                is_counted = False
                self._running -= 1
            await send(message)

        try:
            await self._app(scope, receive, send_and_release)
        finally:
            if is_counted:
                self._running -= 1
