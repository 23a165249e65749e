"""Computes figures from samples. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters of a process at one time."""

    seconds: float
    """Time of a monotonic clock."""
    events: float
    """Processed events."""
    cpu_seconds: float
    """Used CPU time."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Events, wall-clock time and CPU time of a run."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int = 0

    @property
    def per_second(self) -> float:
        """Events per second of wall-clock time."""
        return self.events / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time per event."""
        return self.cpu_seconds / self.events * 1e6


def throughput(samples: Sequence[Sample], peak_bytes: int) -> Throughput:
    """Throughput from the first sample with events to the first sample with all events.

    Raises:
        ValueError: fewer than two samples have events.
    """
    busy = [sample for sample in samples if sample.events > 0]
    if len(busy) < 2:
        raise ValueError("too few samples: take more events")
    return _between(
        busy[0],
        next(sample for sample in busy if sample.events == busy[-1].events),
        peak_bytes,
    )


def steady_throughput(samples: Sequence[Sample], peak_bytes: int) -> Throughput:
    """Throughput from a tenth of the events to nine tenths of them.

    A process computes the next chunk while it commits one. Between the first commit and the last,
    the chunks that are already computed at the first commit would cost no time: a tenth of all
    events in a run of six seconds. In the middle of a run, both ends have as many such chunks.

    Raises:
        ValueError: there are no events between them.
    """
    total = samples[-1].events
    inner = [sample for sample in samples if total / 10 <= sample.events <= total * 0.9]
    if len(inner) < 2 or inner[-1].events == inner[0].events:
        raise ValueError("too few samples: take more events")
    return _between(inner[0], inner[-1], peak_bytes)


def _between(first: Sample, last: Sample, peak_bytes: int) -> Throughput:
    return Throughput(
        int(last.events - first.events),
        last.seconds - first.seconds,
        last.cpu_seconds - first.cpu_seconds,
        peak_bytes,
    )


def median_run(runs: Sequence[Throughput]) -> Throughput:
    """The run with the median rate, or the lower median of an even number. Its peak memory is the
    maximum of all runs.
    """
    ordered = sorted(runs, key=lambda run: run.per_second)
    run = ordered[(len(ordered) - 1) // 2]
    return replace(run, peak_bytes=max(run.peak_bytes for run in runs))


def median_ratio(ours: Sequence[Throughput], theirs: Sequence[Throughput]) -> float:
    """The median ratio of the rates, run by run."""
    return median(
        our.per_second / their.per_second for our, their in zip(ours, theirs, strict=True)
    )


def median_cpu_ratio(ours: Sequence[Throughput], theirs: Sequence[Throughput]) -> float:
    """The median ratio of the CPU time per event, run by run. Other load on the machine affects it
    less than the rates.
    """
    return median(
        their.cpu_microseconds / our.cpu_microseconds
        for our, their in zip(ours, theirs, strict=True)
    )


def quantile(share: float, buckets: Mapping[float, float]) -> float:
    """A quantile from cumulative buckets, by linear interpolation as in PromQL's
    ``histogram_quantile``. NaN without observations.

    ``buckets``: number of observations up to each bound, with the bound infinity.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]]
    if not total:
        return float("nan")
    rank, lower, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - below) / max(buckets[bound] - below, 1e-12)
        lower, below = bound, buckets[bound]
    return lower
