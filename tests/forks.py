"""Commands of ``rollcall`` as forks of one process that has loaded what they run with: each is a process of its own, and none loads anything anew.

For tests of what a command does. What it loads, and what happens meanwhile, is tested with commands that are started as a user starts them.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.waiting import RUN_SECONDS, result_of

MODULES = {
    "router": ("app.cli.running", "app.router.application"),
    "serve": ("app.cli.running", "app.serve.process"),
    "up": ("app.cli.running",),
    "demo": ("app.demo.run",),
    "topics": ("app.cli.cluster", "app.topic_plan"),
}
"""What commands run with, by their first words. It is loaded with the first of each."""


class Forks:
    """The process that is forked. Use it in a ``with`` statement."""

    def __enter__(self) -> Forks:
        """Start it."""
        self._process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._thread = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._thread.shutdown()

    def run(self, *arguments: str, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. ``folder``: for what it writes."""
        files = [folder / name for name in ("command.out", "command.err")]
        request = json.dumps({"arguments": arguments, "environment": dict(environment), "files": list(map(str, files))})
        code = result_of(self._thread.submit(self._ask, request), RUN_SECONDS, what=f"the end of {' '.join(arguments)}")
        written = [file.read_text() for file in files]
        for file in files:
            file.unlink()
        return subprocess.CompletedProcess(arguments, code, *written)

    def _ask(self, request: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(request + "\n")
        return int(self._process.stdout.readline())


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """For the tests of a folder whose conftest.py imports it."""
    with Forks() as forks:
        yield forks


def _serve() -> None:
    """Run each command that is asked for in a fork, and answer with its exit code."""
    while line := sys.stdin.readline():
        request = json.loads(line)
        for name in ("app.cli.main", *MODULES.get(request["arguments"][0], ())):
            importlib.import_module(name)
        gc.freeze()  # a collection in the fork would copy all that it shares with this process
        child = os.fork()
        if child == 0:
            _become(request["arguments"], request["environment"], request["files"])
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(arguments: list[str], environment: dict[str, str], files: list[str]) -> None:
    """Have this process be a command, until its own end."""
    from app.__main__ import main

    for descriptor, path in enumerate([os.devnull, *files]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["rollcall", *arguments]
    main()


if __name__ == "__main__":
    _serve()
