"""Benchmark of ``rollcall ingest https`` on one core: signed events at a steady rate, each answered
after Kafka's acknowledgement.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import islice
from statistics import mean, quantiles
from urllib.parse import urlsplit

from rollcall.sandbox.bench.machine import (
    Announce,
    machine,
    peak_bytes,
    run_module,
)
from rollcall.sandbox.bench.scrape import scrape
from rollcall.sandbox.canvas.signing import Signer, key_set
from rollcall.sandbox.canvas.traffic import Destination, TrafficPlan, generate_traffic

WARM_SECONDS = 8.0
DIFFERENT_EVENTS = 2_000


@dataclass(frozen=True, slots=True)
class WebhookBenchPlan:
    """Parameters of the benchmark."""

    rate: float
    """Events a second."""
    seconds: float
    core: int


@dataclass(frozen=True, slots=True)
class WebhookBenchResult:
    """Results of the benchmark. Times in seconds, from the due time of a request to its 204."""

    events: int
    body_bytes: float
    """Mean size of a request's body."""
    p50: float
    p99: float
    longest: float
    cpu_microseconds: float
    """CPU time of the process for an event."""
    peak_bytes: int


async def bench_webhook(plan: WebhookBenchPlan, announce: Announce) -> WebhookBenchResult:
    """Run the benchmark.

    Raises:
        BenchError, ProcessEndedError: a run failed, or an event was not taken.
        BrokerUnavailableError: the embedded broker cannot be started.
    """
    with machine(plan.core, announce) as bench_machine:
        signer = Signer("bench")
        keys, bodies = (bench_machine.folder / name for name in ("keys.json", "bodies"))
        keys.write_bytes(key_set([signer]))
        signed = _signed_bodies(signer)
        bodies.write_bytes(b"\n".join(signed))
        announce(f"{len(signed):,} events are signed")
        settings = bench_machine.settings("bench").model_copy(
            update={"webhook_port": 0, "webhook_jwks_url": keys.as_uri()}
        )
        async with bench_machine.process("ingest https", settings, "webhook") as process:
            await process.ready()
            address = urlsplit(process.logged("webhook"))
            before = (await scrape(process)).values
            times: list[float] = json.loads(
                await run_module(
                    "rollcall.sandbox.bench.webhook_client",
                    address.hostname,
                    address.port,
                    address.path,
                    bodies,
                    plan.rate,
                    plan.seconds + WARM_SECONDS,
                    cores=bench_machine.others,
                )
            )
            after = (await scrape(process)).values
            if after["rollcall_ingest_produced_total"] != len(times):
                raise process.failure(f"did not take {len(times)} events")
            cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
            steady = times[int(plan.rate * WARM_SECONDS) :]
            hundredths = quantiles(steady, n=100)
            return WebhookBenchResult(
                len(times),
                mean(map(len, signed)),
                hundredths[49],
                hundredths[98],
                max(steady),
                cpu / len(times) * 1e6,
                peak_bytes(process.pid),
            )


def _signed_bodies(signer: Signer) -> list[bytes]:
    """Bodies with the events of a mixed traffic."""
    records = generate_traffic(TrafficPlan(count=4 * DIFFERENT_EVENTS))
    valid = (record for record in records if record.expected.destination is Destination.ROUTED)
    issued = int(time.time())
    return [
        signer.request_body(json.loads(record.value), issued)
        for record in islice(valid, DIFFERENT_EVENTS)
        if record.value is not None
    ]
