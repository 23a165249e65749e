"""Middleware: HTTP requests only, and a private copy of each request's scope."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class HttpOnly:
    """Rejects websockets, and hands on a copy of the scope.

    The copy is shared by all middlewares and the application: they change it (``method``,
    ``query_string``), and the router writes the route into it. uvicorn's own scope stays as it was,
    because uvicorn leaves out the body of a response to HEAD by looking at ``method``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app({**scope}, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
