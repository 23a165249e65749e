"""The benchmark of the rosters: typed events to final rosters on one core, latency at half the
rate, recovery and memory of large tables.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import plan_roster_topics, roster_topics
from rollcall.sandbox.bench.figures import Sample, Throughput, quantile, throughput
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
)
from rollcall.sandbox.bench.typed import at_once, enrollments, send_typed, simulated
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

WARM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class RosterBenchPlan:
    """What to measure."""

    events: int
    """Typed events for one run."""
    runs: int
    latency_seconds: float
    """How long the process is watched at half its rate."""
    rows: int
    """Enrollments in the tables, for recovery and memory."""
    core: int


@dataclass(frozen=True, slots=True)
class TableLoad:
    """A table loaded by itself."""

    rows: int
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """A process that was started on full tables."""

    rows: int
    seconds: float
    """From its start, that of Python included, until it was ready."""
    loading_seconds: float
    """Of these, from the first row until the last one was loaded."""
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class RosterBenchResult:
    """What was measured."""

    rosters: list[Throughput]
    latency: Latency
    filling: Throughput
    """The enrollments from typed events to rosters, with no event but the first of each."""
    recovery: Recovery
    tables: dict[str, TableLoad]


async def bench_rosters(plan: RosterBenchPlan, announce: Announce) -> RosterBenchResult:
    """Measure.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as place:
        bench = _Bench(plan, place, announce)
        sent = await bench.load(
            "bench", simulated(max(plan.events // 1_000, 1), 1_000_000_000), plan.events
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
class _Scrape:
    typed: int
    """Typed events that their stages have processed."""
    lag: int
    rows: int
    remaining: int
    cpu_seconds: float
    count: int
    buckets: dict[float, float]


async def _scrape(process: ManagedProcess) -> _Scrape:
    sums: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(await process.metrics()):
        for sample in family.samples:
            if sample.name == "rollcall_pipeline_seconds_bucket":
                buckets[float(sample.labels["le"])] = sample.value
            else:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return _Scrape(
        typed=int(sums["rollcall_event_age_seconds_count"]),
        lag=int(sums.get("rollcall_consumer_lag_records", -1)),
        rows=int(sums["rollcall_table_rows"]),
        remaining=int(sums["rollcall_table_recovery_remaining_records"]),
        cpu_seconds=sums["process_cpu_seconds_total"],
        count=int(sums["rollcall_pipeline_seconds_count"]),
        buckets=buckets,
    )


class _Bench:
    def __init__(self, plan: RosterBenchPlan, place: Machine, announce: Announce) -> None:
        self._plan = plan
        self._place = place
        self._announce = announce

    async def load(self, name: str, records: object, count: int) -> int:
        """Fill typed topics; how many records."""
        settings = self._place.settings(name)
        await ensure_topics(settings, self._place.bootstrap, plan_roster_topics(settings))
        started = time.perf_counter()
        with pinned(self._place.others | {self._place.core}):
            chosen = itertools.islice(records, count)  # type: ignore[call-overload]
            sent = await send_typed(
                client_options(settings, self._place.bootstrap),
                name,
                settings.partitions,
                at_once(chosen),
            )
        self._announce(f"{sent:,} typed events loaded in {time.perf_counter() - started:.0f} s")
        return sent

    async def run(self, number: int, events: int) -> Throughput:
        """One run through all typed events, by a group that has read nothing of them, until the
        last roster is written.
        """
        settings = self._place.settings("bench").model_copy(
            update={"group_prefix": f"bench-{number}"}
        )
        async with self._place.process("rosters", settings, f"rosters-{number}") as process:
            return await self._watch(process, events)

    async def _watch(self, process: ManagedProcess, events: int) -> Throughput:
        samples: list[Sample] = []
        moved = time.monotonic()
        last: _Scrape | None = None
        while last is None or last.typed < events or last.lag != 0:
            scrape = await _scrape(process)
            if last is None or (scrape.typed, scrape.lag) != (last.typed, last.lag):
                moved = time.monotonic()
            if time.monotonic() - moved > STILL_SECONDS:
                process.check()
                raise process.failure(f"made no progress for {STILL_SECONDS:.0f} s")
            last = scrape
            # The last samples, in which later stages catch up, all stand at the last event; the one
            # with lag 0 is what counts.
            samples.append(
                Sample(
                    time.perf_counter(),
                    scrape.typed if scrape.typed < events or scrape.lag else events + 1,
                    scrape.cpu_seconds,
                )
            )
            await asyncio.sleep(POLL_SECONDS)
        return throughput(samples, peak_bytes(process.pid))

    async def run_latency(self, rate: float) -> Latency:
        """Send at a steady rate, and look at what the process says of itself."""
        settings = self._place.settings("latency")
        await ensure_topics(settings, self._place.bootstrap, plan_roster_topics(settings))
        async with self._place.process("rosters", settings, "rosters-latency") as process:
            warm = await self._send_steadily(settings, rate, WARM_SECONDS, 0)
            # the first events waited until the process had joined its group
            before = await self._through(process, warm)
            sent = await self._send_steadily(settings, rate, self._plan.latency_seconds, warm)
            after = await self._through(process, warm + sent)
        buckets = {bound: after.buckets[bound] - before.buckets[bound] for bound in after.buckets}
        return Latency(rate, quantile(0.5, buckets), quantile(0.99, buckets))

    async def _through(self, process: ManagedProcess, events: int) -> _Scrape:
        deadline = time.monotonic() + STILL_SECONDS
        while (scrape := await _scrape(process)).typed < events or scrape.lag != 0:
            if time.monotonic() > deadline:
                raise BenchError("the rosters do not keep up with half their rate")
            await asyncio.sleep(POLL_SECONDS)
        return scrape

    async def _send_steadily(
        self, settings: Settings, rate: float, seconds: float, skip: int
    ) -> int:
        words = (
            self._place.bootstrap,
            settings.topic_prefix,
            settings.partitions,
            rate,
            seconds,
            skip,
        )
        with pinned(self._place.others):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rollcall.sandbox.bench.typed",
                *map(str, words),
                stdout=asyncio.subprocess.PIPE,
            )
        output, _ = await process.communicate()
        if process.returncode:
            raise BenchError("the sender failed; what it said is above")
        return int(output)

    async def fill(self, events: int) -> Throughput:
        """Bring all enrollments into the tables."""
        async with self._place.process(
            "rosters", self._place.settings("rows"), "rosters-fill"
        ) as process:
            return await self._watch(process, events)

    async def recover(self) -> Recovery:
        """Start once more on the full tables."""
        started = time.perf_counter()
        first: float | None = None
        async with self._place.process(
            "rosters", self._place.settings("rows"), "rosters-recover"
        ) as process:
            while True:
                scrape = await _scrape(process)
                if first is None and (scrape.rows or scrape.remaining):
                    first = time.perf_counter()
                if (
                    first is not None
                    and scrape.rows
                    and scrape.remaining == 0
                    and await process.is_ready()
                ):
                    break
                if time.perf_counter() - started > 10 * STILL_SECONDS:
                    raise process.failure("did not recover in time")
                await asyncio.sleep(POLL_SECONDS)
            now = time.perf_counter()
            return Recovery(scrape.rows, now - started, now - first, peak_bytes(process.pid))

    async def load_table(self, stage: str) -> TableLoad:
        """Load one table by itself."""
        settings = self._place.settings("rows")
        topics = roster_topics(settings)
        [declared] = [each for each in stages(None) if each.name == stage]
        words = (self._place.bootstrap, topics.changelog(declared), settings.partitions)
        with pinned({self._place.core}):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rollcall.sandbox.bench.table",
                *map(str, words),
                stdout=asyncio.subprocess.PIPE,
            )
        output, _ = await process.communicate()
        if process.returncode:
            raise BenchError("a table could not be loaded; what it said is above")
        found = json.loads(output)
        return TableLoad(int(found["rows"]), found["seconds"], int(found["bytes"]))
