"""A process that the demo or a benchmark starts, and observes through its log and metrics."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from pydantic import SecretStr

from rollcall.errors import RollcallError
from rollcall.sandbox import processes
from rollcall.settings import ENV_PREFIX, Settings

START_SECONDS = 45.0
"""A start takes about two seconds; a busy machine needs more."""

READY_SECONDS = 60.0
"""Time from the start until a process is ready: until serve's replica has all rows, for example."""

_POLL_SECONDS = 0.05
_QUOTED_LINES = 8


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    text: str
    link: str
    """The header ``Link``, or empty."""


class ProcessEndedError(RollcallError):
    """A process ended, or makes no progress."""


class ObservedProcess:
    """An async context manager that starts a process and stops it at the end of the block, and at
    any end of this process.

    Args:
        name: name in messages, and of its files.
        folder: the folder for its log and its process id.
        environment: replaces this process's environment.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        file_name = name.replace(" ", "-")
        self.log = folder / f"{file_name}.log"
        self.url = ""
        """Its HTTP address; empty before :meth:`started`."""
        self._command = command
        self._environment = environment
        self._pid_file = folder / f"{file_name}.pid"
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._pid_file.read_text(encoding="utf-8"))

    async def __aenter__(self) -> Self:
        self._supervisor = processes.launch(
            self.name,
            self._command,
            pid_file=self._pid_file,
            log_file=self.log,
            owned=True,
            environment=self._environment,
        )
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
        if self._supervisor is not None:
            # In a thread: the process may drain for seconds after SIGTERM.
            await asyncio.to_thread(processes.release, self._supervisor)

    async def started(self) -> None:
        """Wait until the log names the HTTP address.

        Raises:
            ProcessEndedError: the process ended, or did not start within :data:`START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.url:
            self.check()
            if time.monotonic() >= deadline:
                raise self.failure(f"did not start within {START_SECONDS:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
            self.url = next((str(line["http"]) for line in self._lines() if "http" in line), "")

    async def ready(self) -> None:
        """Wait until ``/readyz`` answers 200. Call it after :meth:`started`.

        Raises:
            ProcessEndedError: the process ended, or was not ready within :data:`READY_SECONDS`.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not await self.is_ready():
            self.check()
            if time.monotonic() >= deadline:
                raise self.failure(
                    f"was not ready after {READY_SECONDS:.0f} s: {(await self.get('/readyz')).text}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    def logged(self, field: str) -> str:
        """A field of the line that tells of the start. Call it after :meth:`started`."""
        return next(str(line[field]) for line in self._lines() if field in line)

    def check(self) -> None:
        """Raise :class:`ProcessEndedError` if the process has ended."""
        assert self._supervisor is not None
        if self._supervisor.poll() is not None:
            raise self.failure("ended")

    async def ended(self, seconds: float) -> int:
        """Wait until a command has done its work. Returns its exit code, like a shell.

        Raises:
            ProcessEndedError: it did not end within ``seconds``.
        """
        assert self._supervisor is not None
        deadline = time.monotonic() + seconds
        while (code := self._supervisor.poll()) is None:
            if time.monotonic() >= deadline:
                raise self.failure(f"did not end within {seconds:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
        return code

    def output(self) -> list[str]:
        """The lines of its log."""
        return self._text().splitlines()

    async def get(self, path: str) -> Answer:
        """Send a GET request.

        Raises:
            ProcessEndedError: the process has ended, or does not answer.
        """
        assert self._session is not None
        try:
            async with self._session.get(f"{self.url}{path}") as answer:
                return Answer(answer.status, await answer.text(), answer.headers.get("link", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await asyncio.sleep(1.0)  # the supervisor needs this long to notice the end
            self.check()
            raise self.failure(
                f"did not answer at {self.url}{path} ({type(error).__name__})"
            ) from None

    async def metrics(self) -> str:
        """The metrics page. Raises like :meth:`get`."""
        return (await self.get("/metrics")).text

    async def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        assert self._session is not None
        try:
            async with self._session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def failure(self, event: str) -> ProcessEndedError:
        """An error with the end of the log. ``event``: the failure, such as ``ended``."""
        lines = [_readable(line) for line in self._text().splitlines() if line.strip()]
        quoted = (
            "".join(f"\n  {line[:300]}" for line in lines[-_QUOTED_LINES:]) or "\n  (it is empty)"
        )
        return ProcessEndedError(f"the {self.name} {event}; its log {self.log} ends:{quoted}")

    def _text(self) -> str:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _lines(self) -> list[dict[str, Any]]:
        parsed = (_json(line) for line in self._text().splitlines())
        return [line for line in parsed if line is not None]


class ManagedProcess(ObservedProcess):
    """A process of Rollcall.

    Args:
        name: the command, such as ``router`` or ``ingest sqs``.
        settings: all settings of the process; its environment variables do not count.
        folder: the folder for its log and its process id.
        variables: further environment variables, that are no settings.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        bootstrap: str,
        folder: Path,
        *,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            name,
            python_module("rollcall", *name.split()),
            folder=folder,
            environment=process_environment(settings.model_copy(update={"kafka": bootstrap}))
            | dict(variables or {}),
        )


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this environment. It imports nothing from its current
    directory, which is the folder of its log.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment_without(*prefixes: str) -> dict[str, str]:
    """This process's environment, without the variables whose names begin so."""
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(prefixes)
    }


def process_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, with these settings and no others, and without AWS's variables:
    a queue of the sandbox is none of the user's account.
    """
    environment = environment_without(ENV_PREFIX, "AWS_")
    values = ((name, getattr(settings, name)) for name in Settings.model_fields)
    return environment | {
        ENV_PREFIX + name.upper(): _variable(value) for name, value in values if value is not None
    }


def _variable(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case tuple():
            return ",".join(map(str, value))
        case Path():
            return str(value.absolute())  # the process has another current directory
        case _:
            return str(value)


def _json(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _readable(line: str) -> str:
    """A log line as text."""
    parsed = _json(line)
    if parsed is None or "message" not in parsed:
        return line
    error = str(parsed.get("error", "")).strip().splitlines()
    return f"{parsed.get('level', '')}: {parsed['message']}" + (f" ({error[-1]})" if error else "")
