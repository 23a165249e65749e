"""Progress of the replica, for health, metrics and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollcall.serve.replica.store import Place

SURVEY_SECONDS = 1.0
"""Interval in which the end offsets of the topics are read."""


@dataclass(frozen=True, slots=True)
class Progress:
    """State of the replica. It is replaced as a whole, so any thread may read it."""

    complete: bool = False
    """Whether the replica has had all rows at some time. Before that, answers would lack rows."""
    behind_since: float | None = None
    """Time since which records are missing; None: none was missing at the last survey."""
    surveyed_at: float | None = None
    """Time of the last survey of end offsets; seconds since the epoch."""
    lag: Mapping[Place, int] = field(default_factory=dict)
    """Number of missing records, by topic and partition."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Number of rows, by relation."""
    records: int = 0
    """Records read since the start."""
    unusable: int = 0
    rebuilds: int = 0
    problem: str | None = None
    """Why no records can be read now."""

    def freshness(self, now: float) -> float:
        """For how many seconds records have been missing; 0: none is missing, as far as known."""
        since = self.behind_since
        if (
            since is None
            and self.surveyed_at is not None
            and now - self.surveyed_at > 3 * SURVEY_SECONDS
        ):
            since = self.surveyed_at  # unknown since then
        return max(now - since, 0.0) if since is not None else 0.0
