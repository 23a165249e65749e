"""Middleware: the API only reads."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.headers import header_of, text_header_of
from rollcall.serve.api.errors import ApiError
from rollcall.serve.middleware.paths import is_api

MOST_BODY_BYTES = 4_096
"""Largest body of a request. Only a login has one."""

_READ_METHODS = ("GET", "HEAD")

_is_parameter_type = re.compile(r"form|json|multipart").search
"""Content types from which Rack and Rails read parameters."""


class ReadOnly:
    """Refuses API requests that would write (405), or that have parameters in the body (400)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_api(scope):
            if scope["method"] not in _READ_METHODS:
                raise ApiError(
                    405,
                    "Rollcall only reads: send this to Canvas itself, and the answer here changes "
                    "when Canvas tells of it",
                    headers={"allow": "GET, HEAD"},
                )
            if _has_body_parameters(scope):
                raise ApiError(
                    400,
                    "body: parameters are taken from the address only; write them there, after "
                    "a question mark",
                    field="body",
                    headers={"connection": "close"},
                )
        await self._app(scope, receive, send)


def _has_body_parameters(scope: Scope) -> bool:
    """Whether Rails would take parameters from the body, which it does with every method.

    False for a body that is too large: the limit of bodies refuses it.
    """
    length = header_of(scope, b"content-length")
    has_body = (length.isdigit() and 0 < int(length) <= MOST_BODY_BYTES) or any(
        name == b"transfer-encoding" for name, _ in scope["headers"]
    )
    return has_body and bool(_is_parameter_type(text_header_of(scope, b"content-type").lower()))
