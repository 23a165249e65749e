"""Figures are made right."""

from __future__ import annotations

import math

import pytest

from rollcall.sandbox.bench.figures import (
    Sample,
    Throughput,
    median_cpu_ratio,
    median_ratio,
    median_run,
    quantile,
    steady_throughput,
    throughput,
)

INF = float("inf")


def test_throughput_is_measured_at_work() -> None:
    samples = [
        Sample(0, 0, 1),
        Sample(2, 0, 2),
        Sample(3, 100, 3),
        Sample(4, 600, 4),
        Sample(5, 1100, 5),
        Sample(9, 1100, 5.5),
    ]
    run = throughput(samples, 7)
    assert run == Throughput(1000, 2, 2, 7)
    assert (run.per_second, run.cpu_microseconds) == (500, 2000)
    with pytest.raises(ValueError, match="too few"):
        throughput(samples[:3], 0)


def test_steady_throughput_leaves_out_the_beginning_and_the_end() -> None:
    counts = [0, 50, 100, 400, 850, 990, 1000, 1000]
    samples = [Sample(number, count, 10 * number) for number, count in enumerate(counts)]
    assert steady_throughput(samples, 7) == Throughput(750, 2, 20, 7)
    with pytest.raises(ValueError, match="too few"):
        steady_throughput([Sample(0, 0, 0), Sample(1, 500, 1), Sample(2, 1000, 2)], 0)


def test_medians() -> None:
    runs = [Throughput(100, seconds, 1, peak) for seconds, peak in ((1, 5), (4, 9), (2, 7))]
    assert median_run(runs) == Throughput(100, 2, 1, 9)
    assert median_run(runs[:2]) == Throughput(100, 4, 1, 9)
    assert (
        median_ratio(runs, [Throughput(10, 1, 1), Throughput(10, 1, 1), Throughput(10, 2, 1)]) == 10
    )


def test_cpu_time_is_compared_by_event() -> None:
    assert (
        median_cpu_ratio(
            [Throughput(100, 1, 1), Throughput(100, 9, 2), Throughput(100, 1, 1)],
            [Throughput(10, 1, seconds) for seconds in (1, 1, 3)],
        )
        == 10
    )


def test_quantiles_are_between_the_bounds_in_proportion() -> None:
    buckets = {0.1: 50.0, 0.2: 90.0, 1.0: 100.0, INF: 100.0}
    assert quantile(0.5, buckets) == pytest.approx(0.1)
    assert quantile(0.7, buckets) == pytest.approx(0.15)
    assert quantile(0.95, buckets) == pytest.approx(0.6)
    assert quantile(0.99, {0.1: 0.0, INF: 5.0}) == 0.1
    assert math.isnan(quantile(0.5, {0.1: 0.0, INF: 0.0}))
