"""The replica of the database, from which Canvas reads enrollments."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from rollcall.sandbox.canvas.rest.enrollments import EnrollmentRecord, enrollment_records
from rollcall.sandbox.canvas.simulation.world import Course, World


class Replica:
    """Gives enrollments as they are, or as they were up to :attr:`lag` seconds ago.

    With a lag, a copy of all rows is made when the lag is set and with each request. An answer is
    the oldest copy that is not older than the lag.

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
            self.copy()

    def copy(self) -> None:
        """Remember the rows as they are now. Of two copies with the same time, no answer would
        be the second.
        """
        now = self._clock()  # before the rows: they are at least as new
        with self._lock:
            if self._copies and self._copies[-1][0] == now:
                return
            self._copies.append((now, enrollment_records(self._world())))

    def enrollments(self, course: Course | None = None) -> list[EnrollmentRecord]:
        """All enrollments, or those that were in a course."""
        if not self._lag:
            return enrollment_records(self._world(), course)
        self.copy()
        with self._lock:
            oldest = self._clock() - round(self._lag * 1000)
            self._copies = [copy for copy in self._copies if copy[0] >= oldest] or [
                self._copies[-1]
            ]
            rows = self._copies[0][1]
        return rows if course is None else [row for row in rows if row.course == course.gid]
