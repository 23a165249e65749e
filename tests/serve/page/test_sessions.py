"""Who is let in, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.datastructures import Headers

from rollcall.serve.page.responses import PageError
from rollcall.serve.page.sessions import (
    COOKIE,
    MOST_SESSIONS,
    SESSION_SECONDS,
    Sessions,
    is_same_origin,
)
from rollcall.serve.tokens import Tokens, add_token, digest_of, new_token, revoke_token


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of tokens."""
    return tmp_path / "tokens"


def cookie(session: str | None) -> Headers:
    """Headers of a request with a session."""
    return Headers({"cookie": f"other=1; {COOKIE}={session}"})


def test_a_session_begins_with_a_token_and_ends_by_itself(path: Path) -> None:
    token = add_token(path, "registrar")
    sessions = Sessions(Tokens(path))
    assert sessions.sign_in("rollcall_wrong", now=0.0) is None
    visitor = sessions.sign_in(token, now=0.0)
    assert visitor is not None
    assert visitor.session is not None
    assert len(visitor.session) >= 40
    assert sessions.visitor(cookie(visitor.session), now=SESSION_SECONDS - 1) == visitor
    assert not sessions.is_valid(visitor, now=SESSION_SECONDS)
    with pytest.raises(PageError) as refused:
        sessions.visitor(cookie(visitor.session), now=SESSION_SECONDS)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"cookie": ""},
        {"cookie": f"{COOKIE}="},
        {"cookie": f"{COOKIE}=made-up"},
        {"cookie": ";;=\x01"},
        {"authorization": "Bearer no"},
    ],
)
def test_nobody_else_is_let_in(path: Path, headers: dict[str, str]) -> None:
    sessions = Sessions(Tokens((add_token(path, "registrar"), path)[1]))
    with pytest.raises(PageError):
        sessions.visitor(Headers(headers), now=0.0)


def test_the_token_itself_does_too(path: Path) -> None:
    token = add_token(path, "program")
    assert (
        Sessions(Tokens(path)).visitor(Headers({"authorization": f"bearer {token}"}), now=0.0).name
        == "program"
    )


def test_a_session_ends_with_its_token(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollcall.serve.tokens.CHECK_SECONDS", 0.0)
    token, other = new_token(), new_token()
    path.write_text(f"registrar {digest_of(token)}\noperator {digest_of(other)}\n")
    sessions = Sessions(Tokens(path))
    visitor, stays = sessions.sign_in(token, now=0.0), sessions.sign_in(other, now=0.0)
    assert visitor is not None
    assert stays is not None
    revoke_token(path, "registrar")
    assert not sessions.is_valid(visitor, now=1.0)
    assert sessions.is_valid(stays, now=1.0)
    path.write_text(f"registrar {digest_of(new_token())}\n")
    assert not sessions.is_valid(visitor, now=1.0), (
        "another token of the same name is another token"
    )


def test_signing_out_ends_the_session(path: Path) -> None:
    token = add_token(path, "registrar")
    sessions = Sessions(Tokens(path))
    visitor = sessions.sign_in(token, now=0.0)
    assert visitor is not None
    sessions.sign_out(cookie(visitor.session))
    assert not sessions.is_valid(visitor, now=1.0)
    sessions.sign_out(Headers({}))


def test_there_are_not_too_many_sessions(path: Path) -> None:
    token = add_token(path, "registrar")
    sessions = Sessions(Tokens(path))
    visitors = [sessions.sign_in(token, now=0.0) for _ in range(MOST_SESSIONS + 3)]
    welcome = [visitor is not None and sessions.is_valid(visitor, now=1.0) for visitor in visitors]
    assert welcome == [False] * 3 + [True] * MOST_SESSIONS


def test_without_tokens_everybody_is_let_in() -> None:
    sessions = Sessions(Tokens(None))
    assert not sessions.required
    visitor = sessions.visitor(Headers({}), now=0.0)
    assert visitor.name is None
    assert sessions.is_valid(visitor, now=1e12)


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({}, True),
        ({"origin": "http://rollcall.example:8080"}, True),
        ({"origin": "https://ROLLCALL.example:8080"}, True),
        ({"origin": "http://rollcall.example"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://rollcall.example:8080.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_where_a_form_comes_from(headers: dict[str, str], is_ours: bool) -> None:
    assert is_same_origin(Headers({"host": "rollcall.example:8080"} | headers)) == is_ours
