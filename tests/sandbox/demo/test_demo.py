"""``rollcall demo`` as a newcomer starts it: on a broker of its own, on another cluster, in a
terminal, interrupted, with a process that dies, with a row that should not be there.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import IO

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from rollcall.sandbox.canvas.traffic import documented_traffic
from rollcall.sandbox.demo.institution import Institution
from rollcall.sandbox.processes import find_process
from tests.healthy import complaints
from tests.kafka_client import flush, topics_of
from tests.processes import wait_until
from tests.tools import needs_terminal
from tests.waiting import DEADLINE_SECONDS, communicate, result_of, wait_for_exit

RUN_SECONDS = 300
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
LEFT_BEHIND = ("Traceback", "Exception", "never retrieved", "Unclosed")


@contextlib.contextmanager
def started(
    data: Path,
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    out: int | None = None,
    expected: Collection[str] = (),
    module: str = "rollcall",
) -> Iterator[subprocess.Popen[str]]:
    """The demo, in a session of its own, so that what it leaves behind can be told. The logs that
    it has made must be those of healthy processes.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ROLLCALL_", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "TERM"))
    }
    environment |= {"ROLLCALL_DATA": str(data), "TERM": "xterm-256color"} | dict(settings or {})
    stream = subprocess.PIPE if out is None else out
    process = subprocess.Popen(
        [sys.executable, "-m", module, "demo", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=stream,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert [
        complaint
        for log in (data / "demo").glob("*.log")
        for complaint in complaints(log.read_text(errors="replace"), expected)
    ] == []


def finished(process: subprocess.Popen[str]) -> str:
    """What it says until it ends."""
    out, errors = communicate(process, RUN_SECONDS, what="the end of the demo")
    text = out + errors
    assert not [word for word in LEFT_BEHIND if word in text], text
    assert not CONTROL.search(text), text
    assert not re.search(r" $", text, re.MULTILINE)
    return text


def running(data: Path) -> list[int]:
    """What runs of a demo, beside the demo."""
    marks = {
        "router.pid": "rollcall router",
        "rosters.pid": "rollcall rosters",
        "serve.pid": "rollcall serve",
        "ingest-sqs.pid": "rollcall ingest sqs",
        "ingest-https.pid": "rollcall ingest https",
        "SQS-server.pid": "rollcall.sandbox.canvas.sqs_server",
        "kafka/broker.pid": "kafka.Kafka",
    }
    found = (find_process(data / "demo" / pid_file, mark) for pid_file, mark in marks.items())
    return [pid for pid in found if pid is not None]


def wait_for(name: str, data: Path, process: subprocess.Popen[str]) -> int:
    """The process id of the router or the rosters, once they have started."""
    log = data / "demo" / f"{name}.log"
    wait_until(
        lambda: (
            process.poll() is not None or (log.exists() and f"{name} started" in log.read_text())
        ),
        what=f"the demo's {name}",
    )
    pid = find_process(data / "demo" / f"{name}.pid", f"rollcall {name}")
    assert pid is not None, process.communicate()
    return pid


def prefix_of(directory: Path) -> str:
    """What the names of topics and groups of the demo of a directory begin with: its processes'
    logs tell.
    """
    lines = (directory / "demo" / "rosters.log").read_text().splitlines()
    return next(
        str(line["settings"]["topic_prefix"])
        for line in map(json.loads, lines)
        if "settings" in line
    )


def left_on(bootstrap: str, directory: Path) -> set[str]:
    """All topics and groups that belong to the demo of a directory. Others may be running."""
    prefix, admin = prefix_of(directory), AdminClient({"bootstrap.servers": bootstrap})
    assert prefix.startswith("demo-")
    groups = result_of(admin.list_consumer_groups(), what="the groups").valid or []
    return {
        name
        for name in (*topics_of(bootstrap), *(group.group_id for group in groups))
        if name.startswith(prefix)
    }


@pytest.mark.slow
def test_a_run_after_an_interrupted_one_on_a_broker_of_its_own(tmp_path: Path, jars: Path) -> None:
    (tmp_path / "kafka-libs").symlink_to(jars)
    with started(tmp_path, "--events", "2000") as process:
        wait_for("rosters", tmp_path, process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # an impatient user
        text = finished(process)
    assert process.returncode == 130, text
    assert "stopped; nothing is left running" in text
    assert not running(tmp_path)

    with started(tmp_path, "--events", "2000", "--seed", "3") as process:
        text = finished(process)
    assert process.returncode == 0, text
    assert "for this demo only" in text
    assert not running(tmp_path)
    started_here = ("SQS-server", "ingest-https", "ingest-sqs", "rosters", "router", "serve")
    names = (*started_here, "dry-run", "reconcile")
    processes = [f"{name}.{suffix}" for name in names for suffix in ("log", "pid")]
    files = ["canvas-token", "demo.log", "keys.json", "replica.sqlite", "replica.sqlite.lock"]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == sorted(
        [*files, "reconcile", *processes]
    )


def test_a_run_on_another_cluster_whatever_else_is_set(bootstrap: str, tmp_path: Path) -> None:
    settings = {
        "ROLLCALL_TOPIC_PREFIX": "no topic!",
        "rollcall_partitions": "0",
        "ROLLCALL_BREAKER_RATIO": "0.001",
        "ROLLCALL_CREATE_TOPICS": "false",
        "ROLLCALL_PORT": "1",
    }
    with started(
        tmp_path, "--events", "2000", settings={"ROLLCALL_KAFKA": bootstrap, **settings}
    ) as process:
        text = finished(process)
    assert process.returncode == 0, text
    numbers = re.search(
        r"topics +received ([\d,]+) = routed ([\d,]+) \+ unknown ([\d,]+) \+ dead letters "
        r"([\d,]+)\n",
        text,
    )
    assert numbers, text
    received, *others = (int(number.replace(",", "")) for number in numbers.groups())
    assert received == sum(others) == 2_000 + len(documented_traffic()) + len(Institution(1)) + 2
    for code in (
        "empty",
        "not_json",
        "not_an_event",
        "caliper",
        "schema_violation",
        "too_large",
    ):
        assert re.search(rf"^  {code}  partition \d, offset \d+$", text, re.MULTILINE), text
    assert "rollcall.redacted" in text
    assert "access_token=7" not in text
    assert "differs" not in text
    assert text.count("   equal\n") == 6
    assert re.search(
        r"^  1 event moved [1-9]\d* enrollments, \d\.\d s after it was sent\.$", text, re.MULTILINE
    ), text
    assert re.search(
        r"^  enrollments .* [1-9]\d* deleted +[1-9]\d* course_deleted\b", text, re.MULTILINE
    ), text
    _, _, canvas = text.partition("What Canvas has without events\n")
    before, dry_run, after = re.split(r"^  rollcall reconcile .*", canvas, flags=re.MULTILINE)
    for fault in ("missing", "different", "left over"):
        assert re.search(rf" [1-9]\d* {fault}", before), text
    written = [
        re.findall(
            r"^    complete: [1-9]\d* courses read, ([1-9]\d*) snapshots ", part, re.MULTILINE
        )
        for part in (dry_run, after)
    ]
    assert [len(counts) for counts in written] == [1, 1], text
    assert written[0] == written[1]
    rows = re.findall(r"^  \w+ +(\d+) +(\d+)   as in Canvas$", after, re.MULTILINE)
    assert [found for _, found in rows] == [required for required, _ in rows]
    assert len(rows) == 6, text
    total = sum(int(required) for required, _ in rows)
    assert f"all {total:,} rows of the institution are as in Canvas.\n" in after
    assert max(map(len, text.splitlines())) <= 80
    wait_until(lambda: not left_on(bootstrap, tmp_path), what="the end of all that the demo made")


@pytest.mark.slow
def test_a_row_that_changes_in_canvas_afterwards_is_found(bootstrap: str, tmp_path: Path) -> None:
    with started(
        tmp_path,
        "--events",
        "0",
        settings={"ROLLCALL_KAFKA": bootstrap},
        module="tests.sandbox.demo.late_change",
    ) as process:
        text = finished(process)
    assert process.returncode == 1, text
    assert re.search(r"^  courses +\d+ +\d+   1 different$", text, re.MULTILINE), text
    assert re.search(r"^  courses: \d+ is different", text, re.MULTILINE), text
    assert "1 row is not as in Canvas." in text
    assert text.count("   as in Canvas\n") == 5
    wait_until(lambda: not left_on(bootstrap, tmp_path), what="the end of all that the demo made")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rosters", "serve"])
def test_a_process_that_dies_is_reported(bootstrap: str, tmp_path: Path, name: str) -> None:
    with started(tmp_path, "--events", "20000", settings={"ROLLCALL_KAFKA": bootstrap}) as process:
        os.kill(wait_for(name, tmp_path, process), signal.SIGKILL)
        text = finished(process)
    assert process.returncode == 1, text
    assert re.search(
        rf"^rollcall: the {name} ended; its log .* ends:\n(.*\n)*  info: {name} started$",
        text,
        re.MULTILINE,
    ), text
    wait_until(lambda: not left_on(bootstrap, tmp_path), what="the end of all that the demo made")


@pytest.mark.slow
def test_a_row_that_should_not_be_there_is_found(bootstrap: str, tmp_path: Path) -> None:
    with started(
        tmp_path,
        "--events",
        "0",
        settings={"ROLLCALL_KAFKA": bootstrap},
        expected=["the value is no row"],
    ) as process:
        wait_for("rosters", tmp_path, process)
        prefix = prefix_of(tmp_path)
        producer = Producer({"bootstrap.servers": bootstrap})
        producer.produce(f"{prefix}.rosters.courses", key=b"7", value=b'{"course_id":"7"}')
        flush(producer)
        text = finished(process)
    assert process.returncode == 1, text
    assert re.search(
        rf"^  {prefix}\.rosters\.courses +[\d,]+ +[\d,]+   1 wrong$", text, re.MULTILINE
    ), text
    assert "  courses: 7 should not be there\n" in text
    assert text.count("   equal\n") == 5
    assert "Not every row of the rosters is true." in text
    wait_until(lambda: not left_on(bootstrap, tmp_path), what="the end of all that the demo made")


def records_taken(url: str) -> float:
    """How many records of the rosters serve has taken, by its metrics."""
    # our own process
    with urllib.request.urlopen(f"{url}/metrics", timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
        families = text_string_to_metric_families(answer.read().decode())
    return float(
        sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "rollcall_replica_records_total"
        )
    )


@pytest.mark.slow
def next_line(file: IO[str]) -> str:
    """The next line of a process that may go on running without one."""
    line = Future[str]()
    threading.Thread(target=lambda: line.set_result(file.readline()), daemon=True).start()
    return result_of(line, RUN_SECONDS, what="a line")


def test_all_is_left_running_until_a_signal_comes(bootstrap: str, tmp_path: Path) -> None:
    with started(
        tmp_path,
        "--events",
        "0",
        "--keep",
        settings={"ROLLCALL_KAFKA": bootstrap, "COLUMNS": "200"},
    ) as process:
        assert process.stdout is not None
        text = ""
        while "Everything keeps running until Ctrl-C" not in text:
            line = next_line(process.stdout)
            assert line, text + process.communicate()[1]
            text += line
        url = re.search(r"the page and the API at (http://\S+),", text)
        assert url, text
        for path in ("/", "/readyz", "/openapi.json"):
            # our own process
            with urllib.request.urlopen(url[1] + path, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
                assert answer.status == 200
        taken = records_taken(url[1])
        wait_until(lambda: records_taken(url[1]) > taken, what="further events of the institution")
        process.send_signal(signal.SIGINT)
        text = finished(process)
    assert process.returncode == 0, text
    assert "Nothing is left running." in text
    assert not running(tmp_path)
    wait_until(lambda: not left_on(bootstrap, tmp_path), what="the end of all that the demo made")


@needs_terminal()
def test_in_a_terminal_progress_is_shown_and_the_cursor_comes_back(
    bootstrap: str, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    with started(
        tmp_path,
        "--events",
        "500",
        settings={"ROLLCALL_KAFKA": bootstrap, "COLUMNS": "80", "LINES": "40"},
        out=theirs,
    ) as process:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
            while part := os.read(ours, 65_536):
                text += part
        os.close(ours)
        assert wait_for_exit(process, RUN_SECONDS) == 0, text
    shown = text.decode()
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0


def test_no_broker_is_exit_code_3(tmp_path: Path) -> None:
    with started(tmp_path, settings={"ROLLCALL_KAFKA": "127.0.0.1:1"}) as process:
        text = finished(process)
    assert process.returncode == 3, text
    assert "no Kafka broker answers at 127.0.0.1:1" in text
