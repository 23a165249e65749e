"""No broker outlives its owner, however the owner ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollcall.sandbox.processes import find_process
from tests.sandbox.broker.conftest import Owner, lives
from tests.waiting import wait_for_exit, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_owner_killed(owner: Owner) -> None:
    broker = owner.broker_pid()
    supervisors = children_of(owner.process.pid)
    owner.process.kill()
    wait_until(lambda: not lives(broker), what="the broker ends after its owner")
    wait_until(lambda: not any(map(lives, supervisors)), what="its supervisor ends too")


def test_owner_killed_while_the_broker_starts(owner: Owner, directory: Path) -> None:
    pid_file = directory / "broker.pid"
    wait_until(pid_file.exists, what="the broker's process is launched")
    broker = int(pid_file.read_text())
    owner.process.kill()
    wait_until(lambda: not lives(broker), what="the broker ends after its owner")


def test_supervisor_killed(owner: Owner) -> None:
    broker = owner.broker_pid()
    (supervisor,) = children_of(owner.process.pid)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not lives(broker), what="the broker ends after its supervisor")


def test_owner_interrupted(owner: Owner, directory: Path) -> None:
    broker = owner.broker_pid()
    owner.signal(signal.SIGINT)
    assert wait_for_exit(owner.process) != 0
    assert not lives(broker)  # stopped before the owner ended, and in good order:
    assert "shut down completed" in (directory / "server.log").read_text()


def test_owner_interrupted_while_the_broker_starts(owner: Owner, directory: Path) -> None:
    pid_file = directory / "broker.pid"
    wait_until(pid_file.exists, what="the broker's process is launched")
    broker = int(pid_file.read_text())
    owner.signal(signal.SIGINT)
    assert wait_for_exit(owner.process) != 0
    assert not lives(broker)


def test_marks_tell_directories_apart(tmp_path: Path) -> None:
    """/a/kafka and /a/kafka2: the one's process is never the other's."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; print(flush=True); sys.stdin.read()",
            "kafka.Kafka",
            "/a/kafka2/server.properties",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    pid_file = tmp_path / "broker.pid"
    pid_file.write_text(str(process.pid))
    assert find_process(pid_file, "kafka.Kafka /a/kafka2/server.properties") == process.pid
    assert find_process(pid_file, "kafka.Kafka /a/kafka/server.properties") is None
    process.communicate()
    assert find_process(pid_file, "kafka.Kafka /a/kafka2/server.properties") is None
