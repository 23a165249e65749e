"""Middleware: count and duration of requests, as metrics."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.recorder import ResponseRecorder
from rollcall.process.metrics import ServeMetrics
from rollcall.serve.middleware.paths import HEALTH_PATHS, route_of


class RequestMetrics:
    """Counts each request by route and status, and its duration by route."""

    def __init__(self, app: ASGIApp, metrics: ServeMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        response = ResponseRecorder(send)
        try:
            await self._app(scope, receive, response)
        finally:
            route = route_of(scope)
            if route not in HEALTH_PATHS:
                self._metrics.request(route, response.status, time.perf_counter() - started)
