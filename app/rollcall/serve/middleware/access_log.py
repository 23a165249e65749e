"""Middleware: one log entry for each request."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.recorder import ResponseRecorder
from rollcall.serve.middleware.authentication import TOKEN_NAME
from rollcall.serve.middleware.paths import HEALTH_PATHS, route_of

log = logging.getLogger(__name__)


class AccessLog:
    """Logs each request, without personal data: the route instead of the path, the name of the
    token, no address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        method = scope["method"]  # HEAD becomes GET further in
        response = ResponseRecorder(send)
        try:
            await self._app(scope, receive, response)
        finally:
            route = route_of(scope)
            if route not in HEALTH_PATHS:
                milliseconds = (time.perf_counter() - started) * 1000
                entry = {
                    "method": method,
                    "route": route,
                    "status": response.status,
                    "ms": round(milliseconds, 1),
                    "bytes": response.body_bytes,
                }
                if TOKEN_NAME in scope:
                    entry["token"] = scope[TOKEN_NAME]
                log.info("request", extra=entry)
