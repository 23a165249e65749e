"""Benchmark of ``rollcall ingest sqs`` on one core: messages that wait in a queue are moved to
Kafka. The queue is that of moto's server, which may be slower than ingest.
"""

from __future__ import annotations

import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rollcall.sandbox.bench.figures import Throughput, steady_throughput
from rollcall.sandbox.bench.machine import (
    Announce,
    Machine,
    machine,
    peak_bytes,
    pinned,
)
from rollcall.sandbox.bench.scrape import watch
from rollcall.sandbox.canvas.queue import BATCH, CREDENTIALS, CanvasQueue, open_queue
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic

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
        async with AsyncExitStack() as stack:
            with pinned(bench_machine.others):
                queue = await stack.enter_async_context(open_queue(QUEUE, bench_machine.folder))
            count = await _fill(queue, plan.messages)
            announce(f"{count:,} messages are in the queue")
            return await _empty(bench_machine, queue, count)


async def _fill(queue: CanvasQueue, count: int) -> int:
    """Send events. Returns their number."""
    traffic = generate_traffic(TrafficPlan.clean(count=count))
    values = [record.value for record in traffic if record.value is not None]
    for start in range(0, len(values), BATCH):
        await queue.send(values[start : start + BATCH])
    return len(values)


async def _empty(bench_machine: Machine, queue: CanvasQueue, count: int) -> QueueBenchResult:
    settings = bench_machine.settings("bench").model_copy(
        update={"sqs_queue_url": queue.url, "sqs_endpoint": queue.server.url}
    )
    started, server_started = time.perf_counter(), _cpu_seconds(queue.server.pid)
    async with bench_machine.process(
        "ingest sqs", settings, "sqs", variables=CREDENTIALS
    ) as process:
        samples = await watch(process, "rollcall_ingest_sqs_deleted_total", count)
        seconds = time.perf_counter() - started
        server_seconds = _cpu_seconds(queue.server.pid) - server_started
        return QueueBenchResult(
            steady_throughput(samples, peak_bytes(process.pid)), server_seconds / seconds
        )


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
