"""Parses the metrics of the demo's processes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from rollcall.sandbox.demo.ledger import Ledger

ROSTER_STAGES = frozenset({"course", "user"})
"""Stages that write rosters."""


class RouterReading(NamedTuple):
    """Counts of the router."""

    received: int
    ledger: Ledger


class RostersReading(NamedTuple):
    """Counts of the rosters."""

    consumed: int
    """Records that the stages have read: events and internal records."""
    written: int
    """Records on roster topics, with tombstones."""
    lags: dict[tuple[str, int], int]
    """Measured consumer lag, by topic and partition."""

    @property
    def lag(self) -> int:
        """Total consumer lag."""
        return sum(self.lags.values())


class IngestReading(NamedTuple):
    """Counts of the processes that write raw events."""

    deleted: int
    """Messages that the queue has deleted."""
    accepted: int
    """Requests that were answered with 204."""


def read_router(page: str) -> RouterReading:
    """Parse the router's metrics page."""
    received, ledger = 0, Ledger()
    for name, labels, value in _samples(page):
        if not value:
            continue
        match name:
            case "rollcall_events_received_total":
                received = value
            case "rollcall_events_routed_total":
                ledger.routed[labels["event_name"]] += value
            case "rollcall_events_unknown_total" | "rollcall_events_not_selected_total":
                ledger.unknown += value
            case "rollcall_dead_letters_total":
                ledger.dead[labels["code"]] += value
    return RouterReading(received, ledger)


def read_rosters(page: str) -> RostersReading:
    """Parse the rosters' metrics page."""
    consumed = written = 0
    lags = {}
    for name, labels, value in _samples(page):
        match name:
            case "rollcall_stage_records_total":
                consumed += value
            case "rollcall_rows_published_total" | "rollcall_rows_withdrawn_total" if (
                labels["stage"] in ROSTER_STAGES
            ):
                written += value
            case "rollcall_consumer_lag_records":
                lags[labels["topic"], int(labels["partition"])] = value
    return RostersReading(consumed, written, lags)


def read_ingest(sqs_page: str, https_page: str) -> IngestReading:
    """Parse the metrics pages of ``ingest sqs`` and ``ingest https``."""
    deleted = accepted = 0
    for name, labels, value in (*_samples(sqs_page), *_samples(https_page)):
        match name:
            case "rollcall_ingest_sqs_deleted_total":
                deleted += value
            case "rollcall_ingest_webhook_requests_total" if labels["status"] == "204":
                accepted += value
    return IngestReading(deleted, accepted)


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], int]]:
    """Samples of counters and gauges. NaN is none: an unknown value."""
    for family in text_string_to_metric_families(page):
        if family.type in ("counter", "gauge"):
            for sample in family.samples:
                if not math.isnan(sample.value):
                    yield sample.name, sample.labels, int(sample.value)
