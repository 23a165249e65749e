"""The breaker: a bad deployment must not quarantine everything.

When too many of the last events of a partition became dead letters, something is wrong with the producer or with the schemas, not with the events. The
partition is then left as it is until an operator has looked and restarts with a higher limit, or with none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from app.streaming.chunks import Halt

_NOTE = "rollcall-breaker"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Open when more than ``ratio`` (0 to 1; 0: never) of the last ``events`` are dead letters."""

    ratio: float
    events: int


class Breaker:
    """Watches the outcomes of one partition."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._limit = policy.ratio * policy.events if policy.ratio > 0 else policy.events
        self._window: deque[bool] = deque(maxlen=policy.events)
        self._dead = 0

    def record(self, dead: bool) -> bool:
        """Take one outcome into account; whether the breaker opens. It judges only when it has seen as many events as it looks back on."""
        window = self._window
        if len(window) == window.maxlen:
            self._dead -= window[0]
        window.append(dead)
        self._dead += dead
        return dead and self._dead > self._limit and len(window) == window.maxlen

    def halt(self) -> Halt:
        """What to tell the lane when the breaker has opened."""
        share = self._dead / len(self._window)
        return Halt(
            self._reason(f"{share:.0%} of the last {len(self._window)} events became dead letters", self._policy.ratio), f"{_NOTE} {self._policy.ratio}"
        )

    def resume(self, note: str) -> Halt | None:
        """Whether a breaker that had opened before, as the note beside the committed offset tells, stays open: it does unless the limit was raised since."""
        word, _, limit = note.partition(" ")
        if word != _NOTE:
            return None
        try:
            before = float(limit)
        except ValueError:
            return None
        if self._policy.ratio == 0 or self._policy.ratio > before:
            return None
        return Halt(self._reason(f"it was stopped when more than {before:.0%} of its events became dead letters", before), note)

    def _reason(self, what: str, limit: float) -> str:
        return (
            f"{what}; look at the dead-letter topic, mend the producer or the schemas, "
            f"then restart with ROLLCALL_BREAKER_RATIO above {limit:g}, or 0 for no limit"
        )
