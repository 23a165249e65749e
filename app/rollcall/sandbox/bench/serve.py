"""The benchmark of serve: how fast the replica is built, and how long a page of a large course
takes while rows stream in, on one core.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from statistics import quantiles

from prometheus_client.parser import text_string_to_metric_families

from rollcall.kafka.topic_admin import ensure_topics
from rollcall.rosters.topics import plan_roster_topics
from rollcall.sandbox.bench.machine import (
    STILL_SECONDS,
    Announce,
    BenchError,
    Machine,
    machine,
    peak_bytes,
    pinned,
)
from rollcall.sandbox.bench.rows import LARGE_COURSE, all_rows, send_rows
from rollcall.sandbox.managed import ManagedProcess

WARM_SECONDS = 2.0
PER_PAGE = 100
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ServeBenchPlan:
    """What to measure."""

    rows: int
    """Enrollments."""
    course_rows: int
    """Of these in one course."""
    rate: float
    """Requests a second."""
    row_rate: float
    """Rows a second that change meanwhile."""
    seconds: float
    core: int


@dataclass(frozen=True, slots=True)
class Answers:
    """How long answers took, in seconds."""

    per_second: float
    row_rate: float
    p50: float
    p99: float
    longest: float
    cpu_share: float
    """Of the core, used by serve meanwhile."""


@dataclass(frozen=True, slots=True)
class ServeBenchResult:
    """What was measured."""

    records: int
    """Of all roster topics."""
    build_seconds: float
    """From the first record until the replica was complete, its indexes included."""
    file_bytes: int
    peak_bytes: int
    quiet: Answers
    streaming: Answers


async def bench_serve(plan: ServeBenchPlan, announce: Announce) -> ServeBenchResult:
    """Measure.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as place:
        settings = place.settings("bench").model_copy(update={"shard": 2107})
        await ensure_topics(settings, place.bootstrap, plan_roster_topics(settings))
        started = time.perf_counter()
        with pinned(place.others | {place.core}):
            sent = await send_rows(
                place.bootstrap,
                "bench",
                settings.partitions,
                all_rows(plan.rows, plan.course_rows),
                None,
            )
        announce(f"{sent:,} rows loaded in {time.perf_counter() - started:.0f} s")
        async with place.process("serve", settings, "serve") as process:
            build = await _build(process, sent)
            announce(f"replica built: {sent / build:9,.0f} rows/s")
            bench = _Bench(plan, place, process)
            quiet = await bench.ask(0.0)
            announce(
                f"quiet:     p50 {quiet.p50 * 1000:.1f} ms, p99 {quiet.p99 * 1000:.1f} ms, "
                f"{quiet.cpu_share:.0%} of the core"
            )
            streaming = await bench.ask(plan.row_rate)
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


async def _scrape(process: ManagedProcess) -> dict[str, float]:
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(await process.metrics()):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def _build(process: ManagedProcess, records: int) -> float:
    """Wait until the replica is complete; how long that took since it had begun."""
    began, moved, last = time.perf_counter(), time.monotonic(), -1.0
    while True:
        found = await _scrape(process)
        if (
            found["rollcall_replica_complete"]
            and found["rollcall_replica_records_total"] >= records
        ):
            return time.perf_counter() - began
        if found["rollcall_replica_records_total"] != last:
            moved, last = time.monotonic(), found["rollcall_replica_records_total"]
        if time.monotonic() - moved > STILL_SECONDS:
            raise process.failure(f"made no progress for {STILL_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)


class _Bench:
    def __init__(self, plan: ServeBenchPlan, place: Machine, process: ManagedProcess) -> None:
        self._plan = plan
        self._place = place
        self._process = process

    async def ask(self, row_rate: float) -> Answers:
        """Ask at the planned rate, while so many rows a second change."""
        plan, seconds = self._plan, self._plan.seconds + WARM_SECONDS
        states = "".join(
            f"&state[]={state}" for state in ("active", "inactive", "completed", "invited")
        )
        course = f"{self._process.url}/api/v1/courses/{LARGE_COURSE}"
        url = f"{course}/enrollments?per_page={PER_PAGE}{states}"
        before = await _scrape(self._process)
        started = time.perf_counter()
        asking = asyncio.create_task(
            self._module(
                "rollcall.sandbox.bench.client",
                url,
                plan.course_rows // PER_PAGE,
                plan.rate,
                seconds,
            )
        )
        if row_rate:
            await self._module(
                "rollcall.sandbox.bench.rows",
                self._place.bootstrap,
                "bench",
                4,
                plan.rows,
                plan.course_rows,
                row_rate,
                seconds,
            )
        took: list[float] = json.loads(await asking)[int(plan.rate * WARM_SECONDS) :]
        after, elapsed = await _scrape(self._process), time.perf_counter() - started
        share = (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / elapsed
        hundredths = quantiles(took, n=100)
        return Answers(plan.rate, row_rate, hundredths[49], hundredths[98], max(took), share)

    async def _module(self, name: str, *words: object) -> bytes:
        with pinned(self._place.others):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", name, *map(str, words), stdout=asyncio.subprocess.PIPE
            )
        output, _ = await process.communicate()
        if process.returncode:
            raise BenchError(f"{name} failed; what it said is above")
        return output
