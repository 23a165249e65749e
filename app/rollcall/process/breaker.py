"""The breaker: a bad deployment must not quarantine everything.

When too many of the last events of a partition became dead letters, something is wrong with the
producer or with the schemas, not with the events. The partition is then left as it is until an
operator has looked and restarts with a higher limit, or with none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rollcall.streaming.chunks import Halt

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
        self._seen = 0
        self._dead: deque[int] = deque()
        """Of the last events those that became dead letters, by their number, counted from 1."""

    def passed(self, count: int = 1) -> None:
        """So many events did not become dead letters."""
        self._seen += count

    def failed(self) -> bool:
        """One became a dead letter; whether the breaker opens. It judges only when it has seen as
        many events as it looks back on.
        """
        self._seen += 1
        dead = self._dead
        dead.append(self._seen)
        while dead[0] <= self._seen - self._policy.events:
            dead.popleft()
        return len(dead) > self._limit and self._seen >= self._policy.events

    def halt(self) -> Halt:
        """What to tell the lane when the breaker has opened."""
        share = len(self._dead) / self._policy.events
        return Halt(
            self._reason(
                f"{share:.0%} of the last {self._policy.events} events became dead letters",
                self._policy.ratio,
            ),
            f"{_NOTE} {self._policy.ratio}",
        )

    def resume(self, note: str) -> Halt | None:
        """Whether a breaker that had opened before, as the note beside the committed offset tells,
        stays open: it does unless the limit was raised since.
        """
        word, _, limit = note.partition(" ")
        if word != _NOTE:
            return None
        try:
            before = float(limit)
        except ValueError:
            return None
        if self._policy.ratio == 0 or self._policy.ratio > before:
            return None
        return Halt(
            self._reason(
                f"it was stopped when more than {before:.0%} of its events became dead letters",
                before,
            ),
            note,
        )

    def _reason(self, what: str, limit: float) -> str:
        return (
            f"{what}; look at the dead-letter topic, mend the producer or the schemas, "
            f"then restart with ROLLCALL_BREAKER_RATIO above {limit:g}, or 0 for no limit"
        )
