"""Middleware: size and form of a request's address and headers."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.errors import HttpError
from rollcall.http.headers import text_header_of
from rollcall.http.protocol import MOST_HEAD_BYTES

_SINGLE_HEADERS = (b"host", b"authorization")
"""Headers that decide about access. If one is there twice, a proxy may have checked the other."""

_is_host = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?").fullmatch
"""Valid ``Host``, in lower case. Responses repeat it in ``Link``, in valid syntax only.
"""


class RequestHeadCheck:
    """Refuses a head that is too large (431) or ambiguous (400)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_size(scope)
        _check_single_headers(scope)
        host = text_header_of(scope, b"host").lower()
        if host and not _is_host(host):
            raise _bad_request("the header host is no name or address of a host")
        await self._app(scope, receive, send)


def _check_size(scope: Scope) -> None:
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MOST_HEAD_BYTES:
        raise HttpError(
            431,
            f"address and headers of a request may have {MOST_HEAD_BYTES} bytes",
            headers={"connection": "close"},
        )


def _check_single_headers(scope: Scope) -> None:
    names = [name for name, _ in scope["headers"]]
    for name in _SINGLE_HEADERS:
        if names.count(name) > 1:
            raise _bad_request(f"the header {name.decode()} is there twice")


def _bad_request(message: str) -> HttpError:
    return HttpError(400, message, headers={"connection": "close"})
