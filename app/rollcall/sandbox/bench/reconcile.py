"""Benchmark of reconcile on one core: a backfill of empty rosters, and a run without differences.

Its Canvas, router, rosters and broker run on the other cores.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from rollcall.catalogue.plans import plan_topics
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.sandbox.bench.figures import Throughput
from rollcall.sandbox.bench.machine import (
    Announce,
    BenchError,
    Machine,
    machine,
    pinned,
    run_module,
)
from rollcall.sandbox.canvas.rest import ADMIN_TOKEN, CanvasServer
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.demo.screen import Counts
from rollcall.sandbox.demo.watching import roster_inputs, wait_for_rosters, wait_for_router
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

SHARD = 2107
NAME = "bench"
TOKEN_FILE = "canvas-token"  # the name of a file  # noqa: S105


@dataclass(frozen=True, slots=True)
class ReconcileBenchPlan:
    """Parameters of the benchmark."""

    courses: int
    """Courses of Canvas."""
    core: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRun(Throughput):
    """One run, with the replica that it builds or brings up to date. Its events are the compared
    rows of Canvas.
    """

    outcome: str
    written: int
    """Snapshots."""
    calls: int


@dataclass(frozen=True, slots=True)
class ReconcileBenchResult:
    """Results of the benchmark."""

    backfill: ReconcileRun
    """Everything is written."""
    second: ReconcileRun
    """Nothing is written."""


async def bench_reconcile(plan: ReconcileBenchPlan, announce: Announce) -> ReconcileBenchResult:
    """Run the benchmark.

    Raises:
        BenchError: a run failed, or did not write what it should.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    simulation = Simulation(SimulationPlan(courses=plan.courses, steps=0, silent_steps=0))
    for _ in simulation.events():
        raise BenchError("the simulated institution sends events: that is a fault of Rollcall")
    with machine(plan.core, announce) as bench_machine:
        settings = bench_machine.settings(NAME).model_copy(update={"shard": SHARD})
        (bench_machine.folder / TOKEN_FILE).write_text(ADMIN_TOKEN, encoding="ascii")
        await ensure_topics(settings, bench_machine.bootstrap, plan_topics(settings))
        async with _processes(bench_machine, settings) as (router, rosters):
            with _canvas(bench_machine, simulation) as url:
                account = simulation.canvas.root.gid
                backfill = await _run(bench_machine, url, account)
                announce(f"backfill:   {backfill.per_second:9,.0f} rows/s")
                await wait_for_router(router, backfill.written, _NoProgress(), rosters)
                await wait_for_rosters(rosters, roster_inputs(settings))
                second = await _run(bench_machine, url, account)
                announce(f"second run: {second.per_second:9,.0f} rows/s")
    result = ReconcileBenchResult(backfill, second)
    check_result(result)
    return result


def check_result(result: ReconcileBenchResult) -> None:
    """Raise :class:`BenchError` unless the first run wrote everything and the second nothing."""
    for name, run, expected in (
        ("backfill", result.backfill, result.backfill.events),
        ("second run", result.second, 0),
    ):
        if run.outcome != "complete" or run.written != expected:
            raise BenchError(
                f"the {name} was {run.outcome} and wrote {run.written:,} snapshots, not "
                f"{expected:,}: its figures do not count"
            )


@contextlib.asynccontextmanager
async def _processes(
    bench_machine: Machine, settings: Settings
) -> AsyncIterator[tuple[ManagedProcess, ManagedProcess]]:
    """Router and rosters, which take the snapshots in."""
    async with contextlib.AsyncExitStack() as stack:
        router, rosters = [
            await stack.enter_async_context(
                bench_machine.process(name, settings, name, cores=bench_machine.others)
            )
            for name in ("router", "rosters")
        ]
        yield router, rosters


@contextlib.contextmanager
def _canvas(bench_machine: Machine, simulation: Simulation) -> Iterator[str]:
    """The URL of the institution's REST API, without a throttle."""
    server = CanvasServer(lambda: simulation.canvas.world)
    server.throttle.cost = server.throttle.cost_of_row = server.throttle.reserve = 0.0
    with contextlib.ExitStack() as stack:
        with pinned(bench_machine.others):  # its thread keeps the cores
            stack.enter_context(server)
        yield server.url


async def _run(bench_machine: Machine, url: str, account: str) -> ReconcileRun:
    output = await run_module(
        "rollcall.sandbox.bench.reconcile_run",
        bench_machine.bootstrap,
        bench_machine.folder,
        url,
        account,
        cores={bench_machine.core},
    )
    return ReconcileRun(**json.loads(output))


class _NoProgress:
    def show(self, done: int, total: int, counts: Counts) -> None:
        """Show nothing."""
