"""Courses in which Canvas changes rows without an event, found in the events that it does send.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from rollcall.reconcile.comparison import Row
from rollcall.reconcile.facts import MICROSECONDS, Entity
from rollcall.rosters.typed import TypedEvent

SETTLING_SECONDS = 600
"""Canvas is still at work when it sends an event: younger ones are left for the next run."""

AHEAD_SECONDS = 3_600
"""An event of a later time than this counts as old: its clock was wrong, and would hold up all
events behind it.
"""

IMPORT, MIGRATION, USER = "sis_batch_updated", "content_migration_completed", "user_updated"
ENROLLMENTS = ("enrollment_created", "enrollment_updated")
SECTIONS = ("course_section_created", "course_section_updated")
GROUPS = ("group_created", "group_updated")
TRIGGERS = (IMPORT, MIGRATION, USER, *ENROLLMENTS, *SECTIONS, *GROUPS)
"""The event types that are read."""

_UNFINISHED = frozenset({"initializing", "created", "importing", "cleanup_batch", "restoring"})
"""States of an SIS import that has not ended. One that failed has changed rows, too."""


class KnownRows(Protocol):
    """The rows of the rosters."""

    def by_id(self, entity: Entity, ids: Collection[str]) -> Mapping[str, Row]:
        """As :meth:`rollcall.reconcile.rows.RosterRows.by_id`."""

    def courses_of(self, user: str) -> set[str]:
        """As :meth:`rollcall.reconcile.rows.RosterRows.courses_of`."""


def is_settling(time: int, now: int) -> bool:
    """Whether an event is too young to be looked at. Both are microseconds since the epoch."""
    return -AHEAD_SECONDS * MICROSECONDS < now - time < SETTLING_SECONDS * MICROSECONDS


class Triggers:
    """What events told since the last run. Memory is bounded by courses, sections and users.

    - An SIS import names no course, and Canvas lists none by import: all courses are read.
    - A content migration names its course.
    - A user who was deleted may have been merged: the courses in which the rosters still have
      enrollments of the user are read.
    - Rows of a course or a section that the rosters do not know wait there for it: the course is
      read. A membership of an unknown group names no course.
    """

    def __init__(self) -> None:
        self.imports: set[str] = set()
        """SIS imports that have ended."""
        self._migrated: set[str] = set()
        self._deleted_users: set[str] = set()
        self._courses: set[str] = set()
        self._sections: set[tuple[str, str]] = set()
        """Sections with the course that an enrollment has named."""

    def add(self, name: str, event: TypedEvent) -> None:
        """Take an event of one of :data:`TRIGGERS`.

        Raises:
            UnusableError: an id is missing.
        """
        body = event.body
        if name == IMPORT:
            if body.get("workflow_state") not in _UNFINISHED:
                self.imports.add(event.id("sis_batch_id"))
        elif name == USER:
            if body.get("workflow_state") == "deleted":
                self._deleted_users.add(event.id("user_id"))
        elif name in ENROLLMENTS:
            course = event.id("course_id")
            self._courses.add(course)
            self._sections.add((event.id("course_section_id"), course))
        elif name in SECTIONS:
            self._courses.add(event.id("course_id"))
        elif body.get("context_type") == "Course":
            (self._migrated if name == MIGRATION else self._courses).add(event.id("context_id"))

    def courses(self, rows: KnownRows) -> tuple[str, ...]:
        """The courses to read, as long as no import has ended."""
        found = set(self._migrated)
        for user in self._deleted_users:
            found |= rows.courses_of(user)
        found |= _unknown(rows, Entity.COURSE, self._courses)
        sections = _unknown(rows, Entity.SECTION, {section for section, _ in self._sections})
        found |= {course for section, course in self._sections if section in sections}
        return tuple(sorted(found, key=int))


def _unknown(rows: KnownRows, entity: Entity, ids: Collection[str]) -> set[str]:
    return set(ids) - rows.by_id(entity, ids).keys()
