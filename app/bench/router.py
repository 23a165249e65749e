"""The router's benchmark: rate, CPU time, latency and memory on one core, against a stock Faust agent on the same broker, core and events.

The broker and the sender have the other cores. Router and peer take turns, so that a drift of the machine's speed meets both.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from app.bench.figures import Sample, Throughput, quantile, throughput
from app.broker import EmbeddedBroker
from app.canvas.sending import send_records
from app.canvas.traffic import TrafficPlan, generate_traffic
from app.demo.router_process import RouterProcess
from app.errors import RollcallError
from app.kafka import client_options
from app.settings import Settings, load_settings
from app.topics import TopicNames, ensure_topics, plan_router_topics

POLL_SECONDS = 0.05
STILL_SECONDS = 60.0
"""Without progress for so long, a run has failed."""

Announce = Callable[[str], object]


class BenchError(RollcallError):
    """The benchmark could not be carried through."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What to measure."""

    events: int
    """In the raw topic, for one run of the router."""
    peer_events: int
    """So many of them for one run of the peer, which is slow."""
    runs: int
    latency_seconds: float
    """How long the router is watched at half its rate."""
    core: int
    """For the router, and for the peer."""


@dataclass(frozen=True, slots=True)
class Latency:
    """``pipeline_seconds`` at a steady rate."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What was measured."""

    router: list[Throughput]
    peer: list[Throughput]
    """Stock Faust that does not wait for acknowledgements."""
    careful_peer: list[Throughput]
    """Stock Faust that waits for each."""
    latency: Latency


async def bench_router(plan: BenchPlan, announce: Announce) -> BenchResult:
    """Measure.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    folder = load_settings().data.absolute() / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    others = other_cores(plan.core)
    broker = EmbeddedBroker(folder / "kafka", jars=folder.parent / "kafka-libs")
    broker.ensure_libraries(announce=announce)
    with contextlib.ExitStack() as stack:
        with pinned(others):
            stack.enter_context(broker)
        bench = _Bench(plan, broker.bootstrap, folder, others, announce)
        await bench.load()
        router: list[Throughput] = []
        peer: list[Throughput] = []
        careful_peer: list[Throughput] = []
        for number in range(plan.runs):
            router.append(await bench.run_router(number))
            announce(f"run {number + 1}: router       {router[-1].per_second:9,.0f} events/s  {router[-1].cpu_microseconds:5.1f} CPU-µs/event")
            for runs, wait in ((peer, False), (careful_peer, True)):
                runs.append(await asyncio.to_thread(bench.run_peer, number, wait=wait))
                kind = "waiting for acks" if wait else "not waiting"
                announce(f"run {number + 1}: stock Faust  {runs[-1].per_second:9,.0f} events/s  {runs[-1].cpu_microseconds:5.1f} CPU-µs/event  ({kind})")
        half = sorted(run.per_second for run in router)[len(router) // 2] / 2
        announce(f"latency at {half:,.0f} events/s for {plan.latency_seconds:.0f} s")
        latency = await bench.run_latency(half)
    shutil.rmtree(folder, ignore_errors=True)
    return BenchResult(router, peer, careful_peer, latency)


class _Bench:
    def __init__(self, plan: BenchPlan, bootstrap: str, folder: Path, others: set[int], announce: Announce) -> None:
        self._plan = plan
        self._bootstrap = bootstrap
        self._folder = folder
        self._others = others
        self._announce = announce

    def _settings(self, name: str) -> Settings:
        """Defaults, whatever the user's environment says, but for names and places."""
        defaults = {field: info.default for field, info in Settings.model_fields.items()}
        own = {"topic_prefix": name, "group_prefix": name, "port": 0, "log_format": "json", "data": self._folder}
        return Settings(**(defaults | own))

    async def load(self) -> None:
        """Fill the raw topic that all runs read."""
        settings = self._settings("bench")
        await ensure_topics(settings, self._bootstrap, plan_router_topics(settings))
        started = time.perf_counter()
        with pinned(self._others | {self._plan.core}):
            traffic = generate_traffic(TrafficPlan(count=self._plan.events))
            await send_records(client_options(settings, self._bootstrap), TopicNames("bench").raw, traffic)
        self._announce(f"{self._plan.events:,} mixed events loaded in {time.perf_counter() - started:.0f} s")

    async def run_router(self, number: int) -> Throughput:
        """One run through the whole raw topic, by a group that has read nothing of it."""
        settings = self._settings("bench").model_copy(update={"group_prefix": f"bench-{number}"})
        async with self._router(settings, f"router-{number}") as router:
            samples = await _watch(router, self._plan.events)
            peak = peak_bytes(router.pid)
        return throughput(samples, peak)

    def run_peer(self, number: int, *, wait: bool) -> Throughput:
        """One run of the stock agent on the same topic."""
        name = f"peer-{number}-{int(wait)}"
        count = self._plan.peer_events // 4 if wait else self._plan.peer_events
        settings = self._settings(name)
        asyncio.run(ensure_topics(settings, self._bootstrap, plan_router_topics(settings)))
        command = [sys.executable, "-m", "app.bench.stock_faust", self._bootstrap, TopicNames("bench").raw, name, str(count), str(int(wait))]
        with (self._folder / f"{name}.log").open("wb") as log, pinned({self._plan.core}):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            output, _ = process.communicate(timeout=STILL_SECONDS + self._plan.peer_events / 200)
        except subprocess.TimeoutExpired:
            raise BenchError(f"stock Faust was not done in time; its log: {log.name}") from None
        finally:
            process.kill()
        try:
            return Throughput(**json.loads(output.splitlines()[-1]))
        except (IndexError, ValueError):
            raise BenchError(f"stock Faust failed; its log: {log.name}") from None

    async def run_latency(self, rate: float) -> Latency:
        """Send at a steady rate while the router runs, and look at what it says of itself."""
        settings = self._settings("latency")
        await ensure_topics(settings, self._bootstrap, plan_router_topics(settings))
        async with self._router(settings, "router-latency") as router:
            warm = await self._send_steadily(settings, rate, 3.0)
            before = await _count_to(router, warm)  # the first events waited until the router had joined its group
            sent = await self._send_steadily(settings, rate, self._plan.latency_seconds)
            after = await _count_to(router, warm + sent)
        buckets = {bound: after.buckets[bound] - before.buckets[bound] for bound in after.buckets}
        return Latency(rate, quantile(0.5, buckets), quantile(0.99, buckets))

    async def _send_steadily(self, settings: Settings, rate: float, seconds: float) -> int:
        """Send from a process of its own, on the other cores, so that making events takes nothing from the router."""
        script = [sys.executable, "-m", "app.bench.sender", self._bootstrap, settings.topic_prefix, str(rate), str(seconds)]
        with pinned(self._others):
            process = await asyncio.create_subprocess_exec(*script, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        if process.returncode:
            raise BenchError("the sender failed; what it said is above")
        return int(output)

    @contextlib.asynccontextmanager
    async def _router(self, settings: Settings, name: str) -> Any:
        folder = self._folder / name
        folder.mkdir()
        with pinned({self._plan.core}):
            process = RouterProcess(settings, self._bootstrap, folder)
            await process.__aenter__()
        try:
            await process.started()
            yield process
        finally:
            await process.__aexit__(None, None, None)


@dataclass(frozen=True, slots=True)
class _Scrape:
    received: int
    cpu_seconds: float
    count: int
    buckets: dict[float, float]


async def _scrape(router: RouterProcess) -> _Scrape:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session, session.get(f"{router.url}/metrics") as answer:
        text = await answer.text()
    values: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "rollcall_pipeline_seconds_bucket":
                buckets[float(sample.labels["le"])] = sample.value
            else:
                values[sample.name] = sample.value
    return _Scrape(int(values["rollcall_events_received_total"]), values["process_cpu_seconds_total"], int(values["rollcall_pipeline_seconds_count"]), buckets)


async def _count_to(router: RouterProcess, count: int) -> _Scrape:
    deadline = time.monotonic() + STILL_SECONDS
    while (scrape := await _scrape(router)).count < count:
        if time.monotonic() > deadline:
            raise BenchError("the router does not keep up with half its rate")
        await asyncio.sleep(POLL_SECONDS)
    return scrape


async def _watch(router: RouterProcess, events: int) -> list[Sample]:
    samples: list[Sample] = []
    moved = time.monotonic()
    while not samples or samples[-1].events < events:
        scrape = await _scrape(router)
        if not samples or samples[-1].events < scrape.received:
            moved = time.monotonic()
        if time.monotonic() - moved > STILL_SECONDS:
            router.check()
            raise BenchError(f"the router makes no progress{router.last_words()}")
        samples.append(Sample(time.perf_counter(), scrape.received, scrape.cpu_seconds))
        await asyncio.sleep(POLL_SECONDS)
    return samples


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had resident (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def other_cores(core: int) -> set[int]:
    """The cores of this process without one; that one if there is no other.

    Raises:
        BenchError: the core is not this process's.
    """
    available = os.sched_getaffinity(0)
    if core not in available:
        raise BenchError(f"core {core} is not available; choose one of {', '.join(map(str, sorted(available)))}")
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
