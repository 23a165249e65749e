"""Benchmark of serve on one core: building the replica, and pages of a large course during
changes.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from statistics import quantiles

from rollcall.kafka.topic_admin import ensure_topics
from rollcall.rosters.topics import plan_roster_topics
from rollcall.sandbox.bench.machine import (
    STILL_SECONDS,
    Announce,
    Machine,
    machine,
    peak_bytes,
    pinned,
    run_module,
)
from rollcall.sandbox.bench.rows import LARGE_COURSE, all_rows, send_rows
from rollcall.sandbox.bench.scrape import scrape
from rollcall.sandbox.managed import ManagedProcess

WARM_SECONDS = 2.0
PER_PAGE = 100
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ServeBenchPlan:
    """Parameters of the benchmark."""

    rows: int
    """Enrollments in the replica."""
    course_rows: int
    """Enrollments in the requested course."""
    rate: float
    """Requests a second."""
    row_rate: float
    """Changed rows a second during the requests."""
    seconds: float
    core: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Response times, in seconds."""

    per_second: float
    row_rate: float
    p50: float
    p99: float
    longest: float
    cpu_share: float
    """Share of the core that serve used."""


@dataclass(frozen=True, slots=True)
class ServeBenchResult:
    """Results of the benchmark."""

    records: int
    """Records on all roster topics."""
    build_seconds: float
    """From the first record to the complete replica with its indexes."""
    file_bytes: int
    peak_bytes: int
    quiet: Answers
    streaming: Answers


async def bench_serve(plan: ServeBenchPlan, announce: Announce) -> ServeBenchResult:
    """Run the benchmark.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as bench_machine:
        settings = bench_machine.settings("bench").model_copy(update={"shard": 2107})
        await ensure_topics(settings, bench_machine.bootstrap, plan_roster_topics(settings))
        started = time.perf_counter()
        with pinned(bench_machine.others | {bench_machine.core}):
            sent = await send_rows(
                bench_machine.bootstrap,
                "bench",
                settings.partitions,
                all_rows(plan.rows, plan.course_rows),
                None,
            )
        announce(f"{sent:,} rows loaded in {time.perf_counter() - started:.0f} s")
        async with bench_machine.process("serve", settings, "serve") as process:
            build = await _build(process, sent)
            announce(f"replica built: {sent / build:9,.0f} rows/s")
            bench = _Bench(plan, bench_machine, process)
            quiet = await bench.measure(0.0)
            announce(
                f"quiet:     p50 {quiet.p50 * 1000:.1f} ms, p99 {quiet.p99 * 1000:.1f} ms, "
                f"{quiet.cpu_share:.0%} of the core"
            )
            streaming = await bench.measure(plan.row_rate)
            announce(
                f"streaming: p50 {streaming.p50 * 1000:.1f} ms, p99 {streaming.p99 * 1000:.1f} "
                f"ms, {streaming.cpu_share:.0%} of the core"
            )
            return ServeBenchResult(
                sent,
                build,
                settings.replica_file.stat().st_size,
                peak_bytes(process.pid),
                quiet,
                streaming,
            )


async def _build(process: ManagedProcess, records: int) -> float:
    """Wait until the replica is complete, and return the seconds that it took."""
    started, moved, last = time.perf_counter(), time.monotonic(), -1.0
    while True:
        values = (await scrape(process)).values
        count = values["rollcall_replica_records_total"]
        if values["rollcall_replica_complete"] and count >= records:
            return time.perf_counter() - started
        if count != last:
            moved, last = time.monotonic(), count
        if time.monotonic() - moved > STILL_SECONDS:
            raise process.failure(f"made no progress for {STILL_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)


class _Bench:
    def __init__(
        self, plan: ServeBenchPlan, bench_machine: Machine, process: ManagedProcess
    ) -> None:
        self._plan = plan
        self._machine = bench_machine
        self._process = process

    async def measure(self, row_rate: float) -> Answers:
        """Send requests at the planned rate while ``row_rate`` rows a second change."""
        plan, seconds = self._plan, self._plan.seconds + WARM_SECONDS
        states = "".join(
            f"&state[]={state}" for state in ("active", "inactive", "completed", "invited")
        )
        course = f"{self._process.url}/api/v1/courses/{LARGE_COURSE}"
        url = f"{course}/enrollments?per_page={PER_PAGE}{states}"
        before = (await scrape(self._process)).values
        started = time.perf_counter()
        client = asyncio.create_task(
            run_module(
                "rollcall.sandbox.bench.client",
                url,
                plan.course_rows // PER_PAGE,
                plan.rate,
                seconds,
                cores=self._machine.others,
            )
        )
        if row_rate:
            await run_module(
                "rollcall.sandbox.bench.rows",
                self._machine.bootstrap,
                "bench",
                4,
                plan.rows,
                plan.course_rows,
                row_rate,
                seconds,
                cores=self._machine.others,
            )
        times: list[float] = json.loads(await client)[int(plan.rate * WARM_SECONDS) :]
        after = (await scrape(self._process)).values
        elapsed = time.perf_counter() - started
        share = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / elapsed
        hundredths = quantiles(times, n=100)
        return Answers(plan.rate, row_rate, hundredths[49], hundredths[98], max(times), share)
