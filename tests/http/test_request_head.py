"""Size and form of address and headers."""

from __future__ import annotations

import pytest

from rollcall.http.protocol import MOST_HEAD_BYTES
from tests.serve.client import connected, exchange
from tests.serve.served import Served
from tests.serve.wire import PATH, request, status_of


@pytest.mark.parametrize(
    "host",
    [
        "a>b",
        'localhost"',
        "user@localhost",
        "localhost/",
        "[::1",
        "localhost:http",
        "localhost:999999",
        "loc alhost",
        "löcalhost",
        "a,b",
        "::1",
    ],
)
def test_invalid_hosts(served: Served, host: str) -> None:
    """They are refused, because links repeat the header."""
    with connected(served.url) as connection:
        answer = exchange(connection, request(PATH).replace(b"localhost", host.encode("latin-1")))
    assert status_of(answer) == 400


@pytest.mark.parametrize(
    "twice",
    [
        ["Host: localhost"],
        ["Host: evil.example"],
        ["Authorization: Bearer a", "Authorization: Bearer b"],
    ],
)
def test_duplicate_headers(served: Served, twice: list[str]) -> None:
    """They are refused, because a proxy may have checked the other one."""
    with connected(served.url) as connection:
        assert status_of(exchange(connection, request(PATH, *twice))) == 400


@pytest.mark.parametrize(
    "head",
    [
        request(f"{PATH}?x=" + "x" * MOST_HEAD_BYTES),
        request("/" + "x" * MOST_HEAD_BYTES),
        request(PATH, "X: " + "x" * MOST_HEAD_BYTES),
        request(PATH, *(f"X-{number}: x" for number in range(MOST_HEAD_BYTES // 5))),
    ],
    ids=["query", "path", "header", "headers"],
)
def test_a_large_head(served: Served, head: bytes) -> None:
    """It is refused. A head just below the limit is served."""
    with connected(served.url) as connection:
        assert status_of(exchange(connection, head)) == 431
    almost = request(PATH, "X: " + "x" * (MOST_HEAD_BYTES - 500))
    with connected(served.url) as connection:
        assert status_of(exchange(connection, almost)) == 200
