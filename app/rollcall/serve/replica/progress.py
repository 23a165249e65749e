"""How far the replica is, for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollcall.serve.replica.store import Place

SURVEY_SECONDS = 1.0
"""How often the ends of the topics are looked at."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the replica is. Replaced as a whole, so that any thread may look at it."""

    complete: bool = False
    """All rows that there were at some moment are in it. Before that, an answer could be wrong by
    what is missing.
    """
    behind_since: float | None = None
    """Since when something is missing; None: nothing was missing at the last look."""
    surveyed_at: float | None = None
    """When the ends of the topics were looked at; seconds since the epoch."""
    lag: Mapping[Place, int] = field(default_factory=dict)
    """Records that are missing, by topic and partition."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """By relation."""
    records: int = 0
    """Taken since the start."""
    unusable: int = 0
    rebuilds: int = 0
    problem: str | None = None
    """Why nothing can be read at the moment."""

    def freshness(self, now: float) -> float:
        """For how many seconds something has been missing; 0: nothing is, as far as is known."""
        since = self.behind_since
        if (
            since is None
            and self.surveyed_at is not None
            and now - self.surveyed_at > 3 * SURVEY_SECONDS
        ):
            since = self.surveyed_at  # nobody knows
        return max(now - since, 0.0) if since is not None else 0.0
