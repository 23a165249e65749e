"""Breaker: keeps a bad deployment from quarantining everything.

If too many of a partition's last events became dead letters, the producer or the schemas are wrong,
not the events. The partition then halts until an operator has looked, and restarts with a higher
limit or none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rollcall.streaming.chunks import Halt

_NOTE = "rollcall-breaker"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens if more than ``ratio`` (0 to 1; 0: never) of the last ``events`` are dead letters."""

    ratio: float
    events: int


class Breaker:
    """Watches the outcomes of one partition."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._limit = policy.ratio * policy.events if policy.ratio > 0 else policy.events
        self._seen = 0
        self._dead: deque[int] = deque()
        """Sequence numbers, from 1, of the recent events that became dead letters."""

    def passed(self, count: int = 1) -> None:
        """Count events that did not become dead letters."""
        self._seen += count

    def failed(self) -> bool:
        """Count a dead letter. Returns whether the breaker opens, which needs at least ``events``
        events.
        """
        self._seen += 1
        dead = self._dead
        dead.append(self._seen)
        while dead[0] <= self._seen - self._policy.events:
            dead.popleft()
        return len(dead) > self._limit and self._seen >= self._policy.events

    def halt(self) -> Halt:
        """The halt for the lane after the breaker has opened."""
        share = len(self._dead) / self._policy.events
        return Halt(
            self._reason(
                f"{share:.0%} of the last {self._policy.events} events became dead letters",
                self._policy.ratio,
            ),
            f"{_NOTE} {self._policy.ratio}",
        )

    def resume(self, note: str) -> Halt | None:
        """The halt of an earlier run, from the note beside the committed offset. It stays in force
        unless the limit was raised.
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
