"""Metrics of a run, as a file for node_exporter's textfile collector."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rollcall.errors import ConfigurationError
from rollcall.reconcile.summary import Outcome, Summary

LAST_COMPLETE = "rollcall_reconcile_last_complete_timestamp_seconds"
LAG_BUCKETS = (1, 5, 15, 30, 60, 100, 150, 200, 300)


class RunMetrics:
    """Metrics of one run.

    Args:
        path: of the file; None: there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._registry = CollectorRegistry()
        self.lag = Histogram(
            "rollcall_reconcile_lag_seconds",
            "Age of events that Canvas did not show yet. Rows differ for other reasons, too.",
            registry=self._registry,
            buckets=LAG_BUCKETS,
        )

    def write(self, summary: Summary, calls: int, seconds: float) -> None:
        """Replace the file.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if self._path is None:
            return
        registry = self._registry
        outcome = Gauge(
            "rollcall_reconcile_outcome",
            "1: so the last run ended.",
            ["outcome"],
            registry=registry,
        )
        for each in Outcome:
            outcome.labels(each).set(each is summary.outcome)
        rows = Gauge(
            "rollcall_reconcile_rows",
            "Rows of the last run, by entity and by what became of them.",
            ["entity", "kind"],
            registry=registry,
        )
        for (entity, kind), number in summary.counts.items():
            rows.labels(entity, kind).set(number)
        gauge = Gauge("rollcall_reconcile_courses_set_aside", "By a guard.", registry=registry)
        gauge.set(len(summary.set_aside))
        gauge = Gauge("rollcall_reconcile_courses_skipped", "Hidden ones.", registry=registry)
        gauge.set(len(summary.skipped))
        gauge = Gauge("rollcall_reconcile_duration_seconds", "Of the last run.", registry=registry)
        gauge.set(seconds)
        Counter("rollcall_reconcile_calls", "Requests to Canvas.", registry=registry).inc(calls)
        last = time.time() if summary.outcome is Outcome.COMPLETE else _last_complete(self._path)
        if last is not None:
            Gauge(LAST_COMPLETE, "End of the last complete run.", registry=registry).set(last)
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(generate_latest(registry))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise ConfigurationError(
                f"ROLLCALL_RECONCILE_METRICS_FILE: {str(self._path)!a} cannot be written "
                f"({error.strerror})"
            ) from None


def _last_complete(path: Path) -> float | None:
    """From the file of the run before."""
    try:
        families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
        found = [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == LAST_COMPLETE
        ]
    except (OSError, ValueError):
        return None
    return found[0] if found else None
