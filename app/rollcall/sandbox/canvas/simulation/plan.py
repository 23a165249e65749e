"""Parameters of a simulation, and its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

START_MS = 1_711_752_180_000
"""2024-03-29T22:43:00Z: fixed, so that a plan without a start gives the same events every day."""

MAX_SHARD = 922_336
"""The greatest shard whose global ids fit into a signed 64-bit integer. Some users live on the next
shard, so a plan's shard is smaller.
"""

_SHARES = ("duplicates", "lost")


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """Parameters of a simulation. The same plan gives the same events."""

    courses: int = 10
    """Number of courses at the beginning. Steps create more."""
    steps: int = 1_000
    """Number of changes after the beginning. Each has about three events on average."""
    seed: int = 1
    duplicates: float = 0.0
    """Share of events that are delivered twice: half with the same bytes, half with other bytes of
    the same JSON.
    """
    disorder: int = 0
    """Window of disorder in delivery, in events."""
    lost: float = 0.0
    """Share of events that are not delivered."""
    skew: float = 0.0
    """Maximum difference between the clocks of application servers, seconds."""
    start_ms: int = START_MS
    """Beginning, milliseconds since the epoch."""
    shard: int = 2107
    class_size: int = 25
    """Average number of students in a course."""
    silent_steps: int | None = None
    """Number of first steps before the institution subscribes: they and the rows at the beginning
    have no events. None: it is subscribed from the beginning; only some rows are older.
    """

    def __post_init__(self) -> None:
        """Check the ranges of all parameters.

        Raises:
            ValueError: a parameter is out of its range.
        """
        if self.courses < 1:
            raise ValueError("courses must be at least 1")
        if (
            min(self.steps, self.disorder, self.class_size, self.start_ms, self.silent_steps or 0)
            < 0
            or not 0 <= self.skew <= 3600
        ):
            raise ValueError(
                "steps, disorder, class_size, start_ms and silent_steps must not be negative, and "
                "skew must be 0 to 3600 seconds"
            )
        if not all(0 <= getattr(self, name) <= 1 for name in _SHARES):
            raise ValueError(f"{' and '.join(_SHARES)} are shares, from 0 to 1")
        if not 1 <= self.shard < MAX_SHARD:
            raise ValueError(f"shard must be 1 to {MAX_SHARD - 1}")


class SimulatedEvent(NamedTuple):
    """A delivered event."""

    name: str
    value: bytes
    """JSON."""
    entity: str
    """The key on the typed topic: an id in normal form."""
    time_ms: int
    """event_time by the clock of the application server, milliseconds since the epoch."""
