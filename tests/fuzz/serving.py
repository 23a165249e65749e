"""serve's border: bytes on a real process's socket."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.serve.replica.store import ReplicaStore
from tests.fuzz.inputs import MARK, ODD_BYTES, ODD_TEXTS
from tests.processes import RollcallProcess
from tests.serve.served import SHARD, batch_of

NO_KAFKA = "127.0.0.1:1"
PREFIX = "fuzz"
ANSWER_SECONDS = 15.0
"""More than serve takes for any request (``ROLLCALL_REQUEST_SECONDS``)."""

_READ_BYTES = 65_536
_MOST_READ = 2_000_000
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")

_METHODS = ("GET",) * 12 + (
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "CONNECT",
    "get",
    "G\x00T",
    "",
)
_PATHS = (
    "/", "/livez", "/readyz", "/metrics", "/openapi.json", "/login", "/logout", "/static/",
    "/static/../serve", "/page/courses", "/page/flow",
    "/page/dead-letters", "/api/v1/courses/{id}", "/api/v1/courses/{id}/enrollments",
    "/api/v1/courses/{id}/sections", "/api/v1/courses/{id}/users",
    "/api/v1/courses/{id}/groups", "/api/v1/sections/{id}", "/api/v1/sections/{id}/enrollments",
    "/api/v1/users/{id}", "/api/v1/users/{id}/enrollments",
    "/api/v1/groups/{id}", "/api/v1/groups/{id}/users", "/api/v1/groups/{id}/memberships",
    "/api/v1/accounts/{id}/enrollments/{id}", "/api/v1/{id}", "*",
    "//", "/%2e%2e/%2e%2e/etc/passwd",
)  # fmt: skip
_PARAMETERS = (
    "per_page", "page", "state[]", "type[]", "include[]", "user_id", "user_ids[]", "search_term",
    "sort", "order", "enrollment_type[]", "role[]",
    "sis_user_id[]", "enrollment_state[]", "grading_period_id", "access_token", "", "state", MARK,
)  # fmt: skip
_HEADERS = (
    "Accept: application/json+canvas-string-ids", "Accept: */*", "Authorization: Bearer x",
    "Authorization: ", "Cookie: rollcall_session=x",
    "Accept-Encoding: gzip", "Content-Length: 5", "Content-Length: -1", "Content-Length: x",
    "Transfer-Encoding: chunked", "Expect: 100-continue",
    "Upgrade: websocket", "Range: bytes=0-1", "X-Forwarded-Proto: https", "X-Forwarded-For: x",
    "Origin: null", "If-None-Match: *", "Last-Event-ID: 5",
    "Host: example.edu", "Connection: upgrade",
)  # fmt: skip
_IDS = (
    "self",
    "0",
    "-1",
    "1.5",
    "2107~565",
    "~1",
    "sis_course_id:x",
    "9223372036854775808",
    "9" * 400,
    "%00",
    "..",
    "1;DROP TABLE users",
    *map(quote, ODD_TEXTS),
)


class Request(NamedTuple):
    """What a client says."""

    data: bytes
    whole: bool
    """It is one proper request: an answer must come. Otherwise the client ends what it says, and
    takes what comes.
    """


class Serving(NamedTuple):
    """A serve process, without Kafka, with a replica that was complete once."""

    process: RollcallProcess
    port: int
    ids: tuple[str, ...]
    """Of courses, sections, users and groups that are there."""


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """A process in a folder."""
    simulation = Simulation(SimulationPlan(courses=4, steps=300, seed=9, class_size=8, shard=SHARD))
    for _ in simulation.events():
        pass
    rosters = simulation.truth()
    store = ReplicaStore(folder / "replica.sqlite", PREFIX)
    store.apply(batch_of(rosters), {})
    store.note_complete(time.time())
    store.close()
    ids = [
        part
        for relation in rosters.values()
        for key in list(relation)[:10]
        for part in key.split("/")
    ]
    with RollcallProcess(
        "serve", folder, NO_KAFKA, PREFIX, data=folder, shard=SHARD, log_level="INFO"
    ) as process:
        yield Serving(process, int(process.url.rpartition(":")[2]), tuple(dict.fromkeys(ids)))


class ServeBorder:
    """Whatever a client says, it gets an answer or an end, never a fault of the server, and the
    next client gets an answer.
    """

    def __init__(self, port: int, ids: tuple[str, ...]) -> None:
        self._port = port
        self._ids = ids

    def make(self, random: Random) -> Request:
        """A request, a broken one, several, or noise."""
        kind = random.random()
        if kind < 0.15:
            return Request(random.randbytes(int(random.random() ** 3 * 40_000)), False)
        if kind < 0.6:
            return Request(self._proper(random), True)
        data = bytearray(b"".join(self._odd(random) for _ in range(random.randint(1, 3))))
        for _ in range(random.randrange(4)):
            at = random.randrange(len(data) + 1)
            data[at : at + random.randrange(3)] = random.choice(
                (
                    b"",
                    b"\r\n",
                    random.choice(ODD_BYTES),
                    random.randbytes(2),
                    b"A" * random.choice((10, 40_000)),
                )
            )
        return Request(bytes(data), False)

    def _proper(self, random: Random) -> bytes:
        return (
            f"GET {self._target(random)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ).encode()

    def _odd(self, random: Random) -> bytes:
        lines = [
            f"{random.choice(_METHODS)} {self._target(random)} HTTP/1.{random.choice('0111129')}"
        ]
        lines += random.choices(
            ("Host: localhost", "Host: 127.0.0.1", *_HEADERS), k=random.randrange(5)
        )
        return (
            "\r\n".join(lines).encode()
            + b"\r\n\r\n"
            + random.choice((b"", b"", b"5\r\nhello\r\n0\r\n\r\n", random.randbytes(20)))
        )

    def _target(self, random: Random) -> str:
        path = re.sub(
            r"\{id\}",
            lambda _: random.choice(self._ids if random.random() < 0.7 else _IDS),
            random.choice(_PATHS),
        )
        values = (
            *self._ids[:20],
            *map(quote, ODD_TEXTS),
            "100",
            "0",
            "bookmark:x",
            "last",
            "active",
            "sections",
            "%",
            "%ff",
        )
        query = "&".join(
            f"{random.choice(_PARAMETERS)}={random.choice(values)}"
            for _ in range(random.choice((0, 0, 1, 2)))
        )
        return f"{path}?{query}" if query else path

    def check(self, request: Request, _random: Random) -> str:
        """Say it; the first status of the answer."""
        with socket.create_connection(
            ("127.0.0.1", self._port), timeout=ANSWER_SECONDS
        ) as connection:
            answer = _answer(connection, request)
        statuses = (
            [int(status) for status in _STATUS.findall(answer)]
            if request.whole is False
            else [int(status) for status in _STATUS.findall(answer[:20])]
        )
        assert all(status < 500 or status == 503 for status in statuses), statuses
        assert statuses or not request.whole, "no answer"
        return f"{statuses[0] // 100}xx" if statuses else "closed without an answer"


def _answer(connection: socket.socket, request: Request) -> bytes:
    """What comes back. Of a stream, which has no end, the beginning."""
    answer = b""
    try:
        connection.sendall(request.data)
        if not request.whole:
            connection.shutdown(socket.SHUT_WR)
        while len(answer) < _MOST_READ and (more := connection.recv(_READ_BYTES)):
            answer += more
            if request.whole and b"\r\n\r\n" in answer:
                break
    except (ConnectionResetError, BrokenPipeError):  # it has heard enough
        pass
    return answer


def faults_in_log(process: RollcallProcess) -> list[str]:
    """What the process had to say of faults of its own: that there is no Kafka is none."""
    lines = process.log_file.read_text(errors="replace").splitlines()
    return [
        line[:500]
        for line in lines
        if ('"level":"error"' in line and '"logger":"aiokafka' not in line) or "Traceback" in line
    ]
