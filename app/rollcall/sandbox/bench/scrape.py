"""Reads the metrics of a process under test."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

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
