"""Who may see the page: whoever has a token, by a session that begins with it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from rollcall.serve.page.answers import PageError
from rollcall.serve.tokens import Tokens

COOKIE = "rollcall_session"

SESSION_SECONDS = 12 * 3600
"""A working day."""

MOST_SESSIONS = 1_000
"""Each begins with a token that is known; with more than these, the oldest ones end."""

_SESSION_BYTES = 32


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who was let in."""

    name: str | None
    """Of the token; None: nobody is asked for one."""
    digest: str = ""
    until: float = float("inf")
    """When the session ends, seconds since the epoch."""
    session: str | None = None


class Access:
    """Sessions, and who is let in. Sessions are in memory only: a new process asks for the token
    again.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._sessions: dict[str, Visitor] = {}

    @property
    def required(self) -> bool:
        """Whether a token is asked for."""
        return self._tokens.required

    def sign_in(self, token: str, now: float) -> Visitor | None:
        """Begin a session; None: nobody has this token."""
        name = self._tokens.name_of(token)
        digest = None if name is None else self._tokens.digest_named(name)
        if digest is None:
            return None
        visitor = Visitor(
            name, digest, now + SESSION_SECONDS, secrets.token_urlsafe(_SESSION_BYTES)
        )
        assert visitor.session is not None
        for session in [
            session for session, known in self._sessions.items() if not self.is_welcome(known, now)
        ]:
            del self._sessions[session]
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[visitor.session] = visitor
        return visitor

    def sign_out(self, headers: Headers) -> None:
        """End the session of a request, if it has one."""
        self._sessions.pop(_session_of(headers) or "", None)

    def visitor(self, headers: Headers, now: float) -> Visitor:
        """Who sends a request.

        Raises:
            PageError: nobody who may.
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
        if visitor is None or not self.is_welcome(visitor, now):
            raise PageError(401, "sign in at /login, or send a token: Authorization: Bearer ...")
        return visitor

    def is_welcome(self, visitor: Visitor, now: float) -> bool:
        """Whether somebody who was let in may still stay: the session has not ended, nor was its
        token taken away.
        """
        if visitor.name is None:
            return True
        if visitor.session is not None and visitor.session not in self._sessions:
            return False
        return now < visitor.until and self._tokens.digest_named(visitor.name) == visitor.digest


def comes_from_here(headers: Headers) -> bool:
    """Whether a form was sent from the page itself, as far as the browser says. A program that is
    no browser says nothing, and has no cookie to misuse.
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
