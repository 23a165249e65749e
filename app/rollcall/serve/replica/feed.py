"""The latest changes of the replica, for those who watch it: kept for a while in memory, and handed
to whoever has subscribed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollcall.serve.replica.store import Changed

MOST_KEPT = 2_000
"""Changes that are kept for those who ask what happened lately."""

MOST_WAITING = 500
"""Changes that a subscriber may be behind with. One that falls further behind is told to begin
again.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A row that changed."""

    number: int
    """Counted from the start of the process."""
    at: float
    """When the replica took it; seconds since the epoch."""
    relation: str
    courses: tuple[int, ...]
    """The courses in whose rosters it shows."""
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Subscription:
    """What one subscriber has not seen yet. Used in the event loop of its maker only."""

    def __init__(self, course: int) -> None:
        self.course = course
        self._waiting: deque[Change] = deque()
        self._something = asyncio.Event()
        self._lost = False

    def put(self, change: Change) -> None:
        """Add a change."""
        if len(self._waiting) >= MOST_WAITING:
            self.lose()
        else:
            self._waiting.append(change)
            self._something.set()

    def lose(self) -> None:
        """Something has changed that is not told."""
        self._waiting.clear()
        self._lost = True
        self._something.set()

    async def next(self, patience: float) -> list[Change] | None:
        """What has changed since the last call; nothing after ``patience`` seconds without a
        change; None: begin again, some changes are lost.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._something.wait()
        self._something.clear()
        changes = list(self._waiting)
        self._waiting.clear()
        if self._lost:
            self._lost = False
            return None
        return changes


class Feed:
    """From the thread that follows the topics to subscribers in the event loop of the server."""

    def __init__(self) -> None:
        self._kept: deque[Change] = deque(maxlen=MOST_KEPT)
        self._count = 0
        self._guard = threading.Lock()
        self._subscribers: set[Subscription] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def publish(self, changed: Iterable[Changed], at: float) -> None:
        """Tell of a batch. From any thread."""
        changes = []
        with self._guard:
            for relation, _key, before, after in changed:
                if courses := _courses(before, after):
                    self._count += 1
                    changes.append(Change(self._count, at, relation.name, courses, before, after))
            self._kept.extend(changes)

        def tell() -> None:
            for change in changes:
                for subscriber in self._subscribers:
                    if subscriber.course in change.courses:
                        subscriber.put(change)

        self._call(tell)

    def skip(self) -> None:
        """Tell that much has changed, and not what. From any thread."""
        with self._guard:
            self._kept.clear()

        def tell() -> None:
            for subscriber in self._subscribers:
                subscriber.lose()

        self._call(tell)

    def recent(self, course: int) -> list[Change]:
        """What has changed in a course lately, the oldest first."""
        with self._guard:
            return [change for change in self._kept if course in change.courses]

    @contextlib.contextmanager
    def subscribed(self, course: int) -> Iterator[Subscription]:
        """Hear of the changes of a course while the context is open. In the event loop."""
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
    """The courses in whose rosters a row shows, before or after."""
    rows = [row for row in (before, after) if row is not None]
    found = {row["course_id"] for row in rows if row.get("course_id") is not None}
    found |= {row["context_id"] for row in rows if row.get("context_type") == "Course"}
    return tuple(sorted(found))
