"""The replica of the database, from which Canvas reads enrollments."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from rollcall.sandbox.canvas.rest.enrollments import (
    EnrollmentRecord,
    enrollment_record,
    enrollment_records,
)
from rollcall.sandbox.canvas.simulation.world import Course, World

COPIES = 20
"""Copies in the time of a lag: more would need memory for many requests."""


class Replica:
    """Gives enrollments as they are, or as they were up to :attr:`lag` seconds ago.

    With a lag, a copy of all rows is made when the lag is set, and with a request if the last copy
    is older than a :data:`COPIES`-th of the lag. An answer is the oldest copy that is not older
    than the lag.

    Args:
        clock: milliseconds since the epoch.
    """

    def __init__(self, world: Callable[[], World], clock: Callable[[], int]) -> None:
        self._world = world
        self._clock = clock
        self._lag = 0.0
        self._copies: list[tuple[int, list[EnrollmentRecord]]] = []
        self._lock = Lock()

    @property
    def lag(self) -> float:
        """The lag in seconds."""
        return self._lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        with self._lock:
            self._lag = seconds
            self._copies.clear()
            if seconds:
                self._copy()

    def enrollments(self, course: Course) -> list[EnrollmentRecord]:
        """The enrollments that were in a course."""
        rows = self._older_rows()
        if rows is None:
            return enrollment_records(self._world(), course)
        return [row for row in rows if row.course == course.gid]

    def enrollment(self, gid: str | None) -> EnrollmentRecord | None:
        """An enrollment, in any state; None if there was none with this id."""
        rows = self._older_rows()
        if rows is not None:
            return next((row for row in rows if row.gid == gid), None)
        world = self._world()
        found = next((row for row in list(world.enrollments) if row.gid == gid), None)
        return None if found is None else enrollment_record(found, world)

    def _older_rows(self) -> list[EnrollmentRecord] | None:
        """All rows of the copy that is answered; None without a lag."""
        with self._lock:
            if not self._lag:
                return None
            lag_ms, now = round(self._lag * 1000), self._clock()
            self._copies = [copy for copy in self._copies if copy[0] >= now - lag_ms]
            if not self._copies or self._copies[-1][0] < now - lag_ms // COPIES:
                self._copy()
            return self._copies[0][1]

    def _copy(self) -> None:
        """Remember the rows as they are now."""
        now = self._clock()  # before the rows: they are at least as new
        self._copies.append((now, enrollment_records(self._world())))
