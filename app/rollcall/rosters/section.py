"""The section stage: sections and their enrollments, by current course.

Key: course_section_id. The lead row is the section. A row of kind ``enrollment`` is
published by the enrollment stage.

Canvas cross-lists a section without events for its enrollments, which move with it. So the course
of an enrollment is that of its section, unless the enrollment's own event is newer than the
section's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from rollcall.record import Record
from rollcall.rosters.enrollment import BY_SECTION, Enrollment, EnrollmentState
from rollcall.rosters.entities import SNAPSHOT_REASONS, Entity, Reconciled, current
from rollcall.rosters.fields import Flag, Id, List, Microseconds, OptionalId, Text, Time, Word
from rollcall.rosters.inputs import entity_inputs
from rollcall.rosters.internal import parts_of, replace, value_reader
from rollcall.rosters.registers import UndatedRegister
from rollcall.rosters.relation import Relation
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage

SECTIONS_BY_COURSE = "sections-by-course"
"""Key ``<course>/<section>``, value the section."""

ENROLLMENTS_BY_COURSE = "enrollments-by-course"
"""Key ``<course>/<enrollment>/<section>``, value :class:`EnrollmentInSection`. The key has the
section because the section's partition writes the record. If an enrollment moves to another section
of the course, both sections write: one an upsert, one a tombstone, in either order.
"""


class Section(UndatedRegister, array_like=True, frozen=True, gc=False):
    """The register of course_section_*."""

    course_section_id: Id
    course_id: Annotated[Id, "The current course."]
    root_account_id: OptionalId
    name: Text
    workflow_state: Word
    nonxlist_course_id: OptionalId = None
    enrollment_term_id: OptionalId = None
    sis_source_id: Text = None
    integration_id: Text = None
    sis_batch_id: Text = None
    default_section: Flag = None
    accepting_enrollments: Flag = None
    restrict_enrollments_to_section_dates: Flag = None
    can_manually_enroll: Flag = None
    start_at: Time = None
    end_at: Time = None
    stuck_sis_fields: List = None


class PublishedEnrollment(Struct, array_like=True, frozen=True, gc=False):
    """An enrollment from the enrollment stage."""

    enrollment: Entity[Enrollment]
    state: EnrollmentState | None


class SectionEffect(Struct, array_like=True, frozen=True, gc=False):
    """A section's effect on its enrollments."""

    is_deleted: bool
    is_moved: bool
    """The section is in another course than the enrollment's own event says."""
    time: Microseconds
    """The section's event_time."""


class EnrollmentInSection(Struct, array_like=True, frozen=True, gc=False):
    """An enrollment, with its section's effect on it."""

    enrollment: Entity[Enrollment]
    state: EnrollmentState | None
    section: SectionEffect | None


SECTIONS = Relation(
    name="sections",
    register=Section,
    key=("course_id", "course_section_id"),
    rows="one row for each section, in its current course",
    bodies=("course_section",),
    reasons={"section": "the section's own workflow_state", **SNAPSHOT_REASONS},
    lookups=(("course_section_id",), ("sis_source_id",)),
)

_published_enrollment = value_reader(PublishedEnrollment)


def _read_enrollment(record: Record) -> Change:
    section, enrollment = parts_of(record, 2)
    return Change(section, f"enrollment/{enrollment}", _published_enrollment(record), None)


def derive_section(
    key: str, _id: str, row: Entity[Section], _lead: Row | None
) -> Mapping[str, Any]:
    """The record by course."""
    return {f"{current(row).course_id}/{key}": row}


def derive_enrollment(
    key: str, enrollment_id: str, row: PublishedEnrollment, lead: Entity[Section] | None
) -> Mapping[str, Any]:
    """The record by course."""
    enrollment = current(row.enrollment)
    course, effect = enrollment.course_id, None
    if lead is not None:
        section, is_moved = current(lead), False
        if section.time >= enrollment.time:
            is_moved = section.course_id != course
            course = section.course_id
        is_deleted = section.workflow_state == "deleted"
        if is_moved or is_deleted:
            effect = SectionEffect(is_deleted, is_moved, section.time)
    value = EnrollmentInSection(row.enrollment, row.state, effect)
    return {f"{course}/{enrollment_id}/{key}": value}


def lead_fingerprint(lead: Entity[Section] | None) -> Any:
    """The part of the section that its enrollments depend on."""
    if lead is None:
        return None
    section = current(lead)
    return section.time, section.course_id, section.workflow_state


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    inputs = entity_inputs(
        Section, "course_section", "rollcall_section_snapshot", "course_section_id", shard
    )
    inputs[BY_SECTION] = Input(_read_enrollment, replace, trusted=True)
    kinds = {
        LEAD: Kind(Section | Reconciled[Section], {SECTIONS_BY_COURSE: derive_section}),
        "enrollment": Kind(PublishedEnrollment, {ENROLLMENTS_BY_COURSE: derive_enrollment}),
    }
    return Stage("section", inputs, kinds, lead_fingerprint)
