"""The machine of a benchmark: one core for the process under test, the others for the broker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcall.errors import RollcallError
from rollcall.sandbox.bench.figures import quantile
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings, load_settings

POLL_SECONDS = 0.5
"""Interval of scrapes. A scrape with the series of all event types takes the router 10 ms and more.
"""
STILL_SECONDS = 60.0
"""A run without progress for this time has failed."""

Announce = Callable[[str], object]


class BenchError(RollcallError):
    """The benchmark failed."""


def default_settings(**own: Any) -> Settings:
    """Default settings with some changes. Environment variables do not count."""
    defaults = {field: info.default for field, info in Settings.model_fields.items()}
    return Settings(**(defaults | own))


@dataclass(frozen=True, slots=True)
class Latency:
    """``pipeline_seconds`` at a steady rate."""

    per_second: float
    p50: float
    p99: float

    @classmethod
    def between(
        cls, rate: float, before: Mapping[float, float], after: Mapping[float, float]
    ) -> Latency:
        """Quantiles of the observations between two readings of cumulative buckets."""
        buckets = {bound: after[bound] - before[bound] for bound in after}
        return cls(rate, quantile(0.5, buckets), quantile(0.99, buckets))


@dataclass(frozen=True, slots=True)
class Machine:
    """Cores, folder and broker of a benchmark."""

    core: int
    """Core of the process under test."""
    others: set[int]
    """Cores of all other processes."""
    folder: Path
    bootstrap: str

    def settings(self, name: str) -> Settings:
        """Default settings with a topic prefix, a group prefix and the folder of the benchmark."""
        return default_settings(
            topic_prefix=name, group_prefix=name, port=0, log_format="json", data=self.folder
        )

    @contextlib.asynccontextmanager
    async def process(
        self,
        command: str,
        settings: Settings,
        name: str,
        cores: Collection[int] = (),
        variables: Mapping[str, str] | None = None,
    ) -> AsyncIterator[ManagedProcess]:
        """Run a process under test on its core, or another process on ``cores``.

        Args:
            variables: of the environment, besides the settings.
        """
        folder = self.folder / name
        folder.mkdir()
        with pinned(cores or {self.core}):
            process = ManagedProcess(command, settings, self.bootstrap, folder, variables=variables)
            await process.__aenter__()
        try:
            await process.started()
            yield process
        finally:
            await process.__aexit__(None, None, None)


@contextlib.contextmanager
def machine(core: int, announce: Announce) -> Iterator[Machine]:
    """A machine with a new broker. Its folder is removed unless the block fails.

    Raises:
        BenchError: the core is not available.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    folder = load_settings().data.absolute() / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    others = other_cores(core)
    # aiokafka warns about topics that were just created
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    broker = EmbeddedBroker(folder / "kafka", jars=folder.parent / "kafka-libs")
    broker.ensure_libraries(announce=announce)
    with contextlib.ExitStack() as stack:
        with pinned(others):
            stack.enter_context(broker)
        yield Machine(core, others, folder, broker.bootstrap)
    shutil.rmtree(folder, ignore_errors=True)


def peak_bytes(pid: int) -> int:
    """The peak resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        * 1024
    )


def other_cores(core: int) -> set[int]:
    """The cores of this process without ``core``, or only ``core`` if there is no other.

    Raises:
        BenchError: the core is not available.
    """
    available = os.sched_getaffinity(0)
    if core not in available:
        raise BenchError(
            f"core {core} is not available; choose one of {', '.join(map(str, sorted(available)))}"
        )
    return available - {core} or {core}


@contextlib.contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Bind processes that start in the block to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def run_module(name: str, *arguments: object, cores: Collection[int]) -> bytes:
    """Run a module as a process on these cores, and return its standard output.

    Raises:
        BenchError: the process failed.
    """
    with pinned(cores):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", name, *map(str, arguments), stdout=asyncio.subprocess.PIPE
        )
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"{name} failed; its output is above")
    return output
