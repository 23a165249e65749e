"""``rollcall broker start|stop|status`` as a user meets it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from tests.sandbox.broker.conftest import RunRollcall


def test_start_status_stop_each_twice(rollcall: RunRollcall, directory: Path) -> None:
    assert rollcall("broker", "status").returncode == 1

    first, second = rollcall("broker", "start"), rollcall("broker", "start")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    bootstrap = EmbeddedBroker(directory).bootstrap
    assert first.stdout.startswith("started: Kafka 4.2.1 at " + bootstrap)
    assert second.stdout.startswith("already running: Kafka 4.2.1 at " + bootstrap)

    status = rollcall("broker", "status")
    pid = EmbeddedBroker(directory).status().pid
    assert pid is not None
    assert status.returncode == 0
    assert all(
        word in status.stdout for word in ("running", bootstrap, str(pid), "4.2.1", str(directory))
    )
    assert os.getsid(pid) not in (0, os.getsid(0)), "Ctrl-C in this terminal does not reach it"

    with EmbeddedBroker(directory) as found:  # a program that needs a broker uses this one,
        assert found.status().pid == pid
    assert EmbeddedBroker(directory).status().pid == pid  # and leaves it running

    os.kill(pid, signal.SIGSTOP)
    hanging = rollcall("broker", "status")
    os.kill(pid, signal.SIGCONT)
    assert hanging.returncode == 1
    assert "does not answer" in hanging.stdout

    assert [rollcall("broker", "stop").stdout for _ in range(2)] == ["stopped\n", "not running\n"]
    assert rollcall("broker", "status").returncode == 1


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return folder


JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""


@pytest.mark.parametrize(
    ("programs", "complaint"),
    [
        ({}, "there is none on PATH: install Java 17 or later"),
        ({"java": """echo 'java version "1.8.0_402"' >&2"""}, "needs Java 17 or later, and"),
        ({"java": "exit 1"}, "no working Java"),
        ({"java": JAVA_17}, "no mvn on PATH: install Maven"),
        (
            {"java": JAVA_17, "mvn": "echo '[ERROR] no route to the repository'; exit 1"},
            "no route to the repository",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    rollcall: RunRollcall, data: Path, tmp_path: Path, programs: dict[str, str], complaint: str
) -> None:
    (data / "kafka-libs").unlink()
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        program(tmp_path / "bin", name, text)
    told = rollcall("broker", "start", PATH=str(tmp_path / "bin"), JAVA_HOME="")
    assert told.returncode == 3
    assert complaint in told.stderr
    assert "set ROLLCALL_KAFKA" in told.stderr
    assert told.stderr.count("\n") == 1


def test_java_home_without_java_is_named(rollcall: RunRollcall, data: Path, tmp_path: Path) -> None:
    (data / "kafka-libs").unlink()
    told = rollcall("broker", "start", JAVA_HOME=str(tmp_path))
    assert told.returncode == 3
    assert f"JAVA_HOME ({tmp_path})" in told.stderr
