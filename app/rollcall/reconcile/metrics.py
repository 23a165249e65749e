"""Metrics of runs, as a file for node_exporter's textfile collector.

The label ``scope`` tells runs of an account, of courses, and triggered ones apart: a run replaces
the metrics of its own scope.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rollcall.errors import ConfigurationError
from rollcall.reconcile.summary import Outcome, Summary

LAST_COMPLETE = "rollcall_reconcile_last_complete_timestamp_seconds"
LAG = "rollcall_reconcile_lag_seconds"
LAG_BUCKETS = (1, 5, 15, 30, 60, 100, 150, 200, 300)


class RunScope(StrEnum):
    """What a run is of."""

    ACCOUNT = "account"
    COURSES = "courses"
    TRIGGERED = "triggered"


class RunMetrics:
    """Metrics of one run.

    Args:
        path: of the file; None: there is none.
    """

    def __init__(self, path: Path | None, scope: RunScope) -> None:
        self._path = path
        self._scope = scope
        self.registry = CollectorRegistry()
        lag = Histogram(
            LAG,
            "Age of events that Canvas did not show yet, in the last run. Rows differ for other "
            "reasons, too.",
            ["scope"],
            registry=self.registry,
            buckets=LAG_BUCKETS,
        )
        self.lag = lag.labels(scope)
        self._outcome = self._gauge("outcome", "1: so the last run ended.", "outcome")
        self._rows = self._gauge(
            "rows", "Rows of the last run, by entity and by what became of them.", "entity", "kind"
        )
        self._set_aside = self._gauge(
            "courses_set_aside", "Courses that a guard kept as they are in the last run."
        )
        self._skipped = self._gauge(
            "courses_skipped", "Courses that Canvas did not show in the last run."
        )
        self._duration = self._gauge("duration_seconds", "Duration of the last run.")
        self._last_complete = self._gauge(
            "last_complete_timestamp_seconds", "End of the last complete run."
        )
        self._requests = self._gauge("requests", "Requests to Canvas in the last run.")

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(
            f"rollcall_reconcile_{name}",
            documentation,
            ["scope", *labels],
            registry=self.registry,
        )

    def observe(self, summary: Summary, requests: int, seconds: float) -> None:
        """Take the result of the run."""
        scope = self._scope
        for each in Outcome:
            self._outcome.labels(scope, each).set(each is summary.outcome)
        for (entity, kind), number in summary.counts.items():
            self._rows.labels(scope, entity, kind).set(number)
        self._set_aside.labels(scope).set(len(summary.set_aside))
        self._skipped.labels(scope).set(len(summary.skipped))
        self._duration.labels(scope).set(seconds)
        self._requests.labels(scope).set(requests)
        if summary.outcome is Outcome.COMPLETE:
            self._last_complete.labels(scope).set(time.time())

    def write(self, summary: Summary, requests: int, seconds: float) -> None:
        """Replace the file. A run that is not complete keeps the time of the last complete one.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if self._path is None:
            return
        self.observe(summary, requests, seconds)
        scope, before = self._scope, _families(self._path)
        if summary.outcome is not Outcome.COMPLETE:
            last = _last_complete(before, scope)
            if last is not None:
                self._last_complete.labels(scope).set(last)
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(generate_latest(_Merged(self.registry, before, scope)))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise ConfigurationError(
                f"ROLLCALL_RECONCILE_METRICS_FILE: {str(self._path)!a} cannot be written "
                f"({error.strerror})"
            ) from None


class _Merged(CollectorRegistry):
    """The metrics of a run, with those of other scopes from the file."""

    def __init__(
        self, registry: CollectorRegistry, before: Iterable[Metric], scope: RunScope
    ) -> None:
        super().__init__()
        self._own = registry
        self._before = before
        self._run_scope = scope

    def collect(self) -> Iterable[Metric]:
        """Families, each once."""
        others = {
            family.name: [
                sample
                for sample in family.samples
                if sample.labels.get("scope", self._run_scope) != self._run_scope
            ]
            for family in self._before
        }
        for family in self._own.collect():
            family.samples = [
                *(each for each in family.samples if not each.name.endswith("_created")),
                *others.get(family.name, ()),
            ]
            yield family


def _families(path: Path) -> list[Metric]:
    """Those in the file of the runs before."""
    try:
        return [*text_string_to_metric_families(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []


def _last_complete(families: Iterable[Metric], scope: RunScope) -> float | None:
    found = [
        float(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == LAST_COMPLETE and sample.labels.get("scope") == scope
    ]
    return found[0] if found else None
