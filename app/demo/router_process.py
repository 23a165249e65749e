"""The router of the demo: a process as a user would start it, watched through its log and its metrics."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from app.broker import processes
from app.demo.cluster import KEPT
from app.demo.ledger import Ledger
from app.errors import RollcallError
from app.settings import ENV_PREFIX, Settings

START_SECONDS = 45.0
"""A start takes about two seconds. This is for machines that are busy with other things."""

_POLL_SECONDS = 0.05
_QUOTED_LINES = 8


class RouterEndedError(RollcallError):
    """The router ended, or does not do what it should."""


class Reading(NamedTuple):
    """What the router's metrics say."""

    received: int
    ledger: Ledger


class RouterProcess:
    """As an async context manager: started, and stopped with its end, and with this process, however that ends."""

    def __init__(self, settings: Settings, bootstrap: str, folder: Path) -> None:
        self.log = folder / "router.log"
        self.url = ""
        """Where its HTTP is."""
        self._environment = _environment(settings, bootstrap)
        self._pid_file = folder / "router.pid"
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._pid_file.read_text(encoding="utf-8"))

    async def __aenter__(self) -> Self:
        # -P: the log's folder, in which it starts, is no place to import from.
        command = [sys.executable, "-P", "-m", "app", "router"]
        self._supervisor = processes.launch(command, pid_file=self._pid_file, log_file=self.log, owned=True, environment=self._environment)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._end()

    async def started(self) -> None:
        """Wait until its HTTP answers.

        Raises:
            RouterEndedError: it has ended, or is not there after :data:`START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.url:
            self.check()
            if time.monotonic() >= deadline:
                raise RouterEndedError(f"the router was not there after {START_SECONDS:.0f} s{self.last_words()}")
            await asyncio.sleep(_POLL_SECONDS)
            self.url = next((str(line["http"]) for line in self._lines() if "http" in line), "")

    def check(self) -> None:
        """Raise :class:`RouterEndedError` if it has ended."""
        assert self._supervisor is not None
        if self._supervisor.poll() is not None:
            raise RouterEndedError(f"the router ended{self.last_words()}")

    async def read(self) -> Reading:
        """Scrape its metrics.

        Raises:
            RouterEndedError: it has ended, or does not answer.
        """
        assert self._session is not None
        try:
            async with self._session.get(f"{self.url}/metrics") as answer:
                return parse_metrics(await answer.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await asyncio.sleep(1.0)  # so long the supervisor takes to notice that it has ended
            self.check()
            raise RouterEndedError(f"the router does not answer at {self.url}/metrics ({type(error).__name__}){self.last_words()}") from None

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        lines = [_plain(line) for line in self._text().splitlines() if line.strip()]
        quoted = "".join(f"\n  {line[:300]}" for line in lines[-_QUOTED_LINES:]) or "\n  (it is empty)"
        return f"; its log {self.log} ends:{quoted}"

    def _text(self) -> str:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _lines(self) -> list[dict[str, Any]]:
        parsed = (_json(line) for line in self._text().splitlines())
        return [line for line in parsed if line is not None]

    async def _end(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._supervisor is not None:
            # Closes the supervisor's pipe, which sends SIGTERM, and waits. A thread, because the router may take seconds to drain.
            await asyncio.to_thread(processes.release, self._supervisor)


def parse_metrics(text: str) -> Reading:
    """What a page of metrics says."""
    received, ledger = 0, Ledger()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            count = int(sample.value) if sample.name.endswith("_total") else 0
            if not count:
                continue
            if sample.name == "rollcall_events_received_total":
                received = count
            elif sample.name == "rollcall_events_routed_total":
                ledger.routed[sample.labels["event_name"]] += count
            elif sample.name == "rollcall_events_unknown_total":
                ledger.unknown = count
            elif sample.name == "rollcall_dead_letters_total":
                ledger.dead[sample.labels["code"]] += count
    return Reading(received, ledger)


def _environment(settings: Settings, bootstrap: str) -> dict[str, str]:
    """This process's environment with the demo's settings in place of the user's."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith(ENV_PREFIX) or _kept(name)}
    for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
        path: Path | None = getattr(settings, name)
        if path is not None:
            environment = {key: value for key, value in environment.items() if key.upper() != ENV_PREFIX + name.upper()}
            environment[ENV_PREFIX + name.upper()] = str(path.absolute())
    own = {
        "KAFKA": bootstrap,
        "TOPIC_PREFIX": settings.topic_prefix,
        "GROUP_PREFIX": settings.group_prefix,
        "DATA": str(settings.data),
        "PORT": str(settings.port),
        "LOG_FORMAT": settings.log_format,
    }
    return environment | {ENV_PREFIX + name: value for name, value in own.items()}


def _kept(name: str) -> bool:
    setting = name.upper().removeprefix(ENV_PREFIX).lower()
    return setting in KEPT - {"kafka", "data"}


def _json(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _plain(line: str) -> str:
    """A line of the log as people read it."""
    parsed = _json(line)
    if parsed is None or "message" not in parsed:
        return line
    error = str(parsed.get("error", "")).strip().splitlines()
    return f"{parsed.get('level', '')}: {parsed['message']}" + (f" ({error[-1]})" if error else "")
