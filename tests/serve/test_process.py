"""``rollcall serve`` as a process, on a real broker."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rollcall.serve.tokens import add_token
from tests.forks import Forks
from tests.processes import RollcallProcess, wait_until
from tests.serve.replica.test_follower import Topics, contents, course, expected
from tests.waiting import DEADLINE_SECONDS, run

COURSES = 3_000


@pytest.fixture
def topics(bootstrap: str, prefix: str) -> Topics:
    """Topics without records."""
    return Topics(bootstrap, prefix)


def serve(topics: Topics, folder: Path, **settings: Any) -> RollcallProcess:
    """A process with its state in a folder."""
    return RollcallProcess(
        "serve", folder, topics.bootstrap, topics.prefix, data=folder, **settings
    )


def many(start: int, stop: int, name: str) -> dict[str, dict[str, object]]:
    """Rows of courses."""
    return {key: row for number in range(start, stop) for key, row in course(name, number).items()}


def holds_more(path: Path, least: int | None) -> bool:
    """Whether a replica has more courses than this; None: as many as it likes."""
    return least is None or len(contents(path)["courses"]) > least


def test_killed_again_and_again_it_holds_what_the_topics_hold(
    topics: Topics, tmp_path: Path
) -> None:
    """Rows and positions are one transaction: nothing is missing, nothing is older than it was."""
    path = tmp_path / "replica.sqlite"
    last = 0
    for turn in range(4):
        topics.send(
            {"courses": many(turn * COURSES // 2, (turn + 2) * COURSES // 2, f"turn {turn}")}
        )
        with serve(topics, tmp_path) as process:
            # At another place each time: on the way, and when all is there.
            least = None if turn % 2 == 0 else last
            wait_until(lambda least=least: path.exists() and holds_more(path, least))  # type: ignore[misc]
            process.process.kill()
            process.process.wait()
        last = len(contents(path)["courses"]) if turn % 2 else last
    with serve(topics, tmp_path) as process:
        process.wait_ready()
        wait_until(lambda: process.metric("rollcall_replica_freshness_seconds") == 0)
        wanted = {
            key: row
            for turn in range(4)
            for key, row in many(
                turn * COURSES // 2, (turn + 2) * COURSES // 2, f"turn {turn}"
            ).items()
        }
        assert contents(path) == expected({"courses": wanted})
        samples = process.metrics()
        assert samples["rollcall_replica_rows", frozenset({("relation", "courses")})] == len(wanted)
        assert process.metric("rollcall_replica_complete") == 1
        assert process.metric("rollcall_consumer_lag_records", topic=topics.name("courses")) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait_exit() == 0
    assert sorted(file.name for file in tmp_path.glob("replica*")) == [
        "replica.sqlite",
        "replica.sqlite.lock",
    ]


def test_it_answers_with_tokens_and_tells_nothing_of_them(topics: Topics, tmp_path: Path) -> None:
    """From start to end, with a stream open: it ends in time all the same."""
    token = add_token(tmp_path / "tokens", "registrar")
    [(key, row)] = course("Linear Algebra").items()
    topics.send({"courses": {key: row}})
    with serve(topics, tmp_path, tokens_file=tmp_path / "tokens", shard=2107) as process:
        process.wait_ready()
        host = urlsplit(process.url).netloc
        body = b""
        client = http.client.HTTPConnection(host, timeout=DEADLINE_SECONDS)
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer rollcall_wrong"}, 401),
            ({"Authorization": f"Bearer {token}"}, 200),
        ):
            client.request("GET", "/api/v1/courses/565", headers=headers)
            answer = client.getresponse()
            body = answer.read()
            assert answer.status == status
        assert json.loads(body)["name"] == "Linear Algebra"
        assert process.get("/metrics")[0] == process.get("/livez")[0] == 200
        stream = http.client.HTTPConnection(host, timeout=DEADLINE_SECONDS)
        stream.request(
            "GET", f"/page/courses/{key}/events", headers={"Authorization": f"Bearer {token}"}
        )
        assert stream.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait_exit() == 0
    text = process.log_file.read_text()
    assert token not in text
    assert "rollcall_wrong" not in text
    assert "Linear" not in text
    requests = [line for line in process.log if line["message"] == "request"]
    assert {
        "method": "GET",
        "route": "/api/v1/courses/{course_id}",
        "status": 200,
        "token": "registrar",
    }.items() <= requests[2].items()
    assert not any(key in json.dumps(line) for line in requests)


def test_without_kafka_it_says_so_and_lives(tmp_path: Path, prefix: str) -> None:
    """It does not end: Kafka may come."""
    with RollcallProcess("serve", tmp_path, "127.0.0.1:1", prefix, data=tmp_path) as process:
        assert process.get("/livez")[0] == 200
        wait_until(lambda: "does not answer" in process.get("/readyz")[1])
        status, body = process.get("/readyz")
        assert status == 503
        assert json.loads(body)["reasons"][0].startswith("Kafka at 127.0.0.1:1 does not answer")
        status, body = process.get("/api/v1/courses/1")
        assert status == 503
        assert json.loads(body) == {
            "errors": [{"message": "the replica is not complete yet; /readyz says how far it is"}]
        }
        process.send_signal(signal.SIGTERM)
        assert process.wait_exit() == 0


def refused(folder: Path, code: int = 2, forks: Forks | None = None, **settings: object) -> str:
    """What it says when it does not start."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")
    }
    environment |= {
        "ROLLCALL_KAFKA": "127.0.0.1:1",
        "ROLLCALL_DATA": str(folder),
        "ROLLCALL_PORT": "0",
    }
    environment |= {f"ROLLCALL_{name.upper()}": str(value) for name, value in settings.items()}
    done = (
        forks.run("serve", environment=environment, folder=folder)
        if forks
        else run([sys.executable, "-m", "rollcall", "serve"], env=environment)
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_what_cannot_be_is_refused_in_one_line(forks: Forks, tmp_path: Path) -> None:
    """What is wrong, where, and what to do."""
    assert "make a token with 'rollcall token new NAME', and set ROLLCALL_TOKENS_FILE" in refused(
        tmp_path,
        forks=forks,
        bind="0.0.0.0",  # noqa: S104
    )
    assert "the tokens cannot be read" in refused(
        tmp_path, forks=forks, tokens_file=tmp_path / "none"
    )
    (tmp_path / "empty").touch()
    assert "has no token" in refused(tmp_path, forks=forks, tokens_file=tmp_path / "empty")
    (tmp_path / "mine").write_bytes(b"my own file" * 100)
    assert "is no replica of Rollcall" in refused(tmp_path, forks=forks, replica=tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == b"my own file" * 100
    assert "set ROLLCALL_REPLICA" in refused(
        tmp_path, forks=forks, replica="/proc/nowhere/replica.sqlite"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "set ROLLCALL_PORT or ROLLCALL_BIND" in refused(
            tmp_path, forks=forks, port=taken.getsockname()[1]
        )
    assert "METRICS_URLS" in refused(tmp_path, forks=forks, metrics_urls="not an address")


def test_one_writer_for_one_file(topics: Topics, tmp_path: Path) -> None:
    """The second process says who has it, and the first goes on."""
    with serve(topics, tmp_path) as process:
        process.wait_ready()
        assert "another process writes the replica" in refused(tmp_path, code=1)
        assert process.get("/readyz")[0] == 200


def test_the_metrics_are_readable(topics: Topics, tmp_path: Path) -> None:
    """By Prometheus's own parser, each with help, and none twice."""
    with serve(topics, tmp_path) as process:
        process.wait_ready()
        process.get("/api/v1/courses/1")
        families = list(text_string_to_metric_families(process.get("/metrics")[1]))
        names = [family.name for family in families]
        assert len(names) == len(set(names))
        assert all(family.documentation for family in families)
        assert (
            process.metric(
                "rollcall_http_requests_total", route="/api/v1/courses/{course_id}", status="4xx"
            )
            == 1
        )
