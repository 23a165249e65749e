"""Enrollments as the API's replica of the database has them: finished objects with what is needed
to filter and order them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollcall.sandbox.canvas.rest.objects import Object, shown_id, sortable_name, user_object
from rollcall.sandbox.canvas.rest.tables import time_text
from rollcall.sandbox.canvas.simulation.world import Course, Enrollment, World

DEFAULT_STATES = ("active", "invited")

SortKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class EnrollmentRecord:
    """An enrollment at one moment."""

    gid: str
    course: str
    section: str
    kind: str
    workflow_state: str
    """The raw state, by which a list is filtered."""
    sort_key: SortKey
    """Type, sortable name and id: a user's new name moves the row in a list."""
    object: Object


def enrollment_records(world: World, course: Course | None = None) -> list[EnrollmentRecord]:
    """All enrollments, or those of a course."""
    return [
        enrollment_record(row, world)
        for row in list(world.enrollments)
        if course is None or row.section.course is course
    ]


def enrollment_record(row: Enrollment, world: World) -> EnrollmentRecord:
    """An enrollment as it is now."""
    section = row.section
    return EnrollmentRecord(
        row.gid,
        section.course.gid,
        section.gid,
        row.kind,
        row.workflow_state,
        (row.kind, sortable_name(row.user).casefold(), int(row.gid)),
        _object(row, world),
    )


def _object(row: Enrollment, world: World) -> Object:
    section, user = row.section, row.user
    course = section.course
    is_deleted = "deleted" in (section.state, course.state)
    found: dict[str, Any] = {
        "id": shown_id(row.gid, world),
        "root_account_id": world.accounts[0].id,
        "course_id": course.id,
        "course_section_id": section.id,
        "user_id": shown_id(user.gid, world),
        "associated_user_id": shown_id(row.observed.gid, world) if row.observed else None,
        "type": row.kind,
        "role": row.kind,
        "role_id": 3,
        # lib/api/v1/user.rb, enrollment_json
        "enrollment_state": "deleted" if is_deleted else row.workflow_state,
        "limit_privileges_to_course_section": row.limited,
        "created_at": time_text(row.created_ms),
        "updated_at": time_text(row.updated_ms),
        "start_at": None,
        "end_at": None,
        "sis_course_id": course.sis_id,
        "sis_section_id": section.sis_id,
        "sis_user_id": user.sis_id,
        "sis_import_id": None,
        "user": user_object(user, world),
    }
    if row.kind in ("StudentEnrollment", "StudentViewEnrollment"):
        score = int(row.gid) % 41 + 60
        found["grades"] = {
            "current_score": score,
            "final_score": score - 5,
            "current_grade": None,
            "final_grade": None,
        }
    return found
