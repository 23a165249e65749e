"""Middleware: no answers from a replica that is still being built."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.errors import RETRY_SECONDS
from rollcall.serve.api.errors import ApiError
from rollcall.serve.middleware.paths import is_api


class CompleteReplica:
    """Refuses API requests (503) until the replica has all rows: missing rows would look like
    rows that do not exist.
    """

    def __init__(self, app: ASGIApp, is_complete: Callable[[], bool]) -> None:
        self._app = app
        self._is_complete = is_complete

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_api(scope) and not self._is_complete():
            raise ApiError(
                503,
                "the replica is not complete yet; /readyz says how far it is",
                headers={"retry-after": RETRY_SECONDS},
            )
        await self._app(scope, receive, send)
