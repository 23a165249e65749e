"""Brokers that recently did not answer a client of this process. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable

UNRESPONSIVE_SECONDS = 30.0
"""After not answering, a broker is the last choice for this long, where any broker may be asked."""


class UnresponsiveBrokers:
    """Brokers that recently did not answer a client of this process. Safe in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}

    def add(self, host: str, port: int) -> None:
        """Record that a broker did not answer."""
        self._since[host, port] = self._clock()

    def remove(self, host: str, port: int) -> None:
        """Record that a broker has answered."""
        self._since.pop((host, port), None)

    def has(self, host: str, port: int) -> bool:
        """Whether a broker did not answer recently."""
        since = self._since.get((host, port))
        return since is not None and self._clock() - since < UNRESPONSIVE_SECONDS


UNRESPONSIVE = UnresponsiveBrokers()
