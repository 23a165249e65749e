"""Hosts that are served without tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcall.errors import ConfigurationError
from rollcall.http.addresses import is_loopback
from rollcall.serve.process import ServeProcess
from rollcall.serve.tokens import add_token
from rollcall.settings import load_settings
from tests.serve.client import connected, exchange, fetch
from tests.serve.served import Served, serving
from tests.serve.wire import PATH, PEOPLE, status_of

ANY = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.5.5.5",
        "[::1]",
        "[::1]:8080",
        "localhost.localdomain",
    ],
)
def test_hosts_of_this_machine(served: Served, host: str) -> None:
    """They are served without a token."""
    assert fetch(served.url, PATH, headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        ANY,
        "192.0.2.1",
        "[2001:db8::1]:80",
        "[::]",
        "2130706433",
        "127.1",
    ],
)
@pytest.mark.parametrize("path", [PATH, "/openapi.json", "/nowhere"])
def test_other_hosts(served: Served, host: str, path: str) -> None:
    """A page of another site could point its own name to this machine: it gets nothing."""
    answer = fetch(served.url, path, headers={"Host": host})
    assert answer.status == 421
    assert "ROLLCALL_TOKENS_FILE" in answer.message


def test_no_host(served: Served) -> None:
    """A request without the header gets nothing either."""
    with connected(served.url) as connection:
        assert status_of(exchange(connection, f"GET {PATH} HTTP/1.0\r\n\r\n".encode())) == 421


def test_loopback() -> None:
    """Names and addresses of this machine, and others that look like them."""
    assert all(map(is_loopback, ("127.0.0.1", "::1", "[::1]", "localhost", "127.255.255.254")))
    assert not any(
        map(
            is_loopback,
            ("", ANY, "::", "::ffff:1.2.3.4", "localhost.example", "10.0.0.1", "127.0.0.1:80"),
        )
    )


@pytest.mark.parametrize("bind", [ANY, "::", "192.0.2.1", "rollcall.example"])
def test_no_other_address_without_tokens(tmp_path: Path, bind: str) -> None:
    """The error says what to do."""
    with pytest.raises(
        ConfigurationError, match=r"ROLLCALL_BIND=.*rollcall token new NAME.*ROLLCALL_TOKENS_FILE"
    ):
        ServeProcess(load_settings(data=tmp_path, bind=bind, port=0), "127.0.0.1:1")


def test_other_hosts_with_tokens(tmp_path: Path) -> None:
    """With a token, any host name is served."""
    token = add_token(tmp_path / "tokens", "somebody")
    with serving(tmp_path, PEOPLE, tokens_file=tmp_path / "tokens") as served:
        answer = fetch(
            served.url,
            PATH,
            headers={"Host": "rollcall.example:8443", "Authorization": f"Bearer {token}"},
        )
        assert answer.links["first"].startswith("http://rollcall.example:8443/api/v1/")
        assert (
            fetch(
                served.url, PATH, headers={"Host": "a>b", "Authorization": f"Bearer {token}"}
            ).status
            == 400
        )
