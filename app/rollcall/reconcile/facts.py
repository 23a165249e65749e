"""From objects of Canvas's REST API to facts: what a snapshot event states. Pure.

Only what rows have is taken over: ids, names, states and times. Grades and addresses, which Canvas
sends with it, are dropped here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from rollcall.events.ids import normal_id, parse_id
from rollcall.events.times import is_time
from rollcall.rosters.fields import Sort
from rollcall.rosters.registry import RELATIONS
from rollcall.rosters.relation import Relation

MICROSECONDS = 1_000_000
"""Of a second."""

RestObject = Mapping[str, Any]
"""An object of the REST API."""


class Entity(StrEnum):
    """What a snapshot is about; also the middle of its event_name."""

    COURSE = "course"
    SECTION = "section"
    ENROLLMENT = "enrollment"
    GROUP = "group"
    MEMBERSHIP = "membership"
    USER = "user"

    @property
    def relation(self) -> Relation:
        """Its rows."""
        return _RELATIONS[f"{self}s"]

    @property
    def event_name(self) -> str:
        """event_name of its snapshots."""
        return f"rollcall_{self}_snapshot"


_RELATIONS = {relation.name: relation for relation in RELATIONS}

ENTITIES = {entity.relation.name: entity for entity in Entity}
"""What the rows of a relation describe, by the relation's name."""

UNPUBLISHED = "unpublished"
"""What Canvas's API says for a course that is ``created`` or ``claimed``."""

CREATED = ("created", "claimed")


LONGEST_TEXT = 1_000
"""Canvas's names have at most 255 characters. A text that rows cannot have would be written in each
run.
"""

GREATEST_NUMBER = 2**31
"""Canvas's numbers have 32 bits."""


class UnusableObjectError(ValueError):
    """An object of the REST API without an id or state that it must have."""


class Fact(NamedTuple):
    """What Canvas showed of an entity."""

    entity: Entity
    id: str
    """In normal form."""
    stated: Mapping[str, Any]
    """Fields of the body of the snapshot event, but ``present``. Ids are in normal form."""
    time: int
    """Canvas surely had it so at this time: microseconds since the epoch. event_time."""
    is_present: bool = True

    def event(self, root_account_id: str, run: str, written_time: str) -> dict[str, Any]:
        """The snapshot event. That of a section has its root account in the body, too: Canvas's API
        shows it with enrollments, and Canvas's events tell it of sections only. It is not compared.

        Args:
            root_account_id: global id of the root account.
            run: name of the run.
            written_time: :attr:`time`, as events write times.
        """
        body = {"present": self.is_present, **self.stated}
        if self.entity is Entity.SECTION:
            body["root_account_id"] = root_account_id
        return {
            "metadata": {
                "event_name": self.entity.event_name,
                "event_time": written_time,
                "producer": "rollcall",
                "root_account_id": root_account_id,
                "run": run,
                "source": "rest",
            },
            "body": body,
        }


class _Reader:
    """Reads the fields of one object.

    Args:
        found: the object.
        shard: of the root account, for local ids.
    """

    def __init__(self, found: RestObject, shard: int) -> None:
        self._found = found
        self._shard = shard
        self.stated: dict[str, Any] = {}

    def id(self, name: str, of: str, *, required: bool = True) -> None:
        """State an id: ``name`` in the body, ``of`` in the object."""
        if of not in self._found and not required:
            return
        value = self._found.get(of)
        identity = (
            parse_id(value, self._shard)
            if isinstance(value, str)
            else normal_id(value, self._shard)
        )
        if identity is None and (required or value is not None):
            raise UnusableObjectError(f"{of} is no id")
        self.stated[name] = identity

    def word(self, name: str, of: str) -> None:
        """State a required text."""
        value = self._found.get(of)
        if not isinstance(value, str) or not value:
            raise UnusableObjectError(f"{of} is no text")
        self.stated[name] = value

    def value(self, name: str, of: str, *kinds: type) -> None:
        """State a field, if Canvas shows it. Null is stated, too."""
        if of not in self._found:
            return
        value = self._found[of]
        if value is not None and type(value) not in kinds:
            raise UnusableObjectError(f"{of} is of another type than in Canvas's documents")
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise UnusableObjectError(f"{of} has more than {LONGEST_TEXT} characters")
        if isinstance(value, int) and not -GREATEST_NUMBER <= value <= GREATEST_NUMBER:
            raise UnusableObjectError(f"{of} is too great")
        self.stated[name] = value

    def time(self, name: str, of: str) -> None:
        """State a time, if Canvas shows it. Null is stated, too."""
        value = self._found.get(of)
        if value is not None and not is_time(value):
            raise UnusableObjectError(f"{of} is no time")
        self.value(name, of, str)


def course_fact(found: RestObject, shard: int, time: int) -> Fact:
    """A course, from a list of an account. Canvas shows the token's user the name that this user
    gave the course, and then the real one beside it.
    """
    read = _Reader(found, shard)
    read.id("course_id", "id")
    read.word("workflow_state", "workflow_state")
    read.value("uuid", "uuid", str)
    read.id("account_id", "account_id", required=False)
    read.value("name", "original_name" if found.get("original_name") else "name", str)
    read.time("created_at", "created_at")
    return Fact(Entity.COURSE, read.stated["course_id"], read.stated, time)


def section_fact(found: RestObject, shard: int, time: int) -> Fact:
    """A section. Canvas lists active ones only."""
    read = _Reader(found, shard)
    read.id("course_section_id", "id")
    read.id("course_id", "course_id")
    read.value("name", "name", str)
    read.id("nonxlist_course_id", "nonxlist_course_id", required=False)
    read.value("sis_source_id", "sis_section_id", str)
    read.value("integration_id", "integration_id", str)
    read.time("start_at", "start_at")
    read.time("end_at", "end_at")
    read.value(
        "restrict_enrollments_to_section_dates", "restrict_enrollments_to_section_dates", bool
    )
    read.stated["workflow_state"] = "active"
    return Fact(Entity.SECTION, read.stated["course_section_id"], read.stated, time)


def enrollment_fact(found: RestObject, shard: int, time: int) -> Fact:
    """An enrollment. Canvas displays ``deleted`` also if its section or course is deleted."""
    read = _Reader(found, shard)
    read.id("enrollment_id", "id")
    read.id("course_id", "course_id")
    read.id("course_section_id", "course_section_id")
    read.id("user_id", "user_id")
    read.word("type", "type")
    read.word("workflow_state", "enrollment_state")
    read.value("limit_privileges_to_course_section", "limit_privileges_to_course_section", bool)
    read.time("created_at", "created_at")
    read.time("updated_at", "updated_at")
    read.id("associated_user_id", "associated_user_id", required=False)
    user = found.get("user")
    if isinstance(user, dict) and user.get("name") is not None:
        of_user = _Reader(user, shard)
        of_user.value("user_name", "name", str)
        read.stated |= of_user.stated
    return Fact(Entity.ENROLLMENT, read.stated["enrollment_id"], read.stated, time)


def user_fact(found: RestObject, shard: int, time: int) -> Fact:
    """A user, from an enrollment or a list. Canvas shows no states of users."""
    read = _Reader(found, shard)
    read.id("user_id", "id")
    read.value("name", "name", str)
    read.value("short_name", "short_name", str)
    read.time("created_at", "created_at")
    read.value("user_login", "login_id", str)
    read.value("user_sis_id", "sis_user_id", str)
    return Fact(Entity.USER, read.stated["user_id"], read.stated, time)


def group_fact(found: RestObject, shard: int, time: int) -> Fact:
    """A group, of a course or an account. Canvas lists available ones only."""
    read = _Reader(found, shard)
    read.id("group_id", "id")
    read.word("context_type", "context_type")
    context = {"Course": "course_id", "Account": "account_id"}.get(read.stated["context_type"])
    if context is None:
        raise UnusableObjectError("context_type is neither Course nor Account")
    read.id("context_id", context)
    read.value("group_name", "name", str)
    read.id("group_category_id", "group_category_id", required=False)
    read.value("max_membership", "max_membership", int)
    read.stated["workflow_state"] = "available"
    return Fact(Entity.GROUP, read.stated["group_id"], read.stated, time)


def membership_fact(found: RestObject, shard: int, time: int) -> Fact:
    """A membership. Canvas lists those that are accepted, invited or requested."""
    read = _Reader(found, shard)
    read.id("group_membership_id", "id")
    read.id("group_id", "group_id")
    read.id("user_id", "user_id")
    read.word("workflow_state", "workflow_state")
    return Fact(Entity.MEMBERSHIP, read.stated["group_membership_id"], read.stated, time)


ABSENCE_FIELDS: Mapping[Entity, tuple[str, ...]] = {
    Entity.SECTION: ("course_section_id", "course_id"),
    Entity.ENROLLMENT: ("enrollment_id", "course_id", "course_section_id", "user_id", "type"),
    Entity.GROUP: ("group_id", "context_type", "context_id"),
    Entity.MEMBERSHIP: ("group_membership_id", "group_id", "user_id"),
}
"""What an absence states besides its state. Courses and users are never absent: Canvas hides them
for many reasons.
"""


def absence(entity: Entity, row: Mapping[str, Any], time: int) -> Fact:
    """The fact that Canvas does not have an entity any more.

    Args:
        row: its row in the rosters. Ids may be numbers.
        time: as of :attr:`Fact.time`.

    Raises:
        KeyError: entities of this kind are never absent.
    """
    names = ABSENCE_FIELDS[entity]
    stated = {name: str(row[name]) for name in names} | {"workflow_state": "deleted"}
    return Fact(entity, stated[names[0]], stated, time, is_present=False)


FACT_OF: Mapping[Entity, Callable[[RestObject, int, int], Fact]] = {
    Entity.COURSE: course_fact,
    Entity.SECTION: section_fact,
    Entity.ENROLLMENT: enrollment_fact,
    Entity.GROUP: group_fact,
    Entity.MEMBERSHIP: membership_fact,
    Entity.USER: user_fact,
}
"""The reader of each kind of object."""

SORTS: Mapping[Entity, Mapping[str, Sort]] = {
    entity: {field.name: field.sort for field in entity.relation.fields} for entity in Entity
}
"""Sorts of the fields of rows."""
