"""Middleware: size of a request's body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall.http.errors import HttpError
from rollcall.http.headers import header_of


class BodyLimit:
    """Refuses a body that is too large (413), by its announced and by its real length."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = header_of(scope, b"content-length", b"0")
        if not length.isdigit() or int(length) > self._limit:
            raise self._too_large()
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._too_large()
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_large(self) -> HttpError:
        return HttpError(
            413, f"a request may have {self._limit} bytes", headers={"connection": "close"}
        )
