"""Benchmark of ``rollcall ingest sqs`` on one core: messages that wait in a queue are moved to
Kafka. The queue is that of moto's server, which may be slower than ingest.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from rollcall.sandbox.bench.figures import Sample, Throughput, steady_throughput
from rollcall.sandbox.bench.machine import (
    POLL_SECONDS,
    STILL_SECONDS,
    Announce,
    Machine,
    machine,
    peak_bytes,
    pinned,
)
from rollcall.sandbox.bench.scrape import scrape
from rollcall.sandbox.canvas.queue import BATCH, CREDENTIALS, CanvasQueue, open_queue
from rollcall.sandbox.canvas.traffic import Destination, TrafficPlan, generate_traffic
from rollcall.sandbox.managed import ManagedProcess

QUEUE = "canvas-live-events-bench"


@dataclass(frozen=True, slots=True)
class QueueBenchPlan:
    """Parameters of the benchmark."""

    messages: int
    """Messages in the queue at the start."""
    core: int


@dataclass(frozen=True, slots=True)
class QueueBenchResult:
    """Results of the benchmark."""

    ingest: Throughput
    """From a tenth of the deleted messages to nine tenths of them."""
    server_share: float
    """Share of a core that the SQS server used."""


async def bench_queue(plan: QueueBenchPlan, announce: Announce) -> QueueBenchResult:
    """Run the benchmark.

    Raises:
        BenchError, ProcessEndedError: a run failed, or a message was not moved.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as bench_machine:
        with pinned(bench_machine.others):
            opening = open_queue(QUEUE, bench_machine.folder)
            queue = await opening.__aenter__()
        try:
            await _fill(queue, plan.messages)
            announce(f"{plan.messages:,} messages are in the queue")
            return await _empty(bench_machine, queue, plan.messages)
        finally:
            await opening.__aexit__(None, None, None)


async def _fill(queue: CanvasQueue, count: int) -> None:
    values = [
        record.value
        for record in generate_traffic(TrafficPlan.clean(count=count))
        if record.value is not None and record.expected.destination is Destination.ROUTED
    ]
    for start in range(0, count, BATCH):
        await queue.send(values[start : start + BATCH])


async def _empty(bench_machine: Machine, queue: CanvasQueue, count: int) -> QueueBenchResult:
    settings = bench_machine.settings("bench").model_copy(
        update={"sqs_queue_url": queue.url, "sqs_endpoint": queue.server.url}
    )
    started, server_started = time.perf_counter(), _cpu_seconds(queue.server.pid)
    async with bench_machine.process(
        "ingest sqs", settings, "sqs", variables=CREDENTIALS
    ) as process:
        samples = await _samples(process, count)
        seconds = time.perf_counter() - started
        server_seconds = _cpu_seconds(queue.server.pid) - server_started
        return QueueBenchResult(
            steady_throughput(samples, peak_bytes(process.pid)), server_seconds / seconds
        )


async def _samples(process: ManagedProcess, count: int) -> list[Sample]:
    """Readings until all messages are deleted."""
    samples: list[Sample] = []
    moved = time.perf_counter()
    while not samples or samples[-1].events < count:
        values = (await scrape(process)).values
        now, deleted = time.perf_counter(), values["rollcall_ingest_sqs_deleted_total"]
        if not samples or deleted > samples[-1].events:
            moved = now
        elif now - moved > STILL_SECONDS:
            raise process.failure(f"left {count - deleted:,.0f} messages in the queue")
        samples.append(Sample(now, deleted, values["process_cpu_seconds_total"]))
        await asyncio.sleep(POLL_SECONDS)
    return samples


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
