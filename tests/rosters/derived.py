"""A derived relation for tests: the observers of a course, made from rows of the course stage.

This file is the whole relation. The enrollments of the course stage get one more output.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from rollcall.rosters import course
from rollcall.rosters.course import Course
from rollcall.rosters.enrollment import ENROLLMENTS
from rollcall.rosters.fields import Id, OptionalId, Text
from rollcall.rosters.registry import stages
from rollcall.rosters.relation import Relation
from rollcall.rosters.section import EnrollmentInSection
from rollcall.streaming.stages.stage import Stage


class Observer(Struct):
    """The fields of a row."""

    course_id: Annotated[Id, "The current course."]
    enrollment_id: Id
    user_id: Annotated[Id, "The observer."]
    user_name: Text
    associated_user_id: OptionalId


OBSERVERS = Relation(
    name="observers",
    register=Observer,
    key=("course_id", "enrollment_id"),
    rows="one row for each enrollment of an observer, in its current course",
    bodies=("enrollment", "enrollment_state"),
    reasons=ENROLLMENTS.reasons,
    lookups=(("associated_user_id",),),
)

_FIELDS = frozenset(field.name for field in OBSERVERS.fields)


def derive(
    key: str, enrollment_id: str, row: Mapping[str, EnrollmentInSection], lead: Course | None
) -> Mapping[str, Any]:
    """A row of ``rosters.observers``."""
    enrollments = course.derive_enrollment(key, enrollment_id, row, lead)
    return {
        record_key: {name: value for name, value in enrollment.items() if name in _FIELDS}
        for record_key, enrollment in enrollments.items()
        if enrollment["type"] == "ObserverEnrollment"
    }


def stages_with_observers(shard: int | None) -> tuple[Stage, ...]:
    """All stages, and the course stage with one more output."""
    return tuple(
        _with_observers(stage) if stage.name == "course" else stage for stage in stages(shard)
    )


def _with_observers(stage: Stage) -> Stage:
    enrollments = stage.kinds["enrollment"].also(OBSERVERS.topic, derive)
    return dataclasses.replace(stage, kinds={**stage.kinds, "enrollment": enrollments})
