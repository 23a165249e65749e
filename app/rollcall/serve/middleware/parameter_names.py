"""Middleware: names of query parameters, as Canvas's Rails would read them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.serve.api.parameter_names import normalised
from rollcall.serve.middleware.paths import is_api


class ParameterNames:
    """Rewrites the query of an API request with the names that the routes know, or refuses it
    (400).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_api(scope):
            query = parse_qsl(
                scope["query_string"].decode(errors="replace"),
                keep_blank_values=True,
                errors="replace",
            )
            scope["query_string"] = urlencode(normalised(query)).encode()
        await self._app(scope, receive, send)
