"""Benchmark of the rosters on one core: rate, latency at half the rate, recovery and memory of
large tables.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import plan_roster_topics, roster_topics
from rollcall.sandbox.bench.figures import Sample, Throughput, throughput
from rollcall.sandbox.bench.machine import (
    POLL_SECONDS,
    STILL_SECONDS,
    Announce,
    BenchError,
    Latency,
    Machine,
    machine,
    peak_bytes,
    pinned,
    run_module,
)
from rollcall.sandbox.bench.scrape import scrape
from rollcall.sandbox.bench.typed import (
    TypedRecord,
    chunks_of,
    enrollments,
    send_typed,
    simulated_records,
)
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

WARM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class RosterBenchPlan:
    """Parameters of the benchmark."""

    events: int
    """Typed events in one run."""
    runs: int
    latency_seconds: float
    """Duration of the latency run, at half the rate."""
    rows: int
    """Enrollments in the tables, for recovery and memory."""
    core: int


@dataclass(frozen=True, slots=True)
class TableLoad:
    """A table that was loaded alone."""

    rows: int
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """Start of a process with full tables."""

    rows: int
    seconds: float
    """From the start, with that of Python, until ready."""
    loading_seconds: float
    """From the first loaded row to the last one."""
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class RosterBenchResult:
    """Results of the benchmark."""

    rosters: list[Throughput]
    latency: Latency
    filling: Throughput
    """The run that fills the tables: one event for each enrollment."""
    recovery: Recovery
    tables: dict[str, TableLoad]


async def bench_rosters(plan: RosterBenchPlan, announce: Announce) -> RosterBenchResult:
    """Run the benchmark.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as bench_machine:
        bench = _Bench(plan, bench_machine, announce)
        sent = await bench.load(
            "bench", simulated_records(max(plan.events // 1_000, 1), 1_000_000_000), plan.events
        )
        runs = []
        for number in range(plan.runs):
            runs.append(await bench.run(number, sent))
            announce(
                f"run {number + 1}: {runs[-1].per_second:9,.0f} events/s  "
                f"{runs[-1].cpu_microseconds:5.1f} CPU-µs/event"
            )
        half = sorted(run.per_second for run in runs)[len(runs) // 2] / 2
        announce(f"latency at {half:,.0f} events/s for {plan.latency_seconds:.0f} s")
        latency = await bench.run_latency(half)
        sent = await bench.load("rows", enrollments(plan.rows), plan.rows)
        filling = await bench.fill(sent)
        announce(
            f"tables filled: {filling.per_second:9,.0f} events/s  {filling.cpu_microseconds:5.1f} "
            "CPU-µs/event"
        )
        recovery = await bench.recover()
        announce(f"recovered {recovery.rows:,} rows in {recovery.seconds:.1f} s")
        tables = {stage.name: await bench.load_table(stage.name) for stage in stages(None)}
    return RosterBenchResult(runs, latency, filling, recovery, tables)


@dataclass(frozen=True, slots=True)
class _Progress:
    typed: int
    """Processed typed events."""
    lag: int
    rows: int
    remaining: int
    cpu_seconds: float
    latency_buckets: dict[float, float]


async def _progress(process: ManagedProcess) -> _Progress:
    reading = await scrape(process)
    values = reading.values
    return _Progress(
        typed=int(values["rollcall_event_age_seconds_count"]),
        lag=int(values.get("rollcall_consumer_lag_records", -1)),
        rows=int(values["rollcall_table_rows"]),
        remaining=int(values["rollcall_table_recovery_remaining_records"]),
        cpu_seconds=values["process_cpu_seconds_total"],
        latency_buckets=reading.latency_buckets,
    )


class _Bench:
    def __init__(self, plan: RosterBenchPlan, bench_machine: Machine, announce: Announce) -> None:
        self._plan = plan
        self._machine = bench_machine
        self._announce = announce

    async def load(self, name: str, records: Iterable[TypedRecord], count: int) -> int:
        """Fill typed topics, and return the number of records."""
        settings = self._machine.settings(name)
        await ensure_topics(settings, self._machine.bootstrap, plan_roster_topics(settings))
        started = time.perf_counter()
        with pinned(self._machine.others | {self._machine.core}):
            sent = await send_typed(
                client_options(settings, self._machine.bootstrap),
                name,
                settings.partitions,
                chunks_of(itertools.islice(records, count)),
            )
        self._announce(f"{sent:,} typed events loaded in {time.perf_counter() - started:.0f} s")
        return sent

    async def run(self, number: int, events: int) -> Throughput:
        """Process all typed events with a new consumer group, until the last roster is written."""
        settings = self._machine.settings("bench").model_copy(
            update={"group_prefix": f"bench-{number}"}
        )
        async with self._machine.process("rosters", settings, f"rosters-{number}") as process:
            return await self._watch(process, events)

    async def _watch(self, process: ManagedProcess, events: int) -> Throughput:
        samples: list[Sample] = []
        moved = time.monotonic()
        last: _Progress | None = None
        while last is None or last.typed < events or last.lag != 0:
            progress = await _progress(process)
            if last is None or (progress.typed, progress.lag) != (last.typed, last.lag):
                moved = time.monotonic()
            if time.monotonic() - moved > STILL_SECONDS:
                process.check()
                raise process.failure(f"made no progress for {STILL_SECONDS:.0f} s")
            last = progress
            # Later stages catch up after the last event: only the sample with lag 0 is the end.
            samples.append(
                Sample(
                    time.perf_counter(),
                    progress.typed if progress.typed < events or progress.lag else events + 1,
                    progress.cpu_seconds,
                )
            )
            await asyncio.sleep(POLL_SECONDS)
        return throughput(samples, peak_bytes(process.pid))

    async def run_latency(self, rate: float) -> Latency:
        """Send at a steady rate, and read the process's latency metrics."""
        settings = self._machine.settings("latency")
        await ensure_topics(settings, self._machine.bootstrap, plan_roster_topics(settings))
        async with self._machine.process("rosters", settings, "rosters-latency") as process:
            warm = await self._send_steadily(settings, rate, WARM_SECONDS, 0)
            # leave out the first events, which waited for the process to join its group
            before = await self._catch_up(process, warm)
            sent = await self._send_steadily(settings, rate, self._plan.latency_seconds, warm)
            after = await self._catch_up(process, warm + sent)
        return Latency.between(rate, before.latency_buckets, after.latency_buckets)

    async def _catch_up(self, process: ManagedProcess, events: int) -> _Progress:
        deadline = time.monotonic() + STILL_SECONDS
        while (progress := await _progress(process)).typed < events or progress.lag != 0:
            if time.monotonic() > deadline:
                raise BenchError("the rosters do not keep up with half their rate")
            await asyncio.sleep(POLL_SECONDS)
        return progress

    async def _send_steadily(
        self, settings: Settings, rate: float, seconds: float, skip: int
    ) -> int:
        output = await run_module(
            "rollcall.sandbox.bench.typed",
            self._machine.bootstrap,
            settings.topic_prefix,
            settings.partitions,
            rate,
            seconds,
            skip,
            cores=self._machine.others,
        )
        return int(output)

    async def fill(self, events: int) -> Throughput:
        """Process the enrollments that fill the tables."""
        async with self._machine.process(
            "rosters", self._machine.settings("rows"), "rosters-fill"
        ) as process:
            return await self._watch(process, events)

    async def recover(self) -> Recovery:
        """Start again with full tables."""
        started = time.perf_counter()
        first: float | None = None
        async with self._machine.process(
            "rosters", self._machine.settings("rows"), "rosters-recover"
        ) as process:
            while True:
                progress = await _progress(process)
                if first is None and (progress.rows or progress.remaining):
                    first = time.perf_counter()
                if (
                    first is not None
                    and progress.rows
                    and progress.remaining == 0
                    and await process.is_ready()
                ):
                    break
                if time.perf_counter() - started > 10 * STILL_SECONDS:
                    raise process.failure("did not recover in time")
                await asyncio.sleep(POLL_SECONDS)
            now = time.perf_counter()
            return Recovery(progress.rows, now - started, now - first, peak_bytes(process.pid))

    async def load_table(self, stage: str) -> TableLoad:
        """Load one table alone."""
        settings = self._machine.settings("rows")
        topics = roster_topics(settings)
        [declaration] = [each for each in stages(None) if each.name == stage]
        output = await run_module(
            "rollcall.sandbox.bench.table",
            self._machine.bootstrap,
            topics.changelog(declaration),
            settings.partitions,
            cores={self._machine.core},
        )
        load = json.loads(output)
        return TableLoad(int(load["rows"]), load["seconds"], int(load["bytes"]))
