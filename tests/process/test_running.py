"""End of a process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.waiting import run

PROGRAM = """
import asyncio
import sys

from rollcall.errors import BrokerUnavailableError
from rollcall.process.running import run_process
from rollcall.settings import load_settings


class Process:
    async def run(self, stop):
        self.left = asyncio.create_task(self.wait_on())
        await asyncio.sleep(0)
        if sys.argv[1] == "fails":
            raise BrokerUnavailableError("no Kafka")

    async def wait_on(self):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue  # mistakes its cancellation for that of another task


run_process(load_settings(), Process)
"""


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [("ends", 0, "the process has stopped; "), ("fails", 3, "no Kafka; ")],
)
def test_a_left_task_of_a_client_does_not_delay_the_end(
    tmp_path: Path, end: str, code: int, message: str
) -> None:
    ended = run([sys.executable, "-c", PROGRAM, end], cwd=tmp_path)
    assert ended.returncode == code
    assert ended.stderr == f"{message}tasks of its clients did not end in time\n"


ENDING = """
import sys
import threading
import time

from rollcall.process.ending import run_command


class Kept:
    def __del__(self):
        print("finalized")


def command():
    threading.Thread(target=time.sleep, args=[3600], daemon=True).start()
    print("output")
    end = sys.argv[2]
    if end == "fails":
        raise ArithmeticError("the command's own")
    sys.exit(None if end == "ends" else int(end))


kept = Kept()
run_command(command)
"""


@pytest.mark.parametrize(
    ("command", "end", "code", "is_finalized"),
    [
        ("router", "ends", 0, False),
        ("serve", "78", 78, False),
        ("up", "fails", 1, False),
        ("topics", "78", 78, True),
    ],
)
def test_the_interpreter_is_not_finalized_while_threads_of_clients_run(
    command: str, end: str, code: int, is_finalized: bool, tmp_path: Path
) -> None:
    ended = run([sys.executable, "-c", ENDING, command, end], cwd=tmp_path)
    assert ended.returncode == code
    assert ended.stdout == "output\n" + "finalized\n" * is_finalized
    assert ended.stderr.splitlines()[-1:] == ["ArithmeticError: the command's own"] * (
        end == "fails"
    )
