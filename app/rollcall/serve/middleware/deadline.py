"""Middleware: time for a response."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall.serve.api.errors import RETRY_SECONDS, ApiError
from rollcall.serve.middleware.headers import starts_stream
from rollcall.serve.middleware.paths import HEALTH_PATHS
from rollcall.serve.protocol import SENDING_SECONDS


class Deadline:
    """Cancels a request that takes too long, and refuses it (503) if no response has started.

    A response that has started gets time for sending, counted from its start. A stream has no
    deadline.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in HEALTH_PATHS:
            await self._app(scope, receive, send)
            return
        has_started = False

        async def send_and_extend(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                now = asyncio.get_running_loop().time()
                timeout.reschedule(None if starts_stream(message) else now + SENDING_SECONDS)
            await send(message)

        try:
            async with asyncio.timeout(self._seconds) as timeout:
                await self._app(scope, receive, send_and_extend)
        except TimeoutError:
            if has_started:
                raise
            raise ApiError(
                503,
                f"the answer took more than {self._seconds:g} s and was given up; ask for less",
                headers={"retry-after": RETRY_SECONDS},
            ) from None
