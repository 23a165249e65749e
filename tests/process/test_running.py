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
                continue  # takes its cancellation for that of another task


run_process(load_settings(), Process)
"""


@pytest.mark.parametrize(
    ("how", "code", "told"), [("ends", 0, "the process has stopped; "), ("fails", 3, "no Kafka; ")]
)
def test_what_a_client_left_behind_holds_up_nobody(
    tmp_path: Path, how: str, code: int, told: str
) -> None:
    ended = run([sys.executable, "-c", PROGRAM, how], cwd=tmp_path)
    assert ended.returncode == code
    assert ended.stderr == f"{told}tasks of its clients did not end in time\n"


ENDING = """
import sys
import threading
import time

from rollcall.process.ending import run_command


class Kept:
    def __del__(self):
        print("the interpreter is taken apart")


def command():
    threading.Thread(target=time.sleep, args=[3600], daemon=True).start()
    print("told")
    how = sys.argv[2]
    if how == "fails":
        raise ArithmeticError("the command's own")
    sys.exit(None if how == "ends" else int(how))


kept = Kept()
run_command(command)
"""


@pytest.mark.parametrize(
    ("command", "how", "code", "apart"),
    [
        ("router", "ends", 0, False),
        ("serve", "78", 78, False),
        ("up", "fails", 1, False),
        ("topics", "78", 78, True),
    ],
)
def test_no_interpreter_is_taken_apart_while_threads_of_clients_run(
    command: str, how: str, code: int, apart: bool, tmp_path: Path
) -> None:
    ended = run([sys.executable, "-c", ENDING, command, how], cwd=tmp_path)
    assert ended.returncode == code
    assert ended.stdout == "told\n" + "the interpreter is taken apart\n" * apart
    assert ended.stderr.splitlines()[-1:] == ["ArithmeticError: the command's own"] * (
        how == "fails"
    )
