"""What to simulate, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

START_MS = 1_711_752_180_000
"""2024-03-29T22:43:00Z, so that a plan without a start gives the same events on any day."""

MAX_SHARD = 922_336
"""The greatest shard whose global ids fit a signed 64-bit integer, with room for the neighbour on
which some users live.
"""

_SHARES = ("duplicates", "lost")


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """What to simulate. The same plan gives the same events."""

    courses: int = 10
    """Courses that there are in the beginning; more come."""
    steps: int = 1_000
    """What people and background jobs do after the beginning. A step has some three events on
    average, of which the events of the beginning are not part.
    """
    seed: int = 1
    duplicates: float = 0.0
    """Share of events that are delivered again, later: half of them byte for byte, half as other
    bytes of the same JSON.
    """
    disorder: int = 0
    """Window, in events, within which delivery is shuffled."""
    lost: float = 0.0
    """Share of events that are never delivered."""
    skew: float = 0.0
    """Seconds by which the clocks of two application servers differ at most."""
    start_ms: int = START_MS
    """When it begins, milliseconds since the epoch."""
    shard: int = 2107
    class_size: int = 25
    """Students in a course, on average."""

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated.

        Raises:
            ValueError: an option is out of its range.
        """
        if self.courses < 1:
            raise ValueError("courses must be at least 1")
        if (
            min(self.steps, self.disorder, self.class_size, self.start_ms) < 0
            or not 0 <= self.skew <= 3600
        ):
            raise ValueError(
                "steps, disorder, class_size and start_ms must not be negative, and skew must be "
                "0 to 3600 seconds"
            )
        if not all(0 <= getattr(self, name) <= 1 for name in _SHARES):
            raise ValueError(f"{' and '.join(_SHARES)} are shares, from 0 to 1")
        if not 1 <= self.shard < MAX_SHARD:
            raise ValueError(f"shard must be 1 to {MAX_SHARD - 1}")


class SimulatedEvent(NamedTuple):
    """An event as it is delivered."""

    name: str
    value: bytes
    """JSON."""
    entity: str
    """The normal form of the id that is the key on the typed topic."""
    time_ms: int
    """The event's own time, by the clock of its application server, milliseconds since the epoch.
    """
