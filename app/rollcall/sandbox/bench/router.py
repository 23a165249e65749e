"""The router's benchmark: rate, CPU time, latency and memory on one core, against a stock Faust
agent on the same broker, core and events.

The broker and the sender have the other cores. Router and peer take turns, so that a drift of the
machine's speed meets both.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.process.topics import TopicNames
from rollcall.router.express import Express
from rollcall.router.topics import plan_router_topics
from rollcall.sandbox.bench.figures import Sample, Throughput, quantile, steady_throughput
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
from rollcall.sandbox.bench.stock_faust import Peer
from rollcall.sandbox.canvas.sending import send_records
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings


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
    drop_metadata: tuple[str, ...]
    """Fields that the router drops."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What was measured."""

    router: list[Throughput]
    peers: dict[Peer, list[Throughput]]
    """Stock Faust, on fewer events."""
    latency: Latency


async def bench_router(plan: BenchPlan, announce: Announce) -> BenchResult:
    """Measure.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as place:
        announce(f"the router is {'compiled' if Express is not None else 'not compiled'}")
        bench = _Bench(plan, place, announce)
        await bench.load()
        router: list[Throughput] = []
        peers: dict[Peer, list[Throughput]] = {peer: [] for peer in Peer}
        for number in range(plan.runs):
            router.append(await bench.run_router(number))
            _announce_run(announce, number, "router", router[-1])
            for peer, runs in peers.items():
                runs.append(await asyncio.to_thread(bench.run_peer, number, peer))
                _announce_run(announce, number, f"stock Faust, {peer}", runs[-1])
        half = sorted(run.per_second for run in router)[len(router) // 2] / 2
        announce(f"latency at {half:,.0f} events/s for {plan.latency_seconds:.0f} s")
        latency = await bench.run_latency(half)
    return BenchResult(router, peers, latency)


def _announce_run(announce: Announce, number: int, who: str, run: Throughput) -> None:
    announce(
        f"run {number + 1}: {who:26}{run.per_second:9,.0f} events/s  {run.cpu_microseconds:5.1f} "
        "CPU-µs/event"
    )


class _Bench:
    def __init__(self, plan: BenchPlan, place: Machine, announce: Announce) -> None:
        self._plan = plan
        self._place = place
        self._announce = announce

    async def load(self) -> None:
        """Fill the raw topic that all runs read."""
        settings = self._place.settings("bench")
        await ensure_topics(settings, self._place.bootstrap, plan_router_topics(settings))
        started = time.perf_counter()
        with pinned(self._place.others | {self._plan.core}):
            traffic = generate_traffic(TrafficPlan(count=self._plan.events))
            await send_records(
                client_options(settings, self._place.bootstrap), TopicNames("bench").raw, traffic
            )
        self._announce(
            f"{self._plan.events:,} mixed events loaded in {time.perf_counter() - started:.0f} s"
        )

    async def run_router(self, number: int) -> Throughput:
        """One run through the whole raw topic, by a group that has read nothing of it."""
        settings = self._place.settings("bench").model_copy(
            update={"group_prefix": f"bench-{number}", "drop_metadata": self._plan.drop_metadata}
        )
        async with self._place.process("router", settings, f"router-{number}") as router:
            samples = await _watch(router, self._plan.events)
            peak = peak_bytes(router.pid)
        return steady_throughput(samples, peak)

    def run_peer(self, number: int, peer: Peer) -> Throughput:
        """One run of a stock agent on the same topic."""
        name = f"peer-{number}-{peer.name.lower().replace('_', '-')}"
        count = self._plan.peer_events // 4 if peer is Peer.WAITS else self._plan.peer_events
        settings = self._place.settings(name)
        asyncio.run(ensure_topics(settings, self._place.bootstrap, plan_router_topics(settings)))
        command = [
            sys.executable,
            "-m",
            "rollcall.sandbox.bench.stock_faust",
            self._place.bootstrap,
            TopicNames("bench").raw,
            name,
            str(count),
            peer,
            ",".join(self._plan.drop_metadata),
        ]
        with (self._place.folder / f"{name}.log").open("wb") as log, pinned({self._plan.core}):
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
        settings = self._place.settings("latency").model_copy(
            update={"drop_metadata": self._plan.drop_metadata}
        )
        await ensure_topics(settings, self._place.bootstrap, plan_router_topics(settings))
        async with self._place.process("router", settings, "router-latency") as router:
            warm = await self._send_steadily(settings, rate, 3.0)
            # the first events waited until the router had joined its group
            before = await _count_to(router, warm)
            sent = await self._send_steadily(settings, rate, self._plan.latency_seconds)
            after = await _count_to(router, warm + sent)
        buckets = {bound: after.buckets[bound] - before.buckets[bound] for bound in after.buckets}
        return Latency(rate, quantile(0.5, buckets), quantile(0.99, buckets))

    async def _send_steadily(self, settings: Settings, rate: float, seconds: float) -> int:
        """Send from a process of its own, on the other cores, so that making events takes nothing
        from the router.
        """
        script = [
            sys.executable,
            "-m",
            "rollcall.sandbox.bench.sender",
            self._place.bootstrap,
            settings.topic_prefix,
            str(rate),
            str(seconds),
        ]
        with pinned(self._place.others):
            process = await asyncio.create_subprocess_exec(*script, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        if process.returncode:
            raise BenchError("the sender failed; what it said is above")
        return int(output)


@dataclass(frozen=True, slots=True)
class _Scrape:
    received: int
    cpu_seconds: float
    count: int
    buckets: dict[float, float]


async def _scrape(router: ManagedProcess) -> _Scrape:
    values: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(await router.metrics()):
        for sample in family.samples:
            if sample.name == "rollcall_pipeline_seconds_bucket":
                buckets[float(sample.labels["le"])] = sample.value
            else:
                values[sample.name] = sample.value
    return _Scrape(
        int(values["rollcall_events_received_total"]),
        values["process_cpu_seconds_total"],
        int(values["rollcall_pipeline_seconds_count"]),
        buckets,
    )


async def _count_to(router: ManagedProcess, count: int) -> _Scrape:
    deadline = time.monotonic() + STILL_SECONDS
    while (scrape := await _scrape(router)).count < count:
        if time.monotonic() > deadline:
            raise BenchError("the router does not keep up with half its rate")
        await asyncio.sleep(POLL_SECONDS)
    return scrape


async def _watch(router: ManagedProcess, events: int) -> list[Sample]:
    samples: list[Sample] = []
    moved = time.monotonic()
    while not samples or samples[-1].events < events:
        scrape = await _scrape(router)
        if not samples or samples[-1].events < scrape.received:
            moved = time.monotonic()
        if time.monotonic() - moved > STILL_SECONDS:
            router.check()
            raise router.failure(f"made no progress for {STILL_SECONDS:.0f} s")
        samples.append(Sample(time.perf_counter(), scrape.received, scrape.cpu_seconds))
        await asyncio.sleep(POLL_SECONDS)
    return samples
