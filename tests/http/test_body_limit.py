"""Size of bodies."""

from __future__ import annotations

from pathlib import Path

from starlette.types import Receive, Scope, Send

from rollcall.serve.middleware.read_only import MOST_BODY_BYTES
from tests.serve.client import connected, fetch, received
from tests.serve.served import Served, serving
from tests.serve.wire import PATH, request, status_of


def test_a_large_body(served: Served) -> None:
    """A body that is announced as too large is refused."""
    answer = fetch(served.url, PATH, body=b"x" * (MOST_BODY_BYTES + 1))
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert fetch(served.url, PATH, body=b"x" * MOST_BODY_BYTES).status == 200


async def body_length(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads the body, and responds with its length."""
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_a_large_body_in_pieces(tmp_path: Path) -> None:
    """Its length is counted as it comes."""
    with serving(tmp_path, {}, lambda _: body_length) as served:
        for count, status in ((MOST_BODY_BYTES, 200), (MOST_BODY_BYTES + 1, 413)):
            with connected(served.url) as connection:
                connection.sendall(
                    request("/login", "Transfer-Encoding: chunked", method="POST", close=False)
                )
                connection.sendall(b"".join(b"1\r\nx\r\n" for _ in range(count)) + b"0\r\n\r\n")
                assert status_of(connection.recv(100)) == status


def test_a_body_that_is_not_read(served: Served) -> None:
    """The next request on the connection gets its response."""
    with connected(served.url) as connection:
        body = b"x" * 100_000
        connection.sendall(
            request(PATH, f"Content-Length: {len(body)}", method="POST", close=False)
            + body
            + request()
        )
        answers = b"".join(received(connection))
    assert status_of(answers) == 405
    assert b"HTTP/1.1 200 OK" in answers
