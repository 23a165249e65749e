"""Switches for faults of the API, all off at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rollcall.sandbox.canvas.rest.paging import MAX_PER_PAGE
from rollcall.sandbox.canvas.rest.recording import RecordedRequest


@dataclass
class Times:
    """The next requests that have a fault."""

    count: int = 0
    path: str = ""
    """Part of the paths that count, which are as in :attr:`RecordedRequest.path`."""

    def take(self, path: str) -> bool:
        """Whether a request has the fault. It then counts."""
        if self.count <= 0 or self.path not in path:
            return False
        self.count -= 1
        return True


@dataclass
class Faults:
    """Faults, and values that differ between installations of Canvas. Paths are as in
    :attr:`RecordedRequest.path`.
    """

    failing: Times = field(default_factory=Times)
    """Requests with a server error."""
    failure_status: int = 502
    throttled: Times = field(default_factory=Times)
    """Requests that are refused by the throttle at any cost."""
    throttled_status: int = 429
    """403: as before October 2025."""
    cut: Times = field(default_factory=Times)
    """Requests whose connection ends in the middle of the body."""
    slow: Times = field(default_factory=Times)
    """Requests whose answer comes after :attr:`slow_seconds`."""
    slow_seconds: float = 600.0
    expired_bookmarks: bool = False
    hidden: set[str] = field(default_factory=set)
    """Paths with status 404."""
    empty: set[str] = field(default_factory=set)
    """Paths of lists that have no rows, with status 200."""
    max_per_page: int = MAX_PER_PAGE
    """Small pages need few rows."""
    unauthorized_status: int = 403
    """Status if the owner of a token lacks a right; 401 in older versions of Canvas."""
    clock_offset: float = 0.0
    """Seconds by which the header ``Date`` is ahead of the clock."""
    on_request: Callable[[RecordedRequest], object] | None = None
    """Called before each answer, in the server's thread: it may change rows, tokens and faults."""
