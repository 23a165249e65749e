"""Commands of ``rollcall`` as forks of one process that has loaded their modules: each is a
separate process that loads nothing again.

For tests of a command's work. Tests of loading, and of events during it, start the program as a
user does.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.waiting import DEADLINE_SECONDS, RUN_SECONDS, result_of, wait_for_exit

MODULES = {
    "router": ("rollcall.cli.running", "rollcall.router.application"),
    "rosters": ("rollcall.cli.running", "rollcall.rosters.application"),
    "serve": ("rollcall.cli.running", "rollcall.serve.process"),
    "ingest": (
        "rollcall.cli.running",
        "rollcall.cli.ingesting",
        "rollcall.ingest.https.process",
    ),
    "up": ("rollcall.cli.running",),
    "demo": ("rollcall.sandbox.demo.run",),
    "topics": ("rollcall.cli.cluster", "rollcall.catalogue.plans"),
}
"""Modules of commands, by first arguments. Loaded with the first use of each."""


class Fork:
    """A forked process, with the interface of :class:`subprocess.Popen`."""

    def __init__(self, pid: int, ended: Future[int]) -> None:
        self.pid = pid
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        """Exit code, negative signal number, or None: still running."""
        return self._ended.result() if self._ended.done() else None

    def poll(self) -> int | None:
        """:attr:`returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; give the exit code.

        Raises:
            TimeoutError: it has not ended by then.
        """
        return self._ended.result(timeout)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it has not ended."""
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):  # it has, a moment ago
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Parent of the forks. Use it in a ``with`` statement."""

    def __enter__(self) -> Forks:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._numbers = itertools.count()
        self._begun: dict[int, Future[Fork]] = {}
        self._running: dict[int, Future[int]] = {}
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._hear, name="forks", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End it. Its forks keep running."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._thread.join()
        self._process.stdout.close()

    def start(self, *arguments: str, environment: Mapping[str, str], out: Path, err: Path) -> Fork:
        """Start a command that appends its output to these files."""
        assert self._process.stdin is not None
        number, begun = next(self._numbers), Future[Fork]()
        request = {
            "number": number,
            "arguments": arguments,
            "environment": dict(environment),
            "files": [str(out), str(err)],
        }
        self._begun[number] = begun
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(request) + "\n")
        return result_of(begun, DEADLINE_SECONDS, what=f"the fork for {' '.join(arguments)}")

    def run(
        self, *arguments: str, environment: Mapping[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. ``folder``: for its output files."""
        out, err = files = [folder / name for name in ("command.out", "command.err")]
        for file in files:
            file.unlink(missing_ok=True)
        fork = self.start(*arguments, environment=environment, out=out, err=err)
        try:
            code = wait_for_exit(fork, RUN_SECONDS, what=f"the end of {' '.join(arguments)}")
        finally:
            fork.kill()
        return subprocess.CompletedProcess(arguments, code, *(file.read_text() for file in files))

    def _hear(self) -> None:
        """Handle a message about each fork that starts or ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match json.loads(line):
                case {"begun": pid, "number": number}:
                    self._running[pid] = Future()
                    self._begun.pop(number).set_result(Fork(pid, self._running[pid]))
                case {"ended": pid, "code": code}:
                    self._running.pop(pid).set_result(code)
        ended = RuntimeError("the process that is forked has ended; what it says stands above")
        for begun in self._begun.values():
            begun.set_exception(ended)
        for running in self._running.values():
            running.set_exception(ended)


@functools.cache
def common_forks() -> Forks:
    """The shared forks of this process, until its end."""
    forks = Forks()
    forks.__enter__()
    atexit.register(forks.__exit__)
    return forks


@pytest.fixture(scope="session")
def forks() -> Forks:
    """For tests in a folder whose conftest.py imports it."""
    return common_forks()


_forked: set[int] = set()
"""Numbers of running forks, in the parent."""


def _serve() -> None:
    """Run each requested command in a fork; report its start, and its exit code."""
    signal.signal(signal.SIGCHLD, _tell_of_ends)
    while line := sys.stdin.readline():
        request = json.loads(line)
        for name in ("rollcall.cli.main", *MODULES.get(request["arguments"][0], ())):
            importlib.import_module(name)
        gc.freeze()  # a collection in the fork would copy all that it shares with this process
        # of an end nobody hears before the beginning
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        else:
            _forked.add(child)
            _tell(begun=child, number=request["number"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        if child == 0:
            _become(request["arguments"], request["environment"], request["files"])
            return


def _tell_of_ends(_number: int, _frame: object) -> None:
    for child in sorted(_forked):  # others are those of what was imported
        try:
            ended, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            # the end of another one came meanwhile, and this function told of both
            continue
        if ended:
            _forked.discard(child)
            _tell(ended=child, code=os.waitstatus_to_exitcode(status))


def _tell(**what: int) -> None:
    os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")


def _become(arguments: list[str], environment: dict[str, str], files: list[str]) -> None:
    """Run a command in this process until it ends."""
    from rollcall.__main__ import main

    for descriptor, path in enumerate([os.devnull, *files]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["rollcall", *arguments]
    main()


if __name__ == "__main__":
    _serve()
