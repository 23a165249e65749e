"""Brokers of a test's own, and processes that own them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from tests import waiting

MakeBroker = Callable[..., EmbeddedBroker]
RunRollcall = Callable[..., "subprocess.CompletedProcess[str]"]


def lives(pid: int) -> bool:
    """Whether the process exists and has not merely not been waited for yet."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


@pytest.fixture
def data(tmp_path: Path, jars: Path) -> Iterator[Path]:
    """A data directory (what ``ROLLCALL_DATA`` names) that has Kafka's libraries already. Whatever
    broker runs in it at the end is killed.
    """
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "kafka-libs").symlink_to(jars)
    yield folder
    EmbeddedBroker(folder / "kafka").kill()


@pytest.fixture
def directory(data: Path) -> Path:
    """Where the broker of :func:`data` lives. It does not exist yet."""
    return data / "kafka"


@pytest.fixture
def rollcall(data: Path) -> RunRollcall:
    """Run the command ``rollcall`` with this test's data directory."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from rollcall.cli.main import main; main()", *arguments]
        return waiting.run(command, env={**os.environ, "ROLLCALL_DATA": str(data), **environment})

    return run


OWNER = """
import sys, signal
from pathlib import Path
from rollcall.sandbox.broker import EmbeddedBroker

signal.signal(signal.SIGINT, signal.default_int_handler)
with EmbeddedBroker(Path(sys.argv[1])) as broker:
    print(broker.status().pid, flush=True)
    sys.stdin.read()
"""


class Owner:
    """A process that owns a broker, in a session of its own as in a terminal of its own."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def broker_pid(self) -> int:
        """The id of the broker's process, once it is ready."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def signal(self, number: signal.Signals) -> None:
        """To the owner and all of its process group, as a terminal does with Ctrl-C."""
        os.killpg(self.process.pid, number)

    def close(self) -> None:
        """End it if it still lives."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def owner(directory: Path) -> Iterator[Owner]:
    """A process that starts a broker in ``directory`` and holds it."""
    running = Owner(directory)
    yield running
    running.close()
