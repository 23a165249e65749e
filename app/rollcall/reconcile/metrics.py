"""Metrics of a run, as a file for node_exporter's textfile collector."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, Histogram
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
        self.registry = CollectorRegistry()
        self._outcome = Gauge(
            "rollcall_reconcile_outcome",
            "1: so the last run ended.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in Outcome:
            self._outcome.labels(outcome)
        self._last_complete = self._gauge(
            LAST_COMPLETE, "End of the last complete run, seconds since the epoch; 0: none yet."
        )
        self.rows = Gauge(
            "rollcall_reconcile_rows",
            "Rows of the last run, by what became of them (docs/reconcile.md).",
            ["entity", "kind"],
            registry=self.registry,
        )
        self._set_aside = self._gauge(
            "rollcall_reconcile_courses_set_aside",
            "Courses from which the last run took nothing, because too much would go.",
        )
        self._skipped = self._gauge(
            "rollcall_reconcile_courses_skipped",
            "Courses that the last run did not read: Canvas hides them from the token.",
        )
        self._calls = self._gauge(
            "rollcall_reconcile_requests", "Requests of the last run to Canvas."
        )
        self._seconds = self._gauge(
            "rollcall_reconcile_duration_seconds", "Duration of the last run."
        )
        self.lag = Histogram(
            "rollcall_reconcile_lag_seconds",
            "Ages of events that Canvas's answers did not show yet, in the last run.",
            registry=self.registry,
            buckets=LAG_BUCKETS,
        )

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, registry=self.registry)

    def write(self, summary: Summary, calls: int, seconds: float) -> None:
        """Replace the file.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if self._path is None:
            return
        for outcome in Outcome:
            self._outcome.labels(outcome).set(outcome is summary.outcome)
        for (entity, kind), number in summary.counts.items():
            self.rows.labels(entity, kind).set(number)
        self._set_aside.set(len(summary.set_aside))
        self._skipped.set(len(summary.skipped))
        self._calls.set(calls)
        self._seconds.set(seconds)
        is_complete = summary.outcome is Outcome.COMPLETE
        self._last_complete.set(time.time() if is_complete else _last_complete(self._path))
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(generate_latest(self.registry))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise ConfigurationError(
                f"ROLLCALL_RECONCILE_METRICS_FILE: {str(self._path)!a} cannot be written "
                f"({error.strerror})"
            ) from None


def _last_complete(path: Path) -> float:
    """From the file of the run before; 0: there was none."""
    try:
        families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
        found = [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == LAST_COMPLETE
        ]
    except (OSError, ValueError):
        return 0.0
    return found[0] if found else 0.0
