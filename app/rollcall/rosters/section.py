"""The section stage: sections, and their enrollments, by the course to which they belong now.

Key: course_section_id. The lead row is the section's register; a row of kind ``enrollment`` is what
the enrollment stage published.

When a section is cross-listed Canvas moves its enrollments to the other course without an event for
any of them. So an enrollment's course is its section's, unless the enrollment's own event is newer
than the section's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.record import Record
from rollcall.rosters.enrollment import BY_SECTION, ENROLLMENT, STATE
from rollcall.rosters.internal import has_parts, optional, parts_of, replace, value_of
from rollcall.rosters.registers import TIME, Family, Register, lead_reader
from rollcall.rosters.typed import typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage

SECTIONS_BY_COURSE = "sections-by-course"
"""Key ``<course>/<section>``, value the section's register."""

ENROLLMENTS_BY_COURSE = "enrollments-by-course"
"""Key ``<course>/<enrollment>/<section>``, value ``[enrollment, state, section]``. The section is
part of the key because it is the section's partition that writes the record: an enrollment that
moves to another section of the same course arrives at the course from both, as upsert and as
tombstone, in either order. ``section`` is null, or ``[deleted, moved, time]``: whether the section
is deleted, whether the course is the section's and another than the enrollment's own, and the
section's event_time.
"""

SECTION = Family(
    (
        "course_section_id",
        "course_id",
        "root_account_id",
        "name",
        "workflow_state",
        "nonxlist_course_id",
        "enrollment_term_id",
        "sis_source_id",
        "integration_id",
        "sis_batch_id",
        "default_section",
        "accepting_enrollments",
        "restrict_enrollments_to_section_dates",
        "can_manually_enroll",
        "start_at",
        "end_at",
        "stuck_sis_fields",
    ),
    ids=(
        "course_section_id",
        "course_id",
        "root_account_id",
        "nonxlist_course_id",
        "enrollment_term_id",
    ),
    words=("course_section_id", "course_id", "workflow_state"),
)

_COURSE, _WORKFLOW_STATE = SECTION.place("course_id"), SECTION.place("workflow_state")
_is_row = has_parts(ENROLLMENT.holds, optional(STATE.holds))
_OWN_COURSE = ENROLLMENT.place("course_id")


def _read_enrollment(record: Record) -> Change:
    section, enrollment = parts_of(record, 2)
    return Change(section, f"enrollment/{enrollment}", value_of(record, _is_row), None)


def derive_section(key: str, _id: str, row: Register, _lead: Row | None) -> Mapping[str, Any]:
    """By course."""
    return {f"{row[_COURSE]}/{key}": row}


def derive_enrollment(
    key: str, enrollment_id: str, row: Row, section: Register | None
) -> Mapping[str, Any]:
    """By course."""
    enrollment, state = row
    course, influence = enrollment[_OWN_COURSE], None
    if section is not None:
        moved = False
        if section[TIME] >= enrollment[TIME]:
            moved = section[_COURSE] != course
            course = section[_COURSE]
        deleted = section[_WORKFLOW_STATE] == "deleted"
        if moved or deleted:
            influence = [deleted, moved, section[TIME]]
    return {f"{course}/{enrollment_id}/{key}": [enrollment, state, influence]}


def lead_fingerprint(section: Register | None) -> Any:
    """What enrollments depend on."""
    return None if section is None else (section[TIME], section[_COURSE], section[_WORKFLOW_STATE])


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: of local ids in events that do not tell theirs."""
    names = ("course_section_created", "course_section_updated")
    inputs = {
        f"events.{name}": Input(
            lead_reader(typed_reader(name, shard), SECTION, "course_section_id"), SECTION.latest
        )
        for name in names
    }
    inputs[BY_SECTION] = Input(_read_enrollment, replace, trusted=True)
    kinds = {
        LEAD: Kind(SECTIONS_BY_COURSE, derive_section),
        "enrollment": Kind(ENROLLMENTS_BY_COURSE, derive_enrollment),
    }
    return Stage("section", inputs, kinds, lead_fingerprint)
