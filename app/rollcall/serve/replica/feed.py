"""The latest changes of the replica: in memory for a while, and passed on to subscribers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollcall.serve.replica.store import ChangedRow

MOST_KEPT = 2_000
"""Changes in memory, for pages that are opened later."""

MOST_WAITING = 500
"""Changes that may wait for a subscriber. One that falls further behind reads the course again."""


@dataclass(frozen=True, slots=True)
class Change:
    """A changed row."""

    number: int
    """Number of the change since the start of the process."""
    at: float
    """Time when the replica was changed; seconds since the epoch."""
    relation: str
    courses: tuple[int, ...]
    """Courses whose rosters have the row."""
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Subscription:
    """Changes that one subscriber has not seen yet. Used in its event loop only."""

    def __init__(self, course: int) -> None:
        self.course = course
        self._waiting: deque[Change] = deque()
        self._wakeup = asyncio.Event()
        self._lost = False

    def put(self, change: Change) -> None:
        """Add a change."""
        if len(self._waiting) >= MOST_WAITING:
            self.lose()
        else:
            self._waiting.append(change)
            self._wakeup.set()

    def lose(self) -> None:
        """Drop all waiting changes: the subscriber has to read the course again."""
        self._waiting.clear()
        self._lost = True
        self._wakeup.set()

    async def next(self, patience: float) -> list[Change] | None:
        """Changes since the last call; empty after ``patience`` seconds without a change.

        None: changes were lost, and the course has to be read again.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._wakeup.wait()
        self._wakeup.clear()
        changes = list(self._waiting)
        self._waiting.clear()
        if self._lost:
            self._lost = False
            return None
        return changes


class Feed:
    """Passes changes from the follower's thread to subscribers in the server's event loop."""

    def __init__(self) -> None:
        self._kept: deque[Change] = deque(maxlen=MOST_KEPT)
        self._count = 0
        self._lock = threading.Lock()
        self._subscribers: set[Subscription] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def publish(self, changed: Iterable[ChangedRow], at: float) -> None:
        """Pass on the changes of a batch. From any thread."""
        changes = []
        with self._lock:
            for table, _key, before, after in changed:
                if courses := _courses(before, after):
                    self._count += 1
                    changes.append(Change(self._count, at, table.name, courses, before, after))
            self._kept.extend(changes)

        def deliver() -> None:
            for change in changes:
                for subscriber in self._subscribers:
                    if subscriber.course in change.courses:
                        subscriber.put(change)

        self._call(deliver)

    def skip(self) -> None:
        """Drop all changes, because a batch was not compared. From any thread."""
        with self._lock:
            self._kept.clear()

        def deliver() -> None:
            for subscriber in self._subscribers:
                subscriber.lose()

        self._call(deliver)

    def recent(self, course: int) -> list[Change]:
        """The latest changes of a course, the oldest first."""
        with self._lock:
            return [change for change in self._kept if course in change.courses]

    @contextlib.contextmanager
    def subscribed(self, course: int) -> Iterator[Subscription]:
        """Subscribe to the changes of a course while the context is open. In the event loop."""
        self._loop = asyncio.get_running_loop()
        subscription = Subscription(course)
        self._subscribers.add(subscription)
        try:
            yield subscription
        finally:
            self._subscribers.discard(subscription)

    def _call(self, callback: Callable[[], None]) -> None:
        if self._loop is not None and self._subscribers:
            with contextlib.suppress(RuntimeError):  # the server's loop has ended
                self._loop.call_soon_threadsafe(callback)


def _courses(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[int, ...]:
    """Courses whose rosters have a row, before or after the change."""
    rows = [row for row in (before, after) if row is not None]
    found = {row["course_id"] for row in rows if row.get("course_id") is not None}
    found |= {row["context_id"] for row in rows if row.get("context_type") == "Course"}
    return tuple(sorted(found))
