"""From samples to figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment."""

    seconds: float
    """Of a clock that only goes forward."""
    events: float
    """Processed so far."""
    cpu_seconds: float
    """Used so far."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast a program processed events."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int = 0

    @property
    def per_second(self) -> float:
        """Events in one second of wall-clock time."""
        return self.events / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of one event."""
        return self.cpu_seconds / self.events * 1e6


def throughput(samples: Sequence[Sample], peak_bytes: int) -> Throughput:
    """Between the first sample with events, which is already at work, and the last.

    Raises:
        ValueError: fewer than two samples have events.
    """
    at_work = [sample for sample in samples if sample.events > 0]
    if len(at_work) < 2:
        raise ValueError("too few samples: take more events")
    return _between(
        at_work[0],
        next(sample for sample in at_work if sample.events == at_work[-1].events),
        peak_bytes,
    )


def steady_throughput(samples: Sequence[Sample], peak_bytes: int) -> Throughput:
    """From a tenth of the events to nine tenths of them.

    A process computes the next chunk while one is being committed. Counted from the first commit to
    the last, the chunks that it had computed by the first would be had for nothing: a tenth of all,
    in a run of six seconds. Between these two samples there are as many at either end.

    Raises:
        ValueError: there is nothing between them.
    """
    total = samples[-1].events
    begun = [sample for sample in samples if sample.events >= total / 10]
    within = [sample for sample in begun if sample.events <= total * 0.9]
    if len(within) < 2 or within[-1].events == within[0].events:
        raise ValueError("too few samples: take more events")
    return _between(within[0], within[-1], peak_bytes)


def _between(first: Sample, last: Sample, peak_bytes: int) -> Throughput:
    return Throughput(
        int(last.events - first.events),
        last.seconds - first.seconds,
        last.cpu_seconds - first.cpu_seconds,
        peak_bytes,
    )


def middle(runs: Sequence[Throughput]) -> Throughput:
    """The run with the median rate; of an even number the slower of the two in the middle. The peak
    is the greatest of all.
    """
    ordered = sorted(runs, key=lambda run: run.per_second)
    chosen = ordered[(len(ordered) - 1) // 2]
    return Throughput(
        chosen.events, chosen.seconds, chosen.cpu_seconds, max(run.peak_bytes for run in runs)
    )


def median_ratio(ours: Sequence[Throughput], theirs: Sequence[Throughput]) -> float:
    """The median of the ratios of rates, run by run."""
    return median(
        our.per_second / their.per_second for our, their in zip(ours, theirs, strict=True)
    )


def median_cpu_ratio(ours: Sequence[Throughput], theirs: Sequence[Throughput]) -> float:
    """The median of the ratios of CPU time of one event, run by run: a machine that others use as
    well changes it less than it does the rates.
    """
    return median(
        their.cpu_microseconds / our.cpu_microseconds
        for our, their in zip(ours, theirs, strict=True)
    )


def quantile(share: float, buckets: Mapping[float, float]) -> float:
    """A quantile from the cumulative buckets of a histogram, between the bounds in proportion, as
    PromQL's ``histogram_quantile`` does.

    ``buckets``: observations up to and including each bound, infinity among them. NaN without
    observations.
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
