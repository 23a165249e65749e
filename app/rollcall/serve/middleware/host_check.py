"""Middleware: without tokens, only the names of this machine are served."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.addresses import is_loopback
from rollcall.http.headers import text_header_of
from rollcall.serve.api.errors import ApiError


class HostCheck:
    """Refuses other hosts (421) if no token is required.

    This prevents DNS rebinding: a foreign page could point its own host name to this machine and
    read everything through the browser.

    Args:
        bind: the address that serve listens on; its own name is served too.
        tokens_required: with tokens, any host is served.
    """

    def __init__(self, app: ASGIApp, *, bind: str, tokens_required: bool) -> None:
        self._app = app
        self._bind = bind.lower()
        self._tokens_required = tokens_required

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._tokens_required:
            name = _without_port(text_header_of(scope, b"host").lower())
            if not is_loopback(name) and name != self._bind:
                raise ApiError(
                    421,
                    "without tokens, this answers to the names of this machine only, such as "
                    "localhost; see ROLLCALL_TOKENS_FILE",
                )
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    """The name or address in ``Host``; an IPv6 address keeps its brackets."""
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
