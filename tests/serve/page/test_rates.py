"""From metrics to rates."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from rollcall.events.outcomes import ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.process.metrics import RosterMetrics, RouterMetrics
from rollcall.serve.page.rates import (
    CONSUMED,
    DEAD,
    DEAD_EVENTS,
    RECEIVED,
    ROUTED,
    UNKNOWN,
    Reading,
    rates,
    read_metrics,
)


def router_page(received: int, routed: int, dead: int) -> str:
    """What a router exposes."""
    metrics = RouterMetrics(CollectorRegistry(), REGISTRY)
    metrics.events_received_total.inc(received)
    metrics.events_routed_total.labels("enrollment_created").inc(routed)
    metrics.dead_letters_total.labels(ErrorCode.SCHEMA_VIOLATION.value, "enrollment_created").inc(
        dead
    )
    metrics.consumer_lag_records.labels("canvas.raw", "0").set(3)
    metrics.consumer_lag_records.labels("canvas.raw", "1").set(4)
    metrics.oldest_unprocessed_seconds.set(1.5)
    metrics.breaker_open.labels("canvas.raw", "1").set(1)
    metrics.breaker_open.labels("canvas.raw", "0").set(0)
    return generate_latest(metrics.registry).decode()


def test_a_router_is_read() -> None:
    reading = read_metrics(router_page(10, 7, 3), at=5.0)
    assert reading.kind == "router"
    assert reading.version
    assert reading.started > 0
    assert reading.counts[RECEIVED, ""] == 10
    assert reading.counts[ROUTED, "enrollment_created"] == 7
    assert reading.counts[UNKNOWN, ""] == 0
    assert reading.counts[DEAD, "schema_violation"] == 3
    assert reading.counts[DEAD_EVENTS, "enrollment_created"] == 3
    assert reading.total(DEAD) == 3
    assert reading.lag == {"canvas.raw": 7}
    assert reading.oldest == 1.5
    assert reading.breakers == ("canvas.raw, partition 1",)


def test_rosters_are_read() -> None:
    metrics = RosterMetrics(CollectorRegistry(), ["course", "user"], REGISTRY)
    metrics.table_rows.labels("course").set(12)
    metrics.parked_rows.labels("user").set(2)
    metrics.stage_records_total.labels("course").inc(9)
    reading = read_metrics(generate_latest(metrics.registry).decode(), at=0.0)
    assert reading.kind == "rosters"
    assert reading.stages["course"] == {"rows": 12, "parked": 0, "to_follow": 0, "to_load": 0}
    assert reading.stages["user"]["parked"] == 2
    assert reading.counts[CONSUMED, "course"] == 9


def test_what_moves_between_two_looks() -> None:
    found = rates(
        read_metrics(router_page(10, 7, 3), at=5.0), read_metrics(router_page(30, 19, 11), at=9.0)
    )
    assert found[RECEIVED, ""] == 5
    assert found[ROUTED, "enrollment_created"] == 3
    assert found[DEAD, "schema_violation"] == 2
    assert found[UNKNOWN, ""] == 0


def test_a_process_that_was_started_again_has_counted_from_zero() -> None:
    before = Reading(0.0, started=100.0, counts={(RECEIVED, ""): 50.0})
    lower = Reading(2.0, started=100.0, counts={(RECEIVED, ""): 8.0})
    again = Reading(2.0, started=200.0, counts={(RECEIVED, ""): 80.0})
    assert rates(before, lower) == {(RECEIVED, ""): 4.0}
    assert rates(before, again) == {(RECEIVED, ""): 40.0}


def test_no_time_gives_no_rates() -> None:
    reading = Reading(1.0, counts={(RECEIVED, ""): 5.0})
    assert rates(reading, reading) == {}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["a", "b"]), st.text(max_size=2)),
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)),
    ),
    st.floats(0.1, 60),
)
def test_rates_are_never_negative(
    counts: dict[tuple[str, str], tuple[int, int]], seconds: float
) -> None:
    before = Reading(10.0, counts={key: float(one) for key, (one, _) in counts.items()})
    after = Reading(
        10.0 + seconds, counts={key: float(other) for key, (_, other) in counts.items()}
    )
    found = rates(before, after)
    assert found.keys() == after.counts.keys()
    assert all(math.isfinite(rate) and rate >= 0 for rate in found.values())


@pytest.mark.parametrize(
    "page", ["rollcall_events_received_total{", "rollcall_events_received_total not_a_number\n"]
)
def test_what_is_no_page_of_metrics_is_refused(page: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_metrics(page, at=0.0)


def test_a_page_of_something_else_says_nothing() -> None:
    reading = read_metrics(
        "<html>hello</html>\n# TYPE up gauge\nup 1\nrollcall_consumer_lag_records NaN\n", at=0.0
    )
    assert (reading.kind, reading.counts, reading.lag) == ("", {}, {})


pieces = st.sampled_from(
    [
        "rollcall_consumer_lag_records",
        "rollcall_breaker_open",
        '{topic="a",partition="0"}',
        "{",
        "}",
        '"',
        "\\",
        " 1",
        " 1e999",
        " -5",
        "\n",
        ",",
        "=",
        "#",
    ]
)


@given(st.lists(pieces | st.text(max_size=3), max_size=12))
def test_any_page_is_read_or_refused(parts: list[str]) -> None:
    with contextlib.suppress(ValueError):
        read_metrics("rollcall_consumer_lag_records" + "".join(parts), at=0.0)
