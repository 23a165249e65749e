"""Histogram for the observations of a whole chunk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class ChunkHistogram(Collector):
    """Histogram for many observations at once: sorting them and cutting at the bounds costs a tenth
    of single observations.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[float],
        registry: CollectorRegistry,
        *,
        label: str | None = None,
        values: Sequence[str] = ("",),
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = [] if label is None else [label]
        self._bounds = (*buckets, float("inf"))
        self._counts = {value: [0] * len(self._bounds) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        registry.register(self)

    def observe_many(self, observations: Iterable[float], value: str = "") -> None:
        """Add observations, for a label value if there is a label."""
        self._observe(sorted(observations), value)

    def observe_ages(self, moments: Iterable[float], now: float) -> None:
        """Add the age of each moment, in seconds since the epoch. A future moment has age 0."""
        ages = sorted([now - moment for moment in moments])
        ahead = bisect_right(ages, 0.0)
        ages[:ahead] = [0.0] * ahead
        self._observe(ages, "")

    def _observe(self, ordered: list[float], value: str) -> None:
        self._sums[value] += sum(ordered)
        counts = self._counts[value]
        below = 0
        for index, bound in enumerate(self._bounds):
            upto = bisect_right(ordered, bound, lo=below)
            counts[index] += upto - below
            below = upto

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        names = ["+Inf" if bound == float("inf") else str(bound) for bound in self._bounds]
        for value, counts in self._counts.items():
            buckets = [
                (name, float(total)) for name, total in zip(names, accumulate(counts), strict=True)
            ]
            family.add_metric([value] if self._labels else [], buckets, self._sums[value])
        yield family

    def describe(self) -> Iterator[Metric]:
        """Called by the registry: the name, without label values."""
        yield HistogramMetricFamily(self._name, self._documentation)
