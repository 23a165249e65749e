"""Middleware: tokens of the API. The page has sessions of its own (``serve/page/sessions.py``)."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.headers import text_header_of
from rollcall.serve.api.errors import ApiError
from rollcall.serve.middleware.paths import is_api
from rollcall.serve.tokens import Tokens

TOKEN_NAME = "rollcall_token"  # noqa: S105 - a key, not a secret
"""Key in the scope: the name of the request's token, for the access log."""


class Authentication:
    """Refuses API requests without a valid bearer token (401), if tokens are required."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._tokens.required and is_api(scope):
            scope[TOKEN_NAME] = self._token_name(text_header_of(scope, b"authorization"))
        await self._app(scope, receive, send)

    def _token_name(self, authorization: str) -> str:
        scheme, _, token = authorization.partition(" ")
        name = None
        if scheme.lower() == "bearer" and token:
            name = self._tokens.name_of(token.strip())
        if name is None:
            message = "Invalid access token." if token else "user authorization required"
            raise ApiError(401, message, headers={"www-authenticate": 'Bearer realm="canvas-lms"'})
        return name
