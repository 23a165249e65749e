"""Throttle of requests: a leaky bucket for each token, like canvas-lms lib/request_throttle.rb."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Bucket:
    """Cost of a token's recent requests."""

    level: float = 0.0
    touched: float = 0.0
    """Time of the last change, seconds."""


class Throttle:
    """All buckets. The attributes may be changed at any time.

    Args:
        seconds: a clock for the leak.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self.high_water = 600.0
        """From this level on, requests are refused."""
        self.maximum = 800.0
        self.leak = 10.0
        """Per second."""
        self.reserve = 50.0
        """Level that each running request holds."""
        self.cost = 0.02
        """Cost of a request without rows, seconds. Each row adds :attr:`cost_of_row`."""
        self.cost_of_row = 0.001
        self._seconds = seconds
        self._buckets: dict[str | None, Bucket] = {}

    def remaining(self, token: str | None) -> float:
        """Level below the high-water mark; negative above it."""
        return self.high_water - self._bucket(token).level

    @contextmanager
    def running(self, token: str | None) -> Iterator[None]:
        """Hold the reserve of a request while it runs."""
        self._add(token, self.reserve)
        try:
            yield
        finally:
            self._add(token, -self.reserve)

    def charge(self, token: str | None, rows: int) -> float:
        """Charge a request. Returns its cost."""
        cost = self.cost + self.cost_of_row * rows
        self._add(token, cost)
        return cost

    def _add(self, token: str | None, amount: float) -> None:
        bucket = self._bucket(token)
        bucket.level = max(0.0, min(bucket.level + amount, self.maximum))

    def _bucket(self, token: str | None) -> Bucket:
        """A token's bucket after its leak."""
        now = self._seconds()
        bucket = self._buckets.setdefault(token, Bucket(touched=now))
        bucket.level = max(0.0, bucket.level - (now - bucket.touched) * self.leak)
        bucket.touched = now
        return bucket
