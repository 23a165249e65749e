"""Sessions of the page. A session starts with a token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from rollcall.serve.page.responses import PageError
from rollcall.serve.tokens import Tokens

COOKIE = "rollcall_session"

SESSION_SECONDS = 12 * 3600
"""A working day."""

MOST_SESSIONS = 1_000
"""Limit of sessions in memory. Above it, the oldest ones end."""

_SESSION_BYTES = 32


@dataclass(frozen=True, slots=True)
class Visitor:
    """A visitor who may see the page."""

    name: str | None
    """Name of the token; None: no token is required."""
    digest: str = ""
    until: float = float("inf")
    """End of the session, seconds since the epoch."""
    session: str | None = None


class Sessions:
    """All sessions of a process, in memory only: after a restart, visitors sign in again."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._sessions: dict[str, Visitor] = {}

    @property
    def required(self) -> bool:
        """Whether visitors need a token."""
        return self._tokens.required

    def sign_in(self, token: str, now: float) -> Visitor | None:
        """Start a session; None: the token is unknown."""
        name = self._tokens.name_of(token)
        digest = None if name is None else self._tokens.digest_named(name)
        if digest is None:
            return None
        session = secrets.token_urlsafe(_SESSION_BYTES)
        self._remove_old(now)
        visitor = Visitor(name, digest, now + SESSION_SECONDS, session)
        self._sessions[session] = visitor
        return visitor

    def _remove_old(self, now: float) -> None:
        """Remove sessions that have ended, and make room for one more."""
        self._sessions = {
            session: visitor
            for session, visitor in self._sessions.items()
            if self.is_valid(visitor, now)
        }
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def sign_out(self, headers: Headers) -> None:
        """End the session of a request, if it has one."""
        self._sessions.pop(_session_of(headers) or "", None)

    def visitor(self, headers: Headers, now: float) -> Visitor:
        """The visitor who sent a request: by a bearer token, or by a session.

        Raises:
            PageError: 401, the request has neither.
        """
        if not self._tokens.required:
            return Visitor(None)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            name = self._tokens.name_of(token.strip())
            digest = None if name is None else self._tokens.digest_named(name)
            if digest is not None:
                return Visitor(name, digest)
        visitor = self._sessions.get(_session_of(headers) or "")
        if visitor is None or not self.is_valid(visitor, now):
            raise PageError(401, "sign in at /login, or send a token: Authorization: Bearer ...")
        return visitor

    def is_valid(self, visitor: Visitor, now: float) -> bool:
        """Whether a visitor may still see the page: the session has not ended, and the token is
        still accepted.
        """
        if visitor.name is None:
            return True
        if visitor.session is not None and visitor.session not in self._sessions:
            return False
        return now < visitor.until and self._tokens.digest_named(visitor.name) == visitor.digest


def is_same_origin(headers: Headers) -> bool:
    """Whether a form was sent by the page itself, as far as the browser says so.

    True for programs that are no browsers: they send no such headers, and have no cookie that
    another site could misuse.
    """
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _session_of(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value
