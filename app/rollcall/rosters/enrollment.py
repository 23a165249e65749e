"""The enrollment stage: the registers of each enrollment, by section.

Key: enrollment_id. The lead row is the only row. It is published with the key of its section, so
that the section stage has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from rollcall.record import Record
from rollcall.rosters.entities import SNAPSHOT_REASONS, Entity, Snapshot, current, merged
from rollcall.rosters.fields import Flag, Id, OptionalId, Text, Time, Word
from rollcall.rosters.inputs import entity_inputs
from rollcall.rosters.registers import Register, UndatedRegister, latest, register_maker
from rollcall.rosters.relation import Relation
from rollcall.rosters.states import COURSE_DELETED
from rollcall.rosters.typed import Reader, typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage

BY_SECTION = "enrollments-by-section"
"""Key ``<section>/<enrollment>``, value the row."""


class Enrollment(Register, array_like=True, frozen=True, gc=False):
    """The register of enrollment_*."""

    enrollment_id: Id
    course_id: Annotated[Id, "The current course."]
    course_section_id: Id
    user_id: Id
    user_name: Annotated[
        Text,
        "The user's name at the enrollment's last event. `users` has the current name.",
    ]
    type: Word
    workflow_state: Word
    limit_privileges_to_course_section: Flag
    created_at: Time
    updated_at: Time
    associated_user_id: OptionalId = None
    course_uuid: Text = None
    user_uuid: Text = None


class EnrollmentState(UndatedRegister, array_like=True, frozen=True, gc=False):
    """The register of enrollment_state_*. Rosters use only its state, which may be null."""

    state: Text


class EnrollmentEvents(Struct, array_like=True, frozen=True, gc=False):
    """The row: the enrollment, and its state by dates. One may be missing."""

    enrollment: Entity[Enrollment] | None
    state: EnrollmentState | None


ENROLLMENTS = Relation(
    name="enrollments",
    register=Enrollment,
    key=("course_id", "enrollment_id"),
    rows="one row for each enrollment, in the current course of its section",
    bodies=("enrollment", "enrollment_state"),
    reasons={
        "enrollment": "the enrollment's own workflow_state",
        "dates": "the enrollment's state by the dates of course, section and term",
        "section_deleted": "the section is deleted",
        **COURSE_DELETED,
        "course_completed": "the course is concluded",
        **SNAPSHOT_REASONS,
    },
    lookups=(
        ("course_section_id", "enrollment_id"),
        ("user_id", "enrollment_id"),
        ("enrollment_id",),
    ),
)


def merge_enrollment(
    row: EnrollmentEvents | None, update: Enrollment | Snapshot[Enrollment]
) -> EnrollmentEvents:
    """The row with an event of enrollment_*, or a snapshot."""
    if row is None:
        return EnrollmentEvents(merged(None, update), None)
    enrollment = merged(row.enrollment, update)
    return row if enrollment is row.enrollment else EnrollmentEvents(enrollment, row.state)


def merge_state(row: EnrollmentEvents | None, update: EnrollmentState) -> EnrollmentEvents:
    """The row with an event of enrollment_state_*."""
    if row is None:
        return EnrollmentEvents(None, update)
    state = latest(row.state, update)
    return row if state is row.state else EnrollmentEvents(row.enrollment, state)


def derive(key: str, _id: str, row: EnrollmentEvents, _lead: Row | None) -> Mapping[str, Any]:
    """The record by section. Nothing for a state alone: it has no section."""
    if row.enrollment is None:
        return {}
    return {f"{current(row.enrollment).course_section_id}/{key}": row}


def _state_reader(read: Reader) -> Any:
    make = register_maker(EnrollmentState)

    def read_change(record: Record) -> Change:
        event = read(record)
        return Change(event.id("enrollment_id"), LEAD, make(event), event.time / 1_000_000)

    return read_change


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    inputs = entity_inputs(
        Enrollment,
        "enrollment",
        "rollcall_enrollment_snapshot",
        "enrollment_id",
        shard,
        merge=merge_enrollment,
    )
    for name in ("enrollment_state_created", "enrollment_state_updated"):
        inputs[f"events.{name}"] = Input(_state_reader(typed_reader(name, shard)), merge_state)
    return Stage("enrollment", inputs, {LEAD: Kind(EnrollmentEvents, {BY_SECTION: derive})})
