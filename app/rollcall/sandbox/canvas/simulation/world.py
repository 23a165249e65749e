"""The database of the simulated Canvas: its rows as they really are, whatever events have told of
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from rollcall.events.ids import SHARD_SIZE

Row = TypeVar("Row")

BEFORE, WITHIN, AFTER = 0, 1, 2
"""Where now is, seen from the dates of a course or section."""

LIVE = ("active", "invited")
"""Workflow states of enrollments on which the dates work, and which end with their course."""

GONE = ("deleted", "rejected", "completed")
"""Workflow states of enrollments that enrolling the person again revives."""


@dataclass(slots=True, eq=False)
class Account:
    """An account. Its id is local."""

    id: int
    gid: str
    uuid: str
    name: str
    parent: Account | None
    state: str = "active"
    categories: list[Category] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class User:
    """A person."""

    gid: str
    uuid: str
    name: str
    login: str
    sis_id: str | None
    zone: str | None
    offset: int
    created_ms: int
    updated_ms: int
    state: str = "registered"
    enrollments: list[Enrollment] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Course:
    """A course, with its dates."""

    id: int
    gid: str
    uuid: str
    account: Account
    name: str
    sis_id: str | None
    created_ms: int
    updated_ms: int
    start_ms: int
    end_ms: int
    state: str = "created"
    phase: int = WITHIN
    sections: list[Section] = field(default_factory=list)
    """Those that are in it now."""
    categories: list[Category] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Section:
    """A section."""

    id: int
    gid: str
    course: Course
    """Where it is now."""
    name: str
    sis_id: str | None
    own_course: Course | None = None
    """Its own course while it is cross-listed."""
    default: bool = False
    restricted: bool = False
    """Whether its own dates count instead of the course's."""
    phase: int = WITHIN
    start_ms: int = 0
    end_ms: int = 0
    state: str = "active"
    stuck: tuple[str, ...] = ()
    enrollments: list[Enrollment] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Enrollment:
    """An enrollment together with its enrollment state. Its course is its section's."""

    gid: str
    user: User
    section: Section
    kind: str
    workflow_state: str
    limited: bool
    observed: User | None
    created_ms: int
    updated_ms: int
    state: str = ""
    """What it comes to: the ``state`` of the enrollment state."""
    started_ms: int | None = None
    until_ms: int | None = None
    has_event: bool = False
    """Whether an event of its own ever told of it."""
    silent: str | None = None
    """What changed it without an event of its own, since the last of these."""


@dataclass(slots=True, eq=False)
class Category:
    """A group set, of a course or an account."""

    gid: str
    context: Course | Account
    name: str
    limit: int | None
    groups: list[Group] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Group:
    """A group."""

    gid: str
    uuid: str
    category: Category
    name: str
    most: int | None
    state: str = "available"
    has_event: bool = False
    memberships: list[Membership] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Membership:
    """A person in a group."""

    gid: str
    group: Group
    user: User
    state: str
    has_event: bool = False


class World:
    """All rows, and the counters that their ids come from."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.accounts: list[Account] = []
        self.users: list[User] = []
        self.courses: list[Course] = []
        self.sections: list[Section] = []
        self.enrollments: list[Enrollment] = []
        self.categories: list[Category] = []
        self.groups: list[Group] = []
        self.memberships: list[Membership] = []
        self._last = {
            "account": 1,
            "user": 20_063,
            "course": 564,
            "section": 4_810,
            "enrollment": 46_824,
            "category": 43,
            "group": 47,
            "membership": 123_459,
        }

    def next_id(self, kind: str) -> int:
        """A local id that nothing of its kind has."""
        number = self._last.get(kind, 0) + 1
        self._last[kind] = number
        return number

    def global_id(self, local: int, shard: int | None = None) -> str:
        """The global id, on the institution's own shard if no other is given."""
        return str((self.shard if shard is None else shard) * SHARD_SIZE + local)


def pick(random: Random, rows: list[Row]) -> Row | None:
    """Any of the rows."""
    return rows[int(random.random() * len(rows))] if rows else None


def phase_of(section: Section) -> int:
    """Where now is, seen from the dates that count for a section."""
    return section.phase if section.restricted else section.course.phase


def is_current(course: Course) -> bool:
    """Whether people can still be enrolled."""
    return course.state not in ("completed", "deleted")


def settle(enrollment: Enrollment) -> bool:
    """Work out the enrollment state anew, as EnrollmentState.recalculate_state does. Returns
    whether any of it has changed.
    """
    before = (enrollment.state, enrollment.started_ms, enrollment.until_ms)
    workflow_state = enrollment.workflow_state
    if workflow_state not in LIVE:
        enrollment.state, enrollment.started_ms, enrollment.until_ms = workflow_state, None, None
    else:
        section = enrollment.section
        dates = section if section.restricted else section.course
        if dates.phase == BEFORE:
            enrollment.state, enrollment.started_ms, enrollment.until_ms = (
                f"pending_{workflow_state}",
                None,
                dates.start_ms,
            )
        elif dates.phase == WITHIN:
            enrollment.state, enrollment.started_ms, enrollment.until_ms = (
                workflow_state,
                dates.start_ms,
                dates.end_ms,
            )
        else:
            enrollment.state, enrollment.started_ms, enrollment.until_ms = (
                "completed",
                dates.end_ms,
                None,
            )
    return before != (enrollment.state, enrollment.started_ms, enrollment.until_ms)
