"""Benchmark of the router: rate, CPU time, latency and memory on one core, against a stock Faust
agent on the same broker, core and events.

The broker and the sender use the other cores. Router and peer take turns, so that a change of the
machine's speed affects both.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass

from rollcall.events.scan.scannable import Scanner
from rollcall.kafka.client import client_options
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.process.topics import TopicNames
from rollcall.router.topics import plan_router_topics
from rollcall.sandbox.bench.figures import Throughput, steady_throughput
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
from rollcall.sandbox.bench.scrape import Scrape, scrape, watch
from rollcall.sandbox.bench.sender import ingest_traffic
from rollcall.sandbox.bench.stock_faust import Peer
from rollcall.sandbox.canvas.mixes import Mix
from rollcall.sandbox.canvas.sending import send_records
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

WARM_SECONDS = 15.0
"""Time before the latency is measured. The router joins its group, and a new broker is slow with
many topics until its code is compiled.
"""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """Parameters of the benchmark."""

    events: int
    """Events in one run of the router."""
    peer_events: int
    """Events in one run of the peer, which is slower."""
    runs: int
    latency_seconds: float
    """Duration of the latency run, at half the router's rate."""
    core: int
    """Core of the router and of the peer."""
    drop_metadata: tuple[str, ...]
    """Fields of metadata that the router drops."""
    mix: Mix = Mix.ALL
    """The types of the events."""


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Results of the benchmark."""

    router: list[Throughput]
    peers: dict[Peer, list[Throughput]]
    """Runs of stock Faust, on fewer events."""
    latency: Latency


async def bench_router(plan: BenchPlan, announce: Announce) -> BenchResult:
    """Run the benchmark.

    Raises:
        BenchError: a run failed.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as bench_machine:
        announce(f"the router is {'compiled' if Scanner is not None else 'not compiled'}")
        bench = _Bench(plan, bench_machine, announce)
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


def _announce_run(announce: Announce, number: int, program: str, run: Throughput) -> None:
    announce(
        f"run {number + 1}: {program:26}{run.per_second:9,.0f} events/s  "
        f"{run.cpu_microseconds:5.1f} CPU-µs/event"
    )


class _Bench:
    def __init__(self, plan: BenchPlan, bench_machine: Machine, announce: Announce) -> None:
        self._plan = plan
        self._machine = bench_machine
        self._announce = announce

    async def load(self) -> None:
        """Fill the raw topic for all runs."""
        settings = self._machine.settings("bench")
        await ensure_topics(settings, self._machine.bootstrap, plan_router_topics(settings))
        started = time.perf_counter()
        with pinned(self._machine.others | {self._plan.core}):
            traffic = ingest_traffic(self._plan.events, self._plan.mix)
            await send_records(
                client_options(settings, self._machine.bootstrap), TopicNames("bench").raw, traffic
            )
        self._announce(
            f"{self._plan.events:,} mixed events loaded in {time.perf_counter() - started:.0f} s"
        )

    async def run_router(self, number: int) -> Throughput:
        """Route the whole raw topic with a new consumer group."""
        settings = self._machine.settings("bench").model_copy(
            update={"group_prefix": f"bench-{number}", "drop_metadata": self._plan.drop_metadata}
        )
        async with self._machine.process("router", settings, f"router-{number}") as router:
            samples = await watch(router, "rollcall_events_received_total", self._plan.events)
            peak = peak_bytes(router.pid)
        return steady_throughput(samples, peak)

    def run_peer(self, number: int, peer: Peer) -> Throughput:
        """Route the same topic with a stock agent."""
        name = f"peer-{number}-{peer.name.lower().replace('_', '-')}"
        count = self._plan.peer_events // 4 if peer is Peer.WAITS else self._plan.peer_events
        settings = self._machine.settings(name)
        asyncio.run(ensure_topics(settings, self._machine.bootstrap, plan_router_topics(settings)))
        command = [
            sys.executable,
            "-m",
            "rollcall.sandbox.bench.stock_faust",
            self._machine.bootstrap,
            TopicNames("bench").raw,
            name,
            str(count),
            peer,
            ",".join(self._plan.drop_metadata),
        ]
        with (self._machine.folder / f"{name}.log").open("wb") as log, pinned({self._plan.core}):
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
        """Send at a steady rate while the router runs, and read its latency metrics."""
        settings = self._machine.settings("latency").model_copy(
            update={"drop_metadata": self._plan.drop_metadata}
        )
        await ensure_topics(settings, self._machine.bootstrap, plan_router_topics(settings))
        async with self._machine.process("router", settings, "router-latency") as router:
            warm = await self._send_steadily(settings, rate, WARM_SECONDS)
            # leave out the first events
            before = await _count_to(router, warm)
            sent = await self._send_steadily(settings, rate, self._plan.latency_seconds)
            after = await _count_to(router, warm + sent)
        return Latency.between(rate, before.latency_buckets, after.latency_buckets)

    async def _send_steadily(self, settings: Settings, rate: float, seconds: float) -> int:
        """Send from another process, on the other cores."""
        output = await run_module(
            "rollcall.sandbox.bench.sender",
            self._machine.bootstrap,
            settings.topic_prefix,
            rate,
            seconds,
            self._plan.mix,
            cores=self._machine.others,
        )
        return int(output)


async def _count_to(router: ManagedProcess, count: int) -> Scrape:
    deadline = time.monotonic() + STILL_SECONDS
    while (reading := await scrape(router)).values["rollcall_pipeline_seconds_count"] < count:
        if time.monotonic() > deadline:
            raise BenchError("the router does not keep up with half its rate")
        await asyncio.sleep(POLL_SECONDS)
    return reading
