"""The machine of a benchmark: its cores, a broker on the others, the process under test on one."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcall.errors import RollcallError
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings, load_settings

POLL_SECONDS = 0.05
STILL_SECONDS = 60.0
"""Without progress for so long, a run has failed."""

Announce = Callable[[str], object]


class BenchError(RollcallError):
    """The benchmark could not be carried through."""


def default_settings(**own: Any) -> Settings:
    """The defaults, whatever the user's environment says, but for some of one's own."""
    defaults = {field: info.default for field, info in Settings.model_fields.items()}
    return Settings(**(defaults | own))


@dataclass(frozen=True, slots=True)
class Latency:
    """``pipeline_seconds`` at a steady rate."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a benchmark takes place."""

    core: int
    """For what is measured."""
    others: set[int]
    """For everything else."""
    folder: Path
    bootstrap: str

    def settings(self, name: str) -> Settings:
        """The defaults, but for names and places."""
        return default_settings(
            topic_prefix=name, group_prefix=name, port=0, log_format="json", data=self.folder
        )

    @contextlib.asynccontextmanager
    async def process(
        self, command: str, settings: Settings, name: str
    ) -> AsyncIterator[ManagedProcess]:
        """A process on the core for what is measured."""
        folder = self.folder / name
        folder.mkdir()
        with pinned({self.core}):
            process = ManagedProcess(command, settings, self.bootstrap, folder)
            await process.__aenter__()
        try:
            await process.started()
            yield process
        finally:
            await process.__aexit__(None, None, None)


@contextlib.contextmanager
def machine(core: int, announce: Announce) -> Iterator[Machine]:
    """A machine with a fresh broker, in a folder that is removed when all went well.

    Raises:
        BenchError: the core is not this process's.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    folder = load_settings().data.absolute() / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    others = other_cores(core)
    # it has much to say of topics that were made a moment ago
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    broker = EmbeddedBroker(folder / "kafka", jars=folder.parent / "kafka-libs")
    broker.ensure_libraries(announce=announce)
    with contextlib.ExitStack() as stack:
        with pinned(others):
            stack.enter_context(broker)
        yield Machine(core, others, folder, broker.bootstrap)
    shutil.rmtree(folder, ignore_errors=True)


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had resident (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        * 1024
    )


def other_cores(core: int) -> set[int]:
    """The cores of this process without one; that one if there is no other.

    Raises:
        BenchError: the core is not this process's.
    """
    available = os.sched_getaffinity(0)
    if core not in available:
        raise BenchError(
            f"core {core} is not available; choose one of {', '.join(map(str, sorted(available)))}"
        )
    return available - {core} or {core}


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Processes that are started in the context are bound to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
