"""A signal in the first second of a process: while its modules are loaded.

Also as process id 1, as in a container: Linux keeps signals from it that it has no handler for.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from rollcall.cli import run
from rollcall.process.ending import RUN_UNTIL_STOPPED
from tests.cli.test_up import environment
from tests.processes import wait_until

NO_KAFKA = "127.0.0.1:1"
NAMESPACE = (
    "bwrap",
    "--die-with-parent",
    "--unshare-user",
    "--unshare-pid",
    "--as-pid-1",
    "--dev-bind",
    "/",
    "/",
    "--proc",
    "/proc",
)


def missing() -> str | None:
    """Why there can be no process id 1 of our own here; None: there can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)"
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False)
    return f"bubblewrap cannot work here: {tried.stderr.strip()}" if tried.returncode else None


needs_namespace = pytest.mark.skipif((why := missing()) is not None, reason=str(why))


class Started:
    """A command of ``rollcall``, just begun.

    Args:
        first: whether it is process id 1.
        held_back: whether SIGTERM is, until the process has a handler.
    """

    def __init__(
        self, command: list[str], folder: Path, *, first: bool = False, held_back: bool = False
    ) -> None:
        self._log = folder / "log"
        wrapped = [*(NAMESPACE if first else ()), sys.executable, "-P", "-m", "rollcall", *command]
        settings = environment(kafka=NO_KAFKA, data=folder, port=0, log_format="json")
        with self._log.open("wb") as log:
            if held_back:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            try:
                self.outer = subprocess.Popen(
                    wrapped, env=settings, cwd=Path(__file__).parents[2], stdout=log, stderr=log
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        self.pid = self.outer.pid
        if first:
            self.wait(lambda: len(self._children()) == 1)
            (self.pid,) = self._children()

    def _children(self) -> list[int]:
        return [
            int(child)
            for child in Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
            .read_text()
            .split()
        ]

    def wait(self, moment: Callable[[], bool]) -> None:
        """Wait for a moment."""
        wait_until(lambda: moment() or self.outer.poll() is not None, 60, what="the moment")
        assert self.outer.poll() is None, self.log

    def is_python(self) -> bool:
        """Whether it has begun to be the program."""
        return (
            b"\0-m\0rollcall" in Path(f"/proc/{self.pid}/cmdline").read_bytes()
            and b"bwrap" not in Path(f"/proc/{self.pid}/cmdline").read_bytes()
        )

    def handles(self) -> bool:
        """Whether it has a handler for SIGTERM."""
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        return self.is_python() and bool(int(status["SigCgt"], 16) & 1 << signal.SIGTERM - 1)

    def has_loaded(self, library: str) -> bool:
        """Whether it has loaded a library that is compiled."""
        return library in Path(f"/proc/{self.pid}/maps").read_text()

    def has_logged(self, message: str) -> bool:
        """Whether it has come so far that it says so."""
        return f'"{message}"' in self.log

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text()

    def end(self, number: signal.Signals) -> int:
        """Send it a signal; its exit code, which bubblewrap hands on as shells do."""
        os.kill(self.pid, number)
        return self.outer.wait(60)


@contextmanager
def started(
    command: list[str], folder: Path, *, first: bool = False, held_back: bool = False
) -> Iterator[Started]:
    """A command, gone at the end."""
    process = Started(command, folder, first=first, held_back=held_back)
    try:
        yield process
    finally:
        process.outer.kill()
        process.outer.wait()


MOMENTS: dict[str, Callable[[Started], bool]] = {
    "handlers": Started.handles,
    "some modules": lambda process: process.has_loaded("pydantic_core"),
    "uvloop": lambda process: process.has_loaded("uvloop"),
    "it runs": lambda process: process.has_logged("router started"),
}


@needs_namespace
@pytest.mark.parametrize("moment", MOMENTS)
def test_process_id_1_ends_at_any_moment(moment: str, tmp_path: Path) -> None:
    with started(["router"], tmp_path, first=True) as router:
        router.wait(lambda: MOMENTS[moment](router))
        assert router.end(signal.SIGTERM) == 0
        assert "Traceback" not in router.log


@needs_namespace
def test_what_comes_before_the_handlers_waits_for_them_if_it_is_held_back(tmp_path: Path) -> None:
    """As deploy/container/Containerfile has it done."""
    with started(["router"], tmp_path, first=True, held_back=True) as router:
        assert router.end(signal.SIGTERM) == 0
        assert router.log == ""


@needs_namespace
def test_process_id_1_that_is_no_process_of_ours_is_no_success(tmp_path: Path) -> None:
    with started(["topics", "check"], tmp_path, first=True) as check:
        check.wait(check.handles)
        assert check.end(signal.SIGTERM) == 128 + signal.SIGTERM


@pytest.mark.parametrize("command", RUN_UNTIL_STOPPED)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_stopped_while_it_loads_has_ended_well(
    command: str, number: signal.Signals, tmp_path: Path
) -> None:
    with started([command], tmp_path) as process:
        process.wait(process.handles)
        assert process.end(number) == 0
        assert process.log == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_another_command_is_killed_by_it(number: signal.Signals, tmp_path: Path) -> None:
    with started(["schemas", "lint"], tmp_path) as lint:
        lint.wait(lint.handles)
        assert lint.end(number) in ((-number, 130) if number is signal.SIGINT else (-number,))
        assert "Traceback" not in lint.log


def test_nohup_has_it_live_on(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = Started(["router"], tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        process.wait(process.handles)
        os.kill(process.pid, signal.SIGHUP)
        process.wait(lambda: process.has_logged("router started"))
        assert process.end(signal.SIGTERM) == 0
    finally:
        process.outer.kill()
        process.outer.wait()


def test_which_commands_run_until_they_are_stopped() -> None:
    """They stand in app/rollcall/process/ending.py, which must not load the others."""
    cli = typer.Typer()
    run.register(cli)
    assert tuple(str(command.name) for command in cli.registered_commands) == RUN_UNTIL_STOPPED
