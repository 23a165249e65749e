"""What gets past the gate, and what does not: hosts, sizes, times, numbers, slow and broken
clients, and what the log tells of all that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from rollcall.errors import ConfigurationError
from rollcall.serve import protocol
from rollcall.serve.api import queries
from rollcall.serve.gate import MOST_BODY_BYTES, Gate, is_loopback
from rollcall.serve.process import ServeProcess
from rollcall.serve.protocol import MOST_HEAD_BYTES
from rollcall.serve.tokens import add_token
from rollcall.settings import load_settings
from tests.processes import wait_until
from tests.serve.asking import DEADLINE, ask, opened, received, said
from tests.serve.page.rows import SHARD, course, group, member, person, section, together
from tests.serve.served import Served, serving

ANY = "0.0.0.0"  # noqa: S104
MUCH = 64 * 1024**2
PATH = "/api/v1/courses/565/enrollments"
PIPELINED = 300
"""Requests of a client that does not read: their answers are many times what is buffered for a
connection, their heads less than serve does.
"""

HEAD_SECONDS = 3.0
"""For tests of those who take longer. All others need less, on any machine."""

PEOPLE = together(
    course("Physics"),
    section("Monday"),
    *(person(number, f"Person {number}") for number in range(1, 101)),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A course, served without tokens."""
    with serving(tmp_path_factory.mktemp("serve"), PEOPLE) as served:
        yield served


def request(path: str = PATH, *headers: str, method: str = "GET", close: bool = True) -> bytes:
    """As it is written."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *headers,
        *(["Connection: close"] if close else []),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def status_of(answer: bytes) -> int:
    """The status of an answer as it came."""
    return int(answer.split(b" ", 2)[1])


def answer_on(connection: socket.socket) -> bytes:
    """The next whole answer of a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1)
    head = found.lower()
    left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while left:
        part = connection.recv(left)
        assert part
        found, left = found + part, left - len(part)
    return found


# --- who may ask


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
    """They may ask without a token."""
    assert ask(served.url, PATH, headers={"Host": host}).status == 200


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
    """A page of another site could have its own name point to this machine: nothing is told to
    it.
    """
    answer = ask(served.url, path, headers={"Host": host})
    assert answer.status == 421
    assert "ROLLCALL_TOKENS_FILE" in answer.message


def test_no_host(served: Served) -> None:
    """Nothing is told either."""
    with opened(served.url) as connection:
        assert status_of(said(connection, f"GET {PATH} HTTP/1.0\r\n\r\n".encode())) == 421


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
def test_hosts_that_are_none(served: Served, host: str) -> None:
    """The header comes back in links."""
    with opened(served.url) as connection:
        answer = said(connection, request(PATH).replace(b"localhost", host.encode("latin-1")))
    assert status_of(answer) == 400


@pytest.mark.parametrize(
    "twice",
    [
        ["Host: localhost"],
        ["Host: evil.example"],
        ["Authorization: Bearer a", "Authorization: Bearer b"],
    ],
)
def test_headers_that_are_there_twice(served: Served, twice: list[str]) -> None:
    """Nobody knows which one somebody in between has looked at."""
    with opened(served.url) as connection:
        assert status_of(said(connection, request(PATH, *twice))) == 400


def test_loopback() -> None:
    """What is this machine, and what only looks like it."""
    assert all(map(is_loopback, ("127.0.0.1", "::1", "[::1]", "localhost", "127.255.255.254")))
    assert not any(
        map(
            is_loopback,
            ("", ANY, "::", "::ffff:1.2.3.4", "localhost.example", "10.0.0.1", "127.0.0.1:80"),
        )
    )


@pytest.mark.parametrize("bind", [ANY, "::", "192.0.2.1", "rollcall.example"])
def test_no_other_address_without_tokens(tmp_path: Path, bind: str) -> None:
    """It is said what to do."""
    with pytest.raises(
        ConfigurationError, match=r"ROLLCALL_BIND=.*rollcall token new NAME.*ROLLCALL_TOKENS_FILE"
    ):
        ServeProcess(load_settings(data=tmp_path, bind=bind, port=0), "127.0.0.1:1")


def test_other_hosts_with_tokens(tmp_path: Path) -> None:
    """Whoever has a token may come by any name."""
    token = add_token(tmp_path / "tokens", "somebody")
    with serving(tmp_path, PEOPLE, tokens_file=tmp_path / "tokens") as served:
        answer = ask(
            served.url,
            PATH,
            headers={"Host": "rollcall.example:8443", "Authorization": f"Bearer {token}"},
        )
        assert answer.links["first"].startswith("http://rollcall.example:8443/api/v1/")
        assert (
            ask(
                served.url, PATH, headers={"Host": "a>b", "Authorization": f"Bearer {token}"}
            ).status
            == 400
        )


def test_a_websocket(served: Served) -> None:
    """There is none, for anybody."""
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    for host in ("localhost", "evil.example"):
        with opened(served.url) as connection:
            connection.sendall(
                request(PATH, *upgrade, close=False).replace(b"localhost", host.encode())
            )
            assert b" 101 " not in connection.recv(100)


# --- sizes


def test_a_large_body(served: Served) -> None:
    """As announced, and as it comes."""
    answer = ask(served.url, PATH, body=b"x" * (MOST_BODY_BYTES + 1))
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert ask(served.url, PATH, body=b"x" * MOST_BODY_BYTES).status == 200


def reading(gate: Gate) -> Gate:
    """A gate around an application that reads bodies."""

    async def inner(_scope: Scope, receive: Receive, send: Send) -> None:
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
        body = str(length).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})

    return Gate(inner, gate._context, gate._metrics)


def test_a_large_body_in_pieces(tmp_path: Path) -> None:
    """It is counted as it comes."""
    with serving(tmp_path, {}, reading) as served:
        for count, status in ((MOST_BODY_BYTES, 200), (MOST_BODY_BYTES + 1, 413)):
            with opened(served.url) as connection:
                connection.sendall(
                    request("/login", "Transfer-Encoding: chunked", method="POST", close=False)
                )
                connection.sendall(b"".join(b"1\r\nx\r\n" for _ in range(count)) + b"0\r\n\r\n")
                assert status_of(connection.recv(100)) == status


def test_a_body_that_nobody_reads(served: Served) -> None:
    """Does not keep the next request from being answered."""
    with opened(served.url) as connection:
        body = b"x" * 100_000
        connection.sendall(
            request(PATH, f"Content-Length: {len(body)}", method="POST", close=False)
            + body
            + request()
        )
        answers = b"".join(received(connection))
    assert status_of(answers) == 405
    assert b"HTTP/1.1 200 OK" in answers


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
    """It is refused, and also the largest one that is not is only a request."""
    with opened(served.url) as connection:
        assert status_of(said(connection, head)) == 431
    with opened(served.url) as connection:
        assert (
            status_of(said(connection, request(PATH, "X: " + "x" * (MOST_HEAD_BYTES - 500)))) == 200
        )


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        request(PATH, "Transfer-Encoding: chunked", method="POST", close=False) + b"0\r\nX: ",
    ],
)
def test_a_head_without_end(served: Served, beginning: bytes) -> None:
    """It is not waited for, whatever comes: also a body may have headers at its end."""
    with opened(served.url) as connection:
        connection.sendall(beginning)
        assert sent_until_closed(connection) < MUCH


def sent_until_closed(connection: socket.socket) -> int:
    """How many bytes a server takes of something that does not end."""
    sent = 0
    try:
        while sent < MUCH:
            sent += connection.send(b"x" * 8_192)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


# --- broken requests


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
    """The client is told so, nothing fails, and the log does not repeat what it said."""
    with opened(served.url) as connection:
        connection.sendall(broken)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(received(connection))
    assert answer == b"" or 400 <= status_of(answer) < 500
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ask(served.url, PATH).status == 200


def test_an_address_as_a_whole(served: Served) -> None:
    """As a proxy is asked: the same answer, and the same check."""
    with opened(served.url) as connection:
        assert status_of(said(connection, request(f"http://evil.example{PATH}"))) == 200
    with opened(served.url) as connection:
        assert (
            status_of(
                said(
                    connection,
                    request(f"http://localhost{PATH}").replace(
                        b"Host: localhost", b"Host: evil.example"
                    ),
                )
            )
            == 421
        )


def test_several_requests_at_once(served: Served) -> None:
    """They are answered in their order."""
    with opened(served.url) as connection:
        paths = [f"{PATH}?per_page=1&page={number}" for number in range(1, 21)]
        connection.sendall(b"".join(request(path, close=False) for path in paths))
        answers = [answer_on(connection) for _ in paths]
    assert [json.loads(answer.partition(b"\r\n\r\n")[2])[0]["id"] for answer in answers] == list(
        range(1, 21)
    )


# --- slow clients


def test_clients_that_do_not_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they have said, and however slowly they go on, the connection ends; meanwhile others
    are answered.
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
        connections = {name: opened(served.url) for name in sent}
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
            assert ask(served.url, PATH).status == 200
            return ended == sent.keys()

        for name, beginning in sent.items():
            connections[name].sendall(beginning)
        wait_until(trickle, what="the end of all connections")
        for connection in connections.values():
            connection.close()


def test_an_answer_takes_longer_than_a_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for a head is not that for the answer, nor that of a request that waits for its
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
        with opened(served.url) as connection:
            connection.sendall(request(close=False) + request(close=False)[:40])
            wait_until(lambda: calls == 1, what="the first request")
            connection.sendall(request(close=False)[40:])
            rest.set()
            assert [status_of(answer_on(connection)) for _ in range(2)] == [200, 200]


def test_clients_that_do_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold nobody up, and do not stay for ever."""
    monkeypatch.setattr(protocol, "SENDING_SECONDS", 5.0)
    gates: list[Gate] = []

    def seen(gate: Gate) -> Gate:
        gates.append(gate)
        return gate

    with serving(tmp_path, PEOPLE, seen) as served:
        lazy = [socket.socket() for _ in range(4)]
        for connection in lazy:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.settimeout(DEADLINE)
            connection.connect(("127.0.0.1", int(served.url.rpartition(":")[2])))
            connection.sendall(request(f"{PATH}?per_page=100", close=False) * PIPELINED)
        wait_until(lambda: gates[0]._running == len(lazy), what="answers that nobody takes")
        assert ask(served.url, PATH).status == 200
        wait_until(lambda: gates[0]._running == 0, what="the end of the clients that do not read")
        for connection in lazy:
            assert b"".join(received(connection)).count(b"HTTP/1.1 200 OK") < PIPELINED
            connection.close()


# --- number and time


def test_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may be is told to come back, and can when another one has gone."""
    with serving(tmp_path, PEOPLE, most_requests=3) as served, ThreadPoolExecutor(3) as pool:
        read, begun, go = served.context.reader.read, list[bool](), threading.Event()

        async def slow(function: Any) -> Any:
            begun.append(True)
            await asyncio.to_thread(go.wait, DEADLINE)
            return await read(function)

        with monkeypatch.context() as patched:
            patched.setattr(served.context.reader, "read", slow)
            running = [pool.submit(ask, served.url, PATH) for _ in range(3)]
            wait_until(lambda: len(begun) == len(running), what="the requests")
            refused = ask(served.url, PATH)
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert "too many" in refused.message
            go.set()
            assert [answer.result().status for answer in running] == [200, 200, 200]
        for _ in range(5):
            assert ask(served.url, PATH).status == 200


def test_a_client_that_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place is free again."""
    with serving(tmp_path, PEOPLE, most_requests=1, request_seconds=1) as served:
        waiting = threading.Event()

        async def never(_function: Any) -> Any:
            waiting.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patched:
            patched.setattr(served.context.reader, "read", never)
            with opened(served.url) as connection:
                connection.sendall(request())
                wait_until(waiting.is_set, what="the request")
        wait_until(lambda: ask(served.url, PATH).status == 200, what="a free place")


def test_a_question_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and so is the query."""
    ended = threading.Event()

    def endless(db: sqlite3.Connection, *_: Any) -> bool:
        try:
            db.create_function("pause", 0, lambda: time.sleep(0.0005))  # not to have a core busy
            return bool(
                db.execute(
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT "
                    "count(pause()) FROM n"
                ).fetchone()
            )
        except sqlite3.OperationalError:
            ended.set()
            raise

    with serving(tmp_path, PEOPLE, request_seconds=2) as served:
        with monkeypatch.context() as patched:
            patched.setattr(queries, "exists", endless)
            answer = ask(served.url, PATH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "2 s" in answer.message
        wait_until(ended.is_set, what="the end of the query")
        for _ in range(5):
            assert ask(served.url, PATH).status == 200


# --- the replica


def test_a_replica_that_is_not_complete(tmp_path: Path) -> None:
    """Nothing is told from it; what needs no rows is."""
    with serving(tmp_path, None) as served:
        answer = ask(served.url, PATH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert "/readyz" in answer.message
        assert ask(served.url, PATH, "POST").status == 405
        assert ask(served.url, "/openapi.json").status == 200


def test_a_replica_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is no failure of the server, and where it was is told to the log only."""
    with serving(tmp_path, PEOPLE) as served:
        assert ask(served.url, PATH).status == 200
        path = served.context.settings.replica_file
        path.rename(path.with_name("away"))
        for _ in range(5):
            answer = ask(served.url, PATH)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert str(tmp_path) not in answer.body.decode()
        assert any(str(path) in record.getMessage() for record in caplog.records)
        path.write_bytes(b"this is no database, but it is as long as a page of one" * 100)
        assert ask(served.url, PATH).status == 503
        path.with_name("away").replace(path)
        assert ask(served.url, PATH).status == 200


def test_what_nobody_has_thought_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Is told in the form of all errors, without its reason; the log has that."""

    def broken(*_: Any) -> bool:
        raise RuntimeError("nobody has thought of this")

    with serving(tmp_path, PEOPLE) as served, monkeypatch.context() as patched:
        patched.setattr(queries, "exists", broken)
        answer = ask(served.url, PATH)
        assert answer.status == 500
        assert "log" in answer.message
        assert "thought" not in answer.message
        wait_until(
            lambda: any(
                "nobody has thought of this" in str(record.exc_info) for record in caplog.records
            ),
            what="the reason in the log",
        )


# --- what is noted


def metric(served: Served, name: str) -> dict[tuple[str, str], float]:
    """Values by route and status that are not 0."""
    families = text_string_to_metric_families(generate_latest(served.metrics.registry).decode())
    samples = [
        sample
        for family in families
        for sample in family.samples
        if sample.name == name and sample.value
    ]
    return {
        (sample.labels["route"], sample.labels.get("status", "")): sample.value
        for sample in samples
    }


def test_routes_are_counted(tmp_path: Path) -> None:
    """By what they are, not by what was asked for."""
    with serving(tmp_path, PEOPLE) as served:
        for path in (
            PATH,
            f"{PATH}?page=2",
            f"{PATH}?page=x",
            "/api/v1/courses/1/enrollments",
            "/api/v1/courses/565",
            "/api/v1/nowhere",
            "/x",
        ):
            ask(served.url, path)
        ask(served.url, PATH, "HEAD")
        ask(served.url, PATH, "POST")
        ask(served.url, PATH, headers={"Host": "evil.example"})
        route = "/api/v1/courses/{course_id}/enrollments"
        wanted = {
            (route, "2xx"): 3,
            (route, "4xx"): 2,
            ("/api/v1/courses/{course_id}", "2xx"): 1,
            ("other", "4xx"): 4,
        }
        wait_until(
            lambda: metric(served, "rollcall_http_requests_total") == wanted, what=f"{wanted}"
        )


def test_the_log_names_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is asked, and however it ends: no id, no name, no token, no address; but who asked,
    by the token's name.
    """
    caplog.set_level(logging.DEBUG)
    secret, number, name = add_token(tmp_path / "tokens", "reporting"), 987_654, "Zacharias Quux"
    rosters = together(
        course("Physics"), section("Monday"), group("Lab"), person(number, name), member(number)
    )
    with serving(tmp_path, rosters, tokens_file=tmp_path / "tokens", log_level="DEBUG") as served:
        paths = [
            f"{PATH}?user_id={number}",
            f"/api/v1/courses/565/users?search_term={name.replace(' ', '%20')}",
            f"/api/v1/users/{number}",
            f"/api/v1/users/{number}7",
        ]
        paths += [
            f"/api/v1/users/{number}/enrollments?state[]={secret}",
            f"/api/v1/accounts/1/enrollments/2107~{number}",
            f"/{number}/{secret}",
            f"{PATH}?page={secret}",
        ]
        paths += [
            f"/api/v1/users/sis_user_id:{number}",
            f"{PATH}?sis_course_id={secret}",
            f"/api/v1/groups/51/users?access_token={secret}",
        ]
        for path in paths:
            for method in ("GET", "HEAD", "POST"):
                for authorization in (
                    f"Bearer {secret}",
                    f"Bearer {secret}x",
                    f"Basic {secret}",
                    "",
                ):
                    ask(
                        served.url,
                        path,
                        method,
                        headers={
                            "Authorization": authorization,
                            "User-Agent": name,
                            "X-Request-Id": secret,
                        },
                    )
        with opened(served.url) as connection:
            said(
                connection,
                f"GET /{secret} {name}\r\nAuthorization: Bearer {secret}\r\n\r\n".encode(),
            )
    noted = [record for record in caplog.records if record.name == "rollcall.serve.gate"]
    assert len(noted) == len(paths) * 12
    assert {vars(record)["method"] for record in noted} == {"GET", "HEAD", "POST"}
    assert {vars(record).get("token") for record in noted} == {"reporting", None}
    assert {vars(record)["status"] for record in noted} == {200, 400, 401, 404, 405}
    for record in caplog.records:
        values = {**vars(record), "message": record.getMessage()}
        # What a record has of itself: where and when it was made.
        for own in (
            "created",
            "msecs",
            "relativeCreated",
            "thread",
            "process",
            "pathname",
            "ms",
            "bytes",
        ):
            values.pop(own, None)
        text = repr(values)
        for personal in (
            secret,
            secret[-10:],
            str(number),
            str(SHARD * 10**13 + number),
            "Zacharias",
            "Quux",
        ):
            assert personal not in text
        if record.name == "rollcall.serve.gate":
            assert "127.0.0.1" not in text
