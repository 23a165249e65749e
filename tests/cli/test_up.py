"""``rollcall up`` and ``rollcall topics``, as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from rollcall.catalogue.plans import plan_topics
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.canvas.queue import CREDENTIALS
from rollcall.settings import load_settings
from tests.forks import Forks
from tests.healthy import complaints
from tests.ingest.queues import Queues, moto_server
from tests.kafka_client import create_topic, partitions_of
from tests.processes import EVENTS, wait_until
from tests.waiting import wait_for_exit


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")}
    return clean | {f"ROLLCALL_{key.upper()}": str(value) for key, value in settings.items()}


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_up_starts_everything_and_leaves_nothing_behind(
    tmp_path: Path, jars: Path, number: signal.Signals
) -> None:
    (tmp_path / "kafka-libs").symlink_to(jars)
    log_file = tmp_path / "log"
    broker = EmbeddedBroker(tmp_path / "kafka", jars=jars)
    with moto_server() as server, log_file.open("wb") as log:
        queue = Queues(server, "canvas-live-events")
        queue.send(["an event"])
        settings = {"data": tmp_path, "port": 0, "log_format": "json", "events": EVENTS}
        settings |= {"sqs_queue_url": f"{server}{queue.path}", "sqs_endpoint": server}
        up = subprocess.Popen(
            [sys.executable, "-m", "rollcall", "up"],
            env=environment(**settings) | CREDENTIALS,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: all_started(log_file) or up.poll() is not None, what="all processes")
            assert broker.status().running
            topics = ["canvas.raw", "canvas.dead-letter", "canvas.rosters.enrollments"]
            wait_until(
                lambda: len(partitions_of(broker.bootstrap, topics)) == 12, what="the topics"
            )
            wait_until(lambda: queue.counts() == (0, 0), what="the message on the raw topic")
        finally:
            os.killpg(up.pid, number)
            assert wait_for_exit(up) == 0
    assert broker.status().pid is None
    assert complaints(log_file.read_text()) == []
    messages = [json.loads(line)["message"] for line in log_file.read_text().splitlines()]
    assert messages[-1] == "broker stopped"
    ended = {"router stopped", "rosters stopped", "serve stopped", "ingest sqs stopped"}
    assert ended <= set(messages)


def test_up_ends_when_one_of_its_processes_does_and_they_end_when_it_is_killed(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    settings = {
        "kafka": bootstrap,
        "topic_prefix": prefix,
        "group_prefix": prefix,
        "events": EVENTS,
        "port": 0,
        "log_format": "json",
        "data": tmp_path,
    }
    for ending in ("rosters", "up"):
        log_file = tmp_path / ending
        with log_file.open("wb") as log:
            up = subprocess.Popen(
                [sys.executable, "-m", "rollcall", "up"],
                env=environment(**settings),
                stderr=log,
                start_new_session=True,
            )
        wait_until(partial(all_started, log_file), what="all processes")
        children = children_of(up.pid)
        assert set(children) == {"router", "rosters", "serve"}
        os.kill(up.pid if ending == "up" else children[ending], signal.SIGKILL)
        code = wait_for_exit(up)
        wait_until(partial(none_alive, tuple(children.values())), what="the end of all")
        assert complaints(log_file.read_text()) == []
        if ending != "up":
            assert code == 1
            assert "rollcall: rosters ended with code -9" in log_file.read_text()


def all_started(log_file: Path) -> bool:
    """Whether a log says that all processes have started."""
    complete = log_file.read_text().rpartition("\n")[0]
    messages = [
        json.loads(line)["message"] for line in complete.splitlines() if line.startswith("{")
    ]
    return {"router started", "rosters started", "serve started"} <= set(messages)


def none_alive(pids: Sequence[int]) -> bool:
    """Whether all of these processes have ended."""
    return not any(map(is_alive, pids))


def children_of(parent: int) -> dict[str, int]:
    """The processes that ``up`` has started, by command."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                found[words[words.index("rollcall") + 1]] = int(folder.name)
        except (OSError, ValueError):
            continue
    return found


def is_alive(pid: int) -> bool:
    """Whether a process is there, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_topics_are_planned_applied_and_checked(
    bootstrap: str, prefix: str, forks: Forks, tmp_path: Path
) -> None:
    def topics(command: str, **settings: object) -> subprocess.CompletedProcess[str]:
        return forks.run("topics", command, environment=environment(**settings), folder=tmp_path)

    retention = {"retention_unknown_days": -1, "retention_dead_letter_days": 14}
    settings = {
        "kafka": bootstrap,
        "topic_prefix": prefix,
        "group_prefix": prefix,
        "partitions": 2,
        "events": EVENTS,
        **retention,
    }
    plan = topics("plan", topic_prefix=prefix, partitions=2, **retention)
    assert plan.returncode == 0
    assert f"{prefix}.events.enrollment_created" in plan.stdout
    (dead_letter,) = (line for line in plan.stdout.splitlines() if f"{prefix}.dead-letter" in line)
    assert f"retention.ms={14 * 86_400_000} " in dead_letter
    missing = topics("check", **settings)
    assert missing.returncode == 1
    assert f"{prefix}.raw: missing: run 'rollcall topics apply'" in missing.stdout
    create_topic(bootstrap, f"{prefix}.raw", 7)
    applied = topics("apply", **settings)
    assert applied.returncode == 0, applied.stderr
    assert f"created {prefix}.dead-letter" in applied.stdout
    assert f"created {prefix}.raw" not in applied.stdout
    again = topics("apply", **settings)
    number = len(plan_topics(load_settings(**settings)))
    note, summary = again.stdout.splitlines()
    assert again.returncode == 0
    assert note.startswith(f"note: {prefix}.raw takes records of 1048588 bytes at most, ")
    assert f"--topic {prefix}.raw --add-config max.message.bytes=2097152 " in note
    assert summary == f"{number} of {number} topics are as planned"
    other = topics("check", **{**settings, "partitions": 3})
    assert other.returncode == 1
    assert "set ROLLCALL_PARTITIONS=2" in other.stdout
    kept = topics(
        "check", **settings | {"retention_unknown_days": 7, "retention_dead_letter_days": 30}
    )
    assert kept.returncode == 0, "what an operator has altered is a note, and no fault"
    assert (
        f"note: {prefix}.unknown keeps records for ever, and the settings say 7 days; "
        in kept.stdout
    )
    assert (
        f"note: {prefix}.dead-letter keeps records 14 days, and the settings say 30 days; "
        in kept.stdout
    )
    assert (
        f"kafka-configs --alter --topic {prefix}.dead-letter --add-config "
        f"retention.ms={30 * 86_400_000} makes it so" in kept.stdout
    )
    assert len(kept.stdout.splitlines()) == 4


def test_without_kafka_a_command_says_what_to_do(forks: Forks, tmp_path: Path) -> None:
    for command in (["router"], ["topics", "check"]):
        done = forks.run(*command, environment=environment(data=tmp_path), folder=tmp_path)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.splitlines()[-1] == (
            "rollcall: no Kafka: set ROLLCALL_KAFKA to your cluster's bootstrap servers, or run "
            "'rollcall broker start'"
        )
