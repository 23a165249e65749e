"""Broken, slow and pipelined requests, as they come over a connection."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from rollcall.http import protocol
from rollcall.http.protocol import MOST_WAITING, PatientProtocol
from tests.processes import wait_until
from tests.serve.client import DEADLINE, connected, exchange, fetch, received
from tests.serve.served import Served, serving
from tests.serve.wire import PATH, PEOPLE, answer_on, request, status_of
from tests.waiting import eventually

MUCH = 64 * 1024**2
PIPELINED = 300
"""Requests of a client that does not read. Their responses are many times larger than the buffers
of a connection, and their heads are smaller.
"""
HEAD_SECONDS = 3.0
"""For tests of slower clients. All others need less, on any machine."""


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        request(PATH, "Transfer-Encoding: chunked", method="POST", close=False) + b"0\r\nX: ",
    ],
)
def test_a_head_without_end(served: Served, beginning: bytes) -> None:
    """The server stops reading. A body may have headers at its end, too."""
    with connected(served.url) as connection:
        connection.sendall(beginning)
        assert sent_until_closed(connection) < MUCH


def sent_until_closed(connection: socket.socket) -> int:
    """Number of bytes that a server takes of an endless request."""
    sent = 0
    try:
        while sent < MUCH:
            sent += connection.send(b"x" * 8_192)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


@pytest.mark.parametrize(
    "broken",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/courses/565?search_term=\xc3\x89 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"BREW /api/v1/courses/565 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_broken_requests(served: Served, broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets an error, nothing fails, and the log does not repeat the request."""
    with connected(served.url) as connection:
        connection.sendall(broken)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(received(connection))
    assert answer == b"" or 400 <= status_of(answer) < 500
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert fetch(served.url, PATH).status == 200


def test_an_address_as_a_whole(served: Served) -> None:
    """As in a request to a proxy: the same response, and the same check."""
    with connected(served.url) as connection:
        assert status_of(exchange(connection, request(f"http://evil.example{PATH}"))) == 200
    with connected(served.url) as connection:
        assert (
            status_of(
                exchange(
                    connection,
                    request(f"http://localhost{PATH}").replace(
                        b"Host: localhost", b"Host: evil.example"
                    ),
                )
            )
            == 421
        )


def test_several_requests_at_once(served: Served) -> None:
    """Responses come in the order of the requests."""
    with connected(served.url) as connection:
        paths = [f"{PATH}?per_page=1&page={number}" for number in range(1, 17)]
        connection.sendall(b"".join(request(path, close=False) for path in paths))
        answers = [answer_on(connection) for _ in paths]
    assert [json.loads(answer.partition(b"\r\n\r\n")[2])[0]["id"] for answer in answers] == list(
        range(1, 17)
    )


class Burst(PatientProtocol):
    """A protocol that counts the requests that it parses."""

    begun = 0

    def on_message_begin(self) -> None:
        """Called for the beginning of a request."""
        self.begun += 1
        super().on_message_begin()


class FakeTransport(asyncio.Transport):
    """A connection without a peer."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.reads = True
        self.closed = False
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """No limits."""

    def pause_reading(self) -> None:
        """Read nothing more."""
        self.reads = False

    def resume_reading(self) -> None:
        """Read on."""
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep an answer."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.closed

    def close(self) -> None:
        """Close it."""
        self.closed = True


class Answers:
    """An application that answers when it is allowed to."""

    def __init__(self) -> None:
        self.allowed = asyncio.Semaphore(0)
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await receive()
        self.asked += 1
        await self.allowed.acquire()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests."""
        await eventually(lambda: self.asked == times, what=f"request {times}")


def burst_protocol(application: ASGIApp) -> tuple[Burst, FakeTransport]:
    """A new connection."""
    config = uvicorn.Config(application, ws="none", lifespan="off", log_config=None)
    config.load()
    burst, transport = Burst(config, ServerState(), {}), FakeTransport()
    burst.connection_made(transport)
    return burst, transport


async def test_a_burst_of_requests() -> None:
    """The connection is closed. What comes in the same read is not even looked at."""
    burst, transport = burst_protocol(Answers())
    burst.data_received(request(close=False) * 10_000)
    assert transport.closed
    assert burst.begun <= MOST_WAITING + 2
    assert len(burst.pipeline) <= MOST_WAITING + 1
    assert not burst._cycles
    assert transport.written == b""
    burst.connection_lost(None)


async def test_nothing_is_read_while_requests_wait() -> None:
    """Neither after an answer, nor when the next request asks for its body: requests would come in
    as fast as they are answered, and their bodies for nothing.
    """
    answers = Answers()
    burst, transport = burst_protocol(answers)
    burst.data_received(request(close=False) * (MOST_WAITING + 1))
    assert not transport.closed
    for number in range(1, MOST_WAITING + 1):
        await answers.until_asked(number)
        assert not transport.reads
        assert len(burst.pipeline) == MOST_WAITING + 1 - number
        answers.allowed.release()
    await answers.until_asked(MOST_WAITING + 1)
    assert transport.reads
    answers.allowed.release()
    await eventually(lambda: burst.cycle.response_complete, what="the last answer")
    burst.data_received(request(close=False))
    assert [*burst._cycles] == [burst.cycle]
    assert transport.written.count(b"HTTP/1.1 204") == MOST_WAITING + 1
    answers.allowed.release()
    await eventually(lambda: burst.cycle.response_complete, what="another answer")
    burst.connection_lost(None)


def test_clients_that_do_not_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends, however much of a request has come, and however slowly the rest comes.
    Other clients are served meanwhile.
    """
    monkeypatch.setattr(protocol, "HEAD_SECONDS", HEAD_SECONDS)
    sent = {
        "nothing": b"",
        "some": b"GET / HTTP/1.1\r\nHost: lo",
        "after a request": request(close=False) + b"GET /",
        "after a request, an empty line": request(close=False) + b"\r\n",
        "a body that is not read": request(PATH, "Content-Length: 4000", method="POST", close=False)
        + b"x",
    }
    with serving(tmp_path, PEOPLE) as served:
        connections = {name: connected(served.url) for name in sent}
        ended = set[str]()

        def trickle() -> bool:
            for name in sent.keys() - ended:
                try:
                    if name != "nothing":
                        connections[name].send(
                            b"x" if name != "after a request, an empty line" else b"\r\n"
                        )
                    if not connections[name].recv(65_536, socket.MSG_DONTWAIT):
                        ended.add(name)
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    ended.add(name)
            assert fetch(served.url, PATH).status == 200
            return ended == sent.keys()

        for name, beginning in sent.items():
            connections[name].sendall(beginning)
        wait_until(trickle, what="the end of all connections")
        for connection in connections.values():
            connection.close()


def test_an_answer_takes_longer_than_a_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit of a head holds neither for the response, nor for a request that waits for its
    turn.
    """
    monkeypatch.setattr(protocol, "HEAD_SECONDS", HEAD_SECONDS)
    with serving(tmp_path, PEOPLE) as served:
        read, calls, rest = served.context.reader.read, 0, threading.Event()

        async def slow(function: Any) -> Any:
            nonlocal calls
            calls += 1
            await asyncio.sleep(HEAD_SECONDS + 0.5)
            await asyncio.to_thread(rest.wait, DEADLINE)
            return await read(function)

        monkeypatch.setattr(served.context.reader, "read", slow)
        with connected(served.url) as connection:
            connection.sendall(request(close=False) + request(close=False)[:40])
            wait_until(lambda: calls == 1, what="the first request")
            connection.sendall(request(close=False)[40:])
            rest.set()
            assert [status_of(answer_on(connection)) for _ in range(2)] == [200, 200]


def test_clients_that_do_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They delay no other client, and are disconnected in the end."""
    monkeypatch.setattr(protocol, "SENDING_SECONDS", 5.0)
    monkeypatch.setattr(protocol, "MOST_WAITING", PIPELINED)
    running = 0

    def counting(application: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal running
            running += 1
            try:
                await application(scope, receive, send)
            finally:
                running -= 1

        return counted

    with serving(tmp_path, PEOPLE, counting) as served:
        lazy = [socket.socket() for _ in range(4)]
        for connection in lazy:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.settimeout(DEADLINE)
            connection.connect(("127.0.0.1", int(served.url.rpartition(":")[2])))
            connection.sendall(request(f"{PATH}?per_page=100", close=False) * PIPELINED)
        wait_until(lambda: running == len(lazy), what="responses that no client reads")
        assert fetch(served.url, PATH).status == 200
        wait_until(lambda: running == 0, what="the end of the clients that do not read")
        for connection in lazy:
            assert b"".join(received(connection)).count(b"HTTP/1.1 200 OK") < PIPELINED
            connection.close()
