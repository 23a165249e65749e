"""Reads the metrics of a process under test."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from rollcall.sandbox.bench.figures import Sample
from rollcall.sandbox.bench.machine import POLL_SECONDS, STILL_SECONDS
from rollcall.sandbox.managed import ManagedProcess


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading of a metrics page."""

    values: dict[str, float]
    """Sums over all labels, by sample name."""
    latency_buckets: dict[float, float]
    """Cumulative buckets of ``rollcall_pipeline_seconds``, by upper bound."""


async def scrape(process: ManagedProcess) -> Scrape:
    """Read the metrics page of a process. Raises like :meth:`ManagedProcess.metrics`."""
    values: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(await process.metrics()):
        for sample in family.samples:
            if sample.name == "rollcall_pipeline_seconds_bucket":
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
            else:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
    return Scrape(values, buckets)


async def watch(process: ManagedProcess, counter: str, count: int) -> list[Sample]:
    """Readings of a counter of events, until it has reached a count.

    Raises:
        ProcessEndedError: the process ended, or makes no progress.
    """
    samples: list[Sample] = []
    moved = time.monotonic()
    while not samples or samples[-1].events < count:
        values = (await scrape(process)).values
        if not samples or samples[-1].events < values[counter]:
            moved = time.monotonic()
        if time.monotonic() - moved > STILL_SECONDS:
            process.check()
            raise process.failure(f"made no progress for {STILL_SECONDS:.0f} s")
        samples.append(
            Sample(time.perf_counter(), values[counter], values["process_cpu_seconds_total"])
        )
        await asyncio.sleep(POLL_SECONDS)
    return samples
