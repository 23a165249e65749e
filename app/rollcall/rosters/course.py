"""The course stage: the rosters.

Key: course_id, or ``account:<account_id>`` for groups and memberships of an account. The lead row
is the course. Other rows come from the upstream stages, with the kinds ``section``,
``enrollment``, ``group`` and ``membership``. A row that several upstream keys may write has a slot
for each of them. The slot with the latest version applies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

from rollcall.record import Record
from rollcall.rosters.enrollment import ENROLLMENTS
from rollcall.rosters.entities import (
    SNAPSHOT_REASONS,
    Entity,
    Reconciled,
    current,
    reason,
    roster_row,
)
from rollcall.rosters.fields import Id, OptionalId, Text, Time, Word
from rollcall.rosters.group import (
    GROUPS,
    GROUPS_BY_COURSE,
    MEMBERSHIPS,
    MEMBERSHIPS_BY_COURSE,
    Group,
    MembershipInGroup,
)
from rollcall.rosters.inputs import entity_inputs
from rollcall.rosters.internal import merge_slot, parts_of, replace, value_reader
from rollcall.rosters.registers import Register, body_fields, is_later
from rollcall.rosters.relation import ACCOUNT_PREFIX, Relation
from rollcall.rosters.section import (
    ENROLLMENTS_BY_COURSE,
    SECTIONS,
    SECTIONS_BY_COURSE,
    EnrollmentInSection,
    Section,
)
from rollcall.rosters.states import FINAL, enrollment_state, enrollment_state_within
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage


class Course(Register, array_like=True, frozen=True, gc=False):
    """The register of course_*."""

    course_id: Id
    uuid: Text
    account_id: OptionalId
    name: Text
    created_at: Time
    updated_at: Time
    workflow_state: Word
    account_uuid: Text = None


COURSES = Relation(
    name="courses",
    register=Course,
    key=("course_id",),
    rows="one row for each course with an event",
    bodies=("course",),
    reasons={"course": "the course's own workflow_state", **SNAPSHOT_REASONS},
    lookups=(("name",),),
)


def _row_reader(kind: str, row: Any) -> Any:
    """Reader of records that only one upstream key writes: the value is the whole row."""
    value_of = value_reader(row)

    def read_change(record: Record) -> Change:
        course, identity = parts_of(record, 2)
        return Change(course, f"{kind}/{identity}", value_of(record), None)

    return read_change


def _slot_reader(kind: str, value: Any) -> Any:
    """Reader of records that several upstream keys write: the value is one slot of the row."""
    value_of = value_reader(value)

    def read_change(record: Record) -> Change:
        course, identity, slot = parts_of(record, 3)
        return Change(course, f"{kind}/{identity}", (slot, value_of(record)), None)

    return read_change


SlotT = TypeVar("SlotT")


def _latest_slot(slots: Mapping[str, SlotT], register_of: Callable[[SlotT], Any]) -> SlotT:
    """The value of the slot with the latest register. Of equal versions, the greatest slot name."""
    first, *others = sorted(slots)
    last = slots[first]
    for name in others:
        if not is_later(register_of(last), register_of(slots[name])):
            last = slots[name]
    return last


_enrollment_of, _membership_of = attrgetter("enrollment"), attrgetter("membership")


def derive_course(key: str, _id: str, row: Entity[Course], _lead: Row | None) -> Mapping[str, Any]:
    """A row of ``rosters.courses``."""
    course, why = current(row), reason(row, "course")
    return {key: roster_row(body_fields(course), course.workflow_state, why, course.time, row)}


def derive_section(
    key: str, section_id: str, row: Entity[Section], _lead: Entity[Course] | None
) -> Mapping[str, Any]:
    """A row of ``rosters.sections``."""
    section, why = current(row), reason(row, "section")
    value = roster_row(body_fields(section), section.workflow_state, why, section.time, row)
    return {f"{key}/{section_id}": value}


def derive_enrollment(
    key: str,
    enrollment_id: str,
    row: Mapping[str, EnrollmentInSection],
    lead: Entity[Course] | None,
) -> Mapping[str, Any]:
    """A row of ``rosters.enrollments``."""
    slot = _latest_slot(row, _enrollment_of)
    enrollment, dated, section = current(slot.enrollment), slot.state, slot.section
    course = None if lead is None else current(lead)
    time = enrollment.time
    state, why = enrollment_state(
        enrollment.workflow_state,
        time,
        dated.state if dated is not None and isinstance(dated.state, str) else None,
        None if dated is None else dated.time,
    )
    if not _is_final(enrollment.workflow_state, why):
        state, why = enrollment_state_within(
            state,
            why,
            section_deleted=section is not None and section.is_deleted,
            course_state=None if course is None else course.workflow_state,
        )
    if why == "dates" and dated is not None:
        time = max(time, dated.time)
    if section is not None and (section.is_moved or why == "section_deleted"):
        time = max(time, section.time)
    if why.startswith("course_") and course is not None:
        time = max(time, course.time)
    if why == "enrollment":
        why = reason(slot.enrollment, why)
    fields = body_fields(enrollment)
    fields["course_id"] = key
    return {f"{key}/{enrollment_id}": roster_row(fields, state, why, time, slot.enrollment)}


def _is_final(workflow_state: str, why: str) -> bool:
    """Whether a user or an import ended the enrollment, and no newer event exists. Section and
    course then do not change its state.
    """
    return why == "enrollment" and workflow_state in FINAL


def derive_group(
    key: str, group_id: str, row: Entity[Group], lead: Entity[Course] | None
) -> Mapping[str, Any]:
    """A row of ``rosters.groups``."""
    group = current(row)
    state, why, time = group.workflow_state, reason(row, "group"), group.time
    deleted_at = _deleted_at(lead)
    if deleted_at is not None:
        state, why, time = "deleted", "course_deleted", max(time, deleted_at)
    return {f"{key}/{group_id}": roster_row(body_fields(group), state, why, time, row)}


def derive_membership(
    key: str,
    membership_id: str,
    row: Mapping[str, MembershipInGroup],
    lead: Entity[Course] | None,
) -> Mapping[str, Any]:
    """A row of ``rosters.memberships``."""
    slot = _latest_slot(row, _membership_of)
    membership, group_deleted_at = current(slot.membership), slot.group_deleted_at
    fields = body_fields(membership)
    is_of_account = key.startswith(ACCOUNT_PREFIX)
    fields["context_type"] = "Account" if is_of_account else "Course"
    fields["context_id"] = key.removeprefix(ACCOUNT_PREFIX)
    state, time = membership.workflow_state, membership.time
    why = reason(slot.membership, "membership")
    deleted_at = _deleted_at(lead)
    if deleted_at is not None:
        state, why, time = "deleted", "course_deleted", max(time, deleted_at)
    elif group_deleted_at is not None:
        state, why, time = "deleted", "group_deleted", max(time, group_deleted_at)
    row_value = roster_row(fields, state, why, time, slot.membership)
    return {f"{key}/{membership_id}": row_value}


def _deleted_at(lead: Entity[Course] | None) -> int | None:
    if lead is None:
        return None
    course = current(lead)
    return course.time if course.workflow_state == "deleted" else None


def lead_fingerprint(lead: Entity[Course] | None) -> Any:
    """The part of the course that its rows depend on: only a deleted or completed course changes
    them.
    """
    if lead is None:
        return None
    course = current(lead)
    return (
        (course.time, course.workflow_state)
        if course.workflow_state in ("deleted", "completed")
        else None
    )


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    inputs = entity_inputs(Course, "course", "rollcall_course_snapshot", "course_id", shard)
    inputs[SECTIONS_BY_COURSE] = Input(
        _row_reader("section", Section | Reconciled[Section]), replace, trusted=True
    )
    inputs[ENROLLMENTS_BY_COURSE] = Input(
        _slot_reader("enrollment", EnrollmentInSection), merge_slot, trusted=True
    )
    inputs[GROUPS_BY_COURSE] = Input(
        _row_reader("group", Group | Reconciled[Group]), replace, trusted=True
    )
    inputs[MEMBERSHIPS_BY_COURSE] = Input(
        _slot_reader("membership", MembershipInGroup), merge_slot, trusted=True
    )
    kinds = {
        LEAD: Kind(Course | Reconciled[Course], {COURSES.topic: derive_course}),
        "section": Kind(Section | Reconciled[Section], {SECTIONS.topic: derive_section}),
        "enrollment": Kind(dict[str, EnrollmentInSection], {ENROLLMENTS.topic: derive_enrollment}),
        "group": Kind(Group | Reconciled[Group], {GROUPS.topic: derive_group}),
        "membership": Kind(dict[str, MembershipInGroup], {MEMBERSHIPS.topic: derive_membership}),
    }
    return Stage("course", inputs, kinds, lead_fingerprint)
