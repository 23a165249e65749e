"""The database of the simulated Canvas: actual rows, with or without events.

Rows have no ``repr`` of their fields: they refer to each other, and a failed assertion would write
the whole institution many times over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from rollcall.events.ids import SHARD_SIZE

DAY_MS = 86_400_000

Row = TypeVar("Row")

BEFORE, WITHIN, AFTER = 0, 1, 2
"""Phases: position of the current time relative to the dates of a course or section."""

LIVE_STATES = ("active", "invited")
"""Workflow states of enrollments that depend on dates and end with the course."""

ENDED_STATES = ("deleted", "rejected", "completed")
"""Workflow states of enrollments that are reused when the user is enrolled again."""


@dataclass(slots=True, eq=False, repr=False)
class Account:
    """An account. Its id is local."""

    id: int
    gid: str
    uuid: str
    name: str
    parent: Account | None
    state: str = "active"
    categories: list[Category] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class User:
    """A user."""

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


@dataclass(slots=True, eq=False, repr=False)
class Term:
    """A term. Its id is local. Times are milliseconds since the epoch; None: without."""

    id: int
    name: str
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(slots=True, eq=False, repr=False)
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
    """Its current sections."""
    categories: list[Category] = field(default_factory=list)
    term: Term | None = None
    """None: the default term."""


@dataclass(slots=True, eq=False, repr=False)
class Section:
    """A section."""

    id: int
    gid: str
    course: Course
    """Its current course."""
    name: str
    sis_id: str | None
    own_course: Course | None = None
    """Its own course while it is cross-listed; otherwise None."""
    default: bool = False
    restricted: bool = False
    """True: its own dates apply instead of the course's."""
    phase: int = WITHIN
    start_ms: int = 0
    end_ms: int = 0
    state: str = "active"
    stuck: tuple[str, ...] = ()
    enrollments: list[Enrollment] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class Enrollment:
    """An enrollment with its enrollment state. Its course is that of its section."""

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
    """The ``state`` of the enrollment state."""
    started_ms: int | None = None
    until_ms: int | None = None
    has_event: bool = False
    """Whether it ever had an event."""
    silent_change: str | None = None
    """Reason of a change without an event, since its last event."""


@dataclass(slots=True, eq=False, repr=False)
class Category:
    """A group set, of a course or an account."""

    gid: str
    context: Course | Account
    name: str
    limit: int | None
    groups: list[Group] = field(default_factory=list)
    collaborative: bool = True
    """False: its groups are tags, which only teachers see."""


@dataclass(slots=True, eq=False, repr=False)
class Group:
    """A group."""

    gid: str
    uuid: str
    category: Category
    name: str
    max_members: int | None
    state: str = "available"
    has_event: bool = False
    memberships: list[Membership] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class Membership:
    """The membership of a user in a group."""

    gid: str
    group: Group
    user: User
    state: str
    has_event: bool = False


class World:
    """All rows, and the counters for their ids."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.accounts: list[Account] = []
        self.terms: list[Term] = [Term(1, "Default Term")]
        """The default term, then the terms before, of and after the beginning."""
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
        """A new local id for a kind of row."""
        number = self._last.get(kind, 0) + 1
        self._last[kind] = number
        return number

    def global_id(self, local: int, shard: int | None = None) -> str:
        """The global id. ``shard``: by default the institution's shard."""
        return str((self.shard if shard is None else shard) * SHARD_SIZE + local)


def new_terms(start_ms: int) -> list[Term]:
    """The terms before, of and after the beginning of a simulation."""
    year, half, month = 365 * DAY_MS, 182 * DAY_MS, 30 * DAY_MS
    return [
        Term(11, "Autumn term", start_ms - year, start_ms - 3 * month),
        Term(12, "Spring term", start_ms - 3 * month, start_ms + 3 * month),
        Term(13, "Next term", start_ms + 3 * month, start_ms + 3 * month + half),
    ]


def local_id(gid: str) -> int:
    """The local id in a global one."""
    return int(gid) % SHARD_SIZE


def pick(random: Random, rows: list[Row]) -> Row | None:
    """A random row; None if there are none."""
    return rows[int(random.random() * len(rows))] if rows else None


def phase_of(section: Section) -> int:
    """Phase of a section by the dates that apply to it."""
    return section.phase if section.restricted else section.course.phase


def is_current(course: Course) -> bool:
    """Whether the course accepts enrollments."""
    return course.state not in ("completed", "deleted")


def recalculate_state(enrollment: Enrollment) -> bool:
    """Recalculate the enrollment state, like Canvas's EnrollmentState.recalculate_state. Returns
    whether it changed.
    """
    before = (enrollment.state, enrollment.started_ms, enrollment.until_ms)
    after = _enrollment_state(enrollment)
    enrollment.state, enrollment.started_ms, enrollment.until_ms = after
    return before != after


def _enrollment_state(enrollment: Enrollment) -> tuple[str, int | None, int | None]:
    """The state, its beginning and its end."""
    workflow_state, section = enrollment.workflow_state, enrollment.section
    if workflow_state not in LIVE_STATES:
        return workflow_state, None, None
    dates = section if section.restricted else section.course
    if dates.phase == BEFORE:
        return f"pending_{workflow_state}", None, dates.start_ms
    if dates.phase == WITHIN:
        return workflow_state, dates.start_ms, dates.end_ms
    return "completed", dates.end_ms, None
