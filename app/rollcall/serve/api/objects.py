"""Canvas's objects, from rows of the replica. Pure.

The models describe an object for the OpenAPI document. The functions build it without the models,
which would take most of a request's time; a test compares the two. A field that no event has is
null if Canvas always has it, and absent if Canvas leaves it out at times: docs/api.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from rollcall.serve.api.ids import IdFormat
from rollcall.serve.replica.derived import sortable_name
from rollcall.serve.replica.tables import COLUMNS

Row = Mapping[str, Any]

Id = Annotated[
    int | str,
    Field(
        description="A whole number; a string with `Accept: application/json+canvas-string-ids`."
    ),
]
Time = Annotated[str, Field(description="UTC, ISO 8601.")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(_Model):
    """One thing that is wrong."""

    message: str
    field: str | None = None
    error_code: str | None = None


class Errors(_Model):
    """Why there is no other answer."""

    errors: list[Error]
    status: str | None = None


class History(_Model):
    """What the latest event said of something, and what the latest snapshot said. The later one
    counts; of equal times, the event.
    """

    event: dict[str, Any] | None = None
    snapshot: dict[str, Any]


class User(_Model):
    """A user."""

    id: Id
    name: str | None
    created_at: Time | None
    sortable_name: str | None
    short_name: str | None
    sis_user_id: str | None
    integration_id: None
    login_id: str | None
    uuid: str | None = None
    group_ids: list[Id] | None = None
    enrollments: list[Enrollment] | None = None
    rollcall_history: History | None = None


class Enrollment(_Model):
    """An enrollment."""

    id: Id
    user_id: Id
    course_id: Id
    type: str
    created_at: Time | None
    updated_at: Time | None
    associated_user_id: Id | None
    start_at: None
    end_at: None
    course_section_id: Id
    root_account_id: Id | None
    limit_privileges_to_course_section: bool | None
    enrollment_state: str
    role: str
    role_id: None
    last_activity_at: None
    last_attended_at: None
    total_activity_time: None
    sis_account_id: None
    sis_course_id: None
    course_integration_id: None
    sis_section_id: str | None
    section_integration_id: str | None
    sis_user_id: str | None
    user: User | None = None
    observed_user: User | None = None
    rollcall_state: str
    rollcall_state_reason: str
    rollcall_as_of: Time
    rollcall_history: History | None = None


class Course(_Model):
    """A course."""

    id: Id
    name: str | None
    uuid: str | None
    account_id: Id | None
    root_account_id: None
    course_code: None
    created_at: Time | None
    start_at: None
    end_at: None
    enrollment_term_id: None
    workflow_state: str | None
    sis_course_id: None
    integration_id: None
    total_students: int | None = None
    sections: list[Section] | None = None
    rollcall_state_reason: str | None
    rollcall_as_of: Time | None
    rollcall_history: History | None = None


class Section(_Model):
    """A section."""

    id: Id
    course_id: Id
    name: str | None
    start_at: Time | None
    end_at: Time | None
    created_at: None
    restrict_enrollments_to_section_dates: bool | None
    nonxlist_course_id: Id | None
    sis_section_id: str | None
    sis_course_id: None
    integration_id: str | None
    total_students: int | None = None
    students: list[User] | None = None
    rollcall_state_reason: str
    rollcall_as_of: Time
    rollcall_history: History | None = None


class Group(_Model):
    """A group."""

    id: Id
    name: str | None
    description: None
    is_public: None
    followed_by_user: None
    join_level: None
    members_count: int
    avatar_url: None
    context_type: str
    course_id: Id | None = None
    account_id: Id | None = None
    role: None
    group_category_id: Id | None
    sis_group_id: None
    storage_quota_mb: None
    max_membership: int | None
    created_at: None
    users: list[User] | None = None
    rollcall_state_reason: str
    rollcall_as_of: Time
    rollcall_history: History | None = None


class GroupMembership(_Model):
    """A user's place in a group."""

    id: Id
    group_id: Id
    user_id: Id
    workflow_state: str
    moderator: None
    just_created: bool
    sis_group_id: None
    rollcall_state_reason: str
    rollcall_as_of: Time
    rollcall_history: History | None = None


for _model in (User, Enrollment, Course, Section, Group):
    _model.model_rebuild()


def history(row: Row) -> dict[str, Any] | None:
    """A :class:`History`; None: the row has no snapshot."""
    stored = row["history"]
    return None if stored is None else dict(orjson.loads(stored))


def flag(value: Any) -> bool | None:
    """A truth value, from SQLite's 0 or 1."""
    return None if value is None else bool(value)


def text(value: Any) -> str | None:
    """Text, also if the event had a number where Canvas has text."""
    return None if value is None else str(value)


def user_object(
    row: Row, ids: IdFormat, *, uuid: bool = False, group_ids: Iterable[int] | None = None
) -> dict[str, Any]:
    """A :class:`User`, from a row of users."""
    name = text(row["name"])
    found: dict[str, Any] = {
        "id": ids(row["user_id"]),
        "name": name,
        "created_at": row["created_at"],
        "sortable_name": row["sortable_name"],
        "short_name": text(row["short_name"]) or name,
        "sis_user_id": text(row["user_sis_id"]),
        "integration_id": None,
        "login_id": text(row["user_login"]),
    }
    if uuid:
        found["uuid"] = text(row["uuid"])
    if group_ids is not None:
        found["group_ids"] = [ids(group) for group in group_ids]
    return found


def user_without_events(user_id: int, name: str | None) -> Row:
    """A row for a user without events of his own. The name is from an enrollment."""
    row = dict.fromkeys(COLUMNS["users"])
    return {**row, "user_id": user_id, "name": name, "sortable_name": sortable_name(name)}


def enrollment_object(
    row: Row, ids: IdFormat, *, section: Row | None, user: dict[str, Any] | None
) -> dict[str, Any]:
    """An :class:`Enrollment`.

    Args:
        row: a row of enrollments.
        section: the row of its section; None: the replica has none.
        user: the object of its user; None: without users.
    """
    found: dict[str, Any] = {
        "id": ids(row["enrollment_id"]),
        "user_id": ids(row["user_id"]),
        "course_id": ids(row["course_id"]),
        "type": row["type"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "associated_user_id": ids(row["associated_user_id"]),
        "start_at": None,
        "end_at": None,
        "course_section_id": ids(row["course_section_id"]),
        "root_account_id": None if section is None else ids(section["root_account_id"]),
        "limit_privileges_to_course_section": flag(row["limit_privileges_to_course_section"]),
        "enrollment_state": row["enrollment_state"],
        "role": row["type"],
        "role_id": None,
        "last_activity_at": None,
        "last_attended_at": None,
        "total_activity_time": None,
        "sis_account_id": None,
        "sis_course_id": None,
        "course_integration_id": None,
        "sis_section_id": None if section is None else text(section["sis_source_id"]),
        "section_integration_id": None if section is None else text(section["integration_id"]),
        "sis_user_id": None if user is None else user["sis_user_id"],
        "rollcall_state": row["state"],
        "rollcall_state_reason": row["state_reason"],
        "rollcall_as_of": row["as_of"],
    }
    if user is not None:
        found["user"] = user
    return found


def course_object(row: Row, ids: IdFormat) -> dict[str, Any]:
    """A :class:`Course`. Canvas's API has one state before publication."""
    state = row["state"]
    return {
        "id": ids(row["course_id"]),
        "name": text(row["name"]),
        "uuid": text(row["uuid"]),
        "account_id": ids(row["account_id"]),
        "root_account_id": None,
        "course_code": None,
        "created_at": row["created_at"],
        "start_at": None,
        "end_at": None,
        "enrollment_term_id": None,
        "workflow_state": "unpublished" if state in ("created", "claimed") else state,
        "sis_course_id": None,
        "integration_id": None,
        "rollcall_state_reason": row["state_reason"],
        "rollcall_as_of": row["as_of"],
    }


def course_without_events(course_id: int) -> Row:
    """A row for a course without events of its own, which enrollments or sections mention."""
    return {**dict.fromkeys(COLUMNS["courses"]), "course_id": course_id}


def section_object(row: Row, ids: IdFormat) -> dict[str, Any]:
    """A :class:`Section`."""
    return {
        "id": ids(row["course_section_id"]),
        "course_id": ids(row["course_id"]),
        "name": text(row["name"]),
        "start_at": row["start_at"],
        "end_at": row["end_at"],
        "created_at": None,
        "restrict_enrollments_to_section_dates": flag(row["restrict_enrollments_to_section_dates"]),
        "nonxlist_course_id": ids(row["nonxlist_course_id"]),
        "sis_section_id": text(row["sis_source_id"]),
        "sis_course_id": None,
        "integration_id": text(row["integration_id"]),
        "rollcall_state_reason": row["state_reason"],
        "rollcall_as_of": row["as_of"],
    }


def group_object(row: Row, ids: IdFormat, members: int) -> dict[str, Any]:
    """A :class:`Group`.

    Args:
        members: number of users in it.
    """
    found: dict[str, Any] = {
        "id": ids(row["group_id"]),
        "name": text(row["group_name"]),
        "description": None,
        "is_public": None,
        "followed_by_user": None,
        "join_level": None,
        "members_count": members,
        "avatar_url": None,
        "context_type": row["context_type"],
        "role": None,
        "group_category_id": ids(row["group_category_id"]),
        "sis_group_id": None,
        "storage_quota_mb": None,
        "max_membership": row["max_membership"],
        "created_at": None,
        "rollcall_state_reason": row["state_reason"],
        "rollcall_as_of": row["as_of"],
    }
    found["course_id" if row["context_type"] == "Course" else "account_id"] = ids(row["context_id"])
    return found


def membership_object(row: Row, ids: IdFormat) -> dict[str, Any]:
    """A :class:`GroupMembership`."""
    return {
        "id": ids(row["group_membership_id"]),
        "group_id": ids(row["group_id"]),
        "user_id": ids(row["user_id"]),
        "workflow_state": row["state"],
        "moderator": None,
        "just_created": False,
        "sis_group_id": None,
        "rollcall_state_reason": row["state_reason"],
        "rollcall_as_of": row["as_of"],
    }
