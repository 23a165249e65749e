"""Readings of the metrics of router and rosters processes, and rates between two readings. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

CountKey = tuple[str, str]
"""Name of a count, and the value of its label; an empty string for a count without label."""

RECEIVED, ROUTED, UNKNOWN, DEAD, DEAD_EVENTS = (
    "received",
    "routed",
    "unknown",
    "dead",
    "dead_events",
)
CONSUMED, PUBLISHED, WITHDRAWN, EXPIRED, FAILED = (
    "consumed",
    "published",
    "withdrawn",
    "expired",
    "failed",
)

_COUNTERS: Mapping[str, tuple[tuple[str, str | None], ...]] = {
    "rollcall_events_received_total": ((RECEIVED, None),),
    "rollcall_events_routed_total": ((ROUTED, "event_name"),),
    "rollcall_events_unknown_total": ((UNKNOWN, None),),
    "rollcall_events_not_selected_total": ((UNKNOWN, None),),
    "rollcall_dead_letters_total": ((DEAD, "code"), (DEAD_EVENTS, "event_name")),
    "rollcall_stage_records_total": ((CONSUMED, "stage"),),
    "rollcall_rows_published_total": ((PUBLISHED, "stage"),),
    "rollcall_rows_withdrawn_total": ((WITHDRAWN, "stage"),),
    "rollcall_expired_records_total": ((EXPIRED, None),),
    "rollcall_produce_failures_total": ((FAILED, None),),
}
"""Names of counts and labels, by metric."""

ROWS, PARKED, TO_FOLLOW, TO_LOAD = "rows", "parked", "to_follow", "to_load"

_OF_STAGES = {
    "rollcall_table_rows": (ROWS, "table"),
    "rollcall_parked_rows": (PARKED, "stage"),
    "rollcall_rows_to_follow": (TO_FOLLOW, "stage"),
    "rollcall_table_recovery_remaining_records": (TO_LOAD, "table"),
}

_LAG = "rollcall_consumer_lag_records"
_OLDEST = "rollcall_oldest_unprocessed_seconds"
_BREAKER = "rollcall_breaker_open"
_BUILD = "rollcall_build_info"
_STARTED = "process_start_time_seconds"
_WANTED = (*_COUNTERS, *_OF_STAGES, _LAG, _OLDEST, _BREAKER, _BUILD, _STARTED)


@dataclass(frozen=True, slots=True)
class Reading:
    """The metrics of a process at one time."""

    at: float
    """Seconds of a monotonic clock."""
    started: float = 0.0
    """Start of the process, seconds since the epoch; 0: unknown."""
    version: str = ""
    counts: Mapping[CountKey, float] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By stage: rows, parked, to_follow, to_load."""
    lag: Mapping[str, float] = field(default_factory=dict)
    """Records, by topic."""
    oldest: float = 0.0
    """Age of the oldest unprocessed record, in seconds."""
    breakers: tuple[str, ...] = ()
    """Partitions whose breaker is open."""

    @property
    def kind(self) -> str:
        """``router``, ``rosters``, or empty."""
        if (RECEIVED, "") in self.counts:
            return "router"
        return "rosters" if self.stages else ""

    def total(self, what: str) -> float:
        """Sum of a count over all labels."""
        return sum(count for (name, _), count in self.counts.items() if name == what)


def read_metrics(page: str, at: float) -> Reading:
    """The reading from a page of metrics.

    Metrics that are not used are dropped before parsing, since parsing takes most of the time.

    Raises:
        ValueError: the text is no page of metrics.
    """
    counts: dict[CountKey, float] = {}
    stages: dict[str, dict[str, float]] = {}
    lag: dict[str, float] = {}
    breakers: list[str] = []
    started = oldest = 0.0
    version = ""
    for name, labels, value in _samples(page):
        for what, label in _COUNTERS.get(name, ()):
            key = (what, "" if label is None else labels.get(label, ""))
            counts[key] = counts.get(key, 0.0) + value
        if name in _OF_STAGES:
            what, label = _OF_STAGES[name]
            stages.setdefault(labels.get(label, ""), {})[what] = value
        elif name == _LAG:
            topic = labels.get("topic", "")
            lag[topic] = lag.get(topic, 0.0) + value
        elif name == _BREAKER and value:
            breakers.append(f"{labels.get('topic')}, partition {labels.get('partition')}")
        elif name == _OLDEST:
            oldest = value
        elif name == _STARTED:
            started = value
        elif name == _BUILD:
            version = labels.get("version", "")
    return Reading(at, started, version, counts, stages, lag, oldest, tuple(sorted(breakers)))


def rates(before: Reading, after: Reading) -> dict[CountKey, float]:
    """Rates per second between two readings. Counters start at zero if the process was started in
    between, or if they are lower than before.
    """
    seconds = after.at - before.at
    if seconds <= 0:
        return {}
    is_restarted = before.started != after.started
    found = {}
    for key, count in after.counts.items():
        known = 0.0 if is_restarted else before.counts.get(key, 0.0)
        found[key] = (count if count < known else count - known) / seconds
    return found


def _samples(page: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    lines = [line for line in page.splitlines() if line.startswith(_WANTED)]
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    yield sample.name, sample.labels, sample.value
    except (
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        # The parser expects valid pages.
        raise ValueError(f"no page of metrics ({type(error).__name__})") from None
