"""The course stage: the rosters.

Key: course_id, or ``account:<account_id>`` for groups and memberships of an account. The lead row
is the course's register. Other rows come from the upstream stages, with the kinds ``section``,
``enrollment``, ``group`` and ``membership``. A row that several upstream keys may write has a slot
for each of them. The slot with the latest version applies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

from rollcall.record import Record
from rollcall.rosters.enrollment import ENROLLMENTS
from rollcall.rosters.fields import Id, OptionalId, Text, Time, Word
from rollcall.rosters.group import (
    GROUPS,
    GROUPS_BY_COURSE,
    MEMBERSHIPS,
    MEMBERSHIPS_BY_COURSE,
    Group,
    MembershipInGroup,
)
from rollcall.rosters.internal import merge_slot, parts_of, replace, value_reader
from rollcall.rosters.registers import (
    Register,
    body_fields,
    is_later,
    latest,
    lead_reader,
    roster_row,
)
from rollcall.rosters.relation import ACCOUNT_PREFIX, Relation
from rollcall.rosters.section import (
    ENROLLMENTS_BY_COURSE,
    SECTIONS,
    SECTIONS_BY_COURSE,
    EnrollmentInSection,
    Section,
)
from rollcall.rosters.states import FINAL, enrollment_state, enrollment_state_within
from rollcall.rosters.typed import typed_reader
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
    reasons={"course": "the course's own workflow_state"},
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


def derive_course(key: str, _id: str, row: Course, _lead: Row | None) -> Mapping[str, Any]:
    """A row of ``rosters.courses``."""
    return {key: roster_row(body_fields(row), row.workflow_state, "course", row.time)}


def derive_section(
    key: str, section_id: str, row: Section, _course: Course | None
) -> Mapping[str, Any]:
    """A row of ``rosters.sections``."""
    value = roster_row(body_fields(row), row.workflow_state, "section", row.time)
    return {f"{key}/{section_id}": value}


def derive_enrollment(
    key: str, enrollment_id: str, row: Mapping[str, EnrollmentInSection], course: Course | None
) -> Mapping[str, Any]:
    """A row of ``rosters.enrollments``."""
    slot = _latest_slot(row, _enrollment_of)
    enrollment, dated, section = slot.enrollment, slot.state, slot.section
    time = enrollment.time
    state, reason = enrollment_state(
        enrollment.workflow_state,
        time,
        dated.state if dated is not None and isinstance(dated.state, str) else None,
        None if dated is None else dated.time,
    )
    if not _is_final(enrollment.workflow_state, reason):
        state, reason = enrollment_state_within(
            state,
            reason,
            section_deleted=section is not None and section.is_deleted,
            course_state=None if course is None else course.workflow_state,
        )
    if reason == "dates" and dated is not None:
        time = max(time, dated.time)
    if section is not None and (section.is_moved or reason == "section_deleted"):
        time = max(time, section.time)
    if reason.startswith("course_") and course is not None:
        time = max(time, course.time)
    fields = body_fields(enrollment)
    fields["course_id"] = key
    return {f"{key}/{enrollment_id}": roster_row(fields, state, reason, time)}


def _is_final(workflow_state: str, reason: str) -> bool:
    """Whether a user or an import ended the enrollment, and no newer event exists. Section and
    course then do not change its state.
    """
    return reason == "enrollment" and workflow_state in FINAL


def derive_group(key: str, group_id: str, row: Group, course: Course | None) -> Mapping[str, Any]:
    """A row of ``rosters.groups``."""
    state, reason, time = row.workflow_state, "group", row.time
    deleted_at = _deleted_at(course)
    if deleted_at is not None:
        state, reason, time = "deleted", "course_deleted", max(time, deleted_at)
    return {f"{key}/{group_id}": roster_row(body_fields(row), state, reason, time)}


def derive_membership(
    key: str, membership_id: str, row: Mapping[str, MembershipInGroup], course: Course | None
) -> Mapping[str, Any]:
    """A row of ``rosters.memberships``."""
    slot = _latest_slot(row, _membership_of)
    membership, group_deleted_at = slot.membership, slot.group_deleted_at
    fields = body_fields(membership)
    is_of_account = key.startswith(ACCOUNT_PREFIX)
    fields["context_type"] = "Account" if is_of_account else "Course"
    fields["context_id"] = key.removeprefix(ACCOUNT_PREFIX)
    state, reason, time = membership.workflow_state, "membership", membership.time
    deleted_at = _deleted_at(course)
    if deleted_at is not None:
        state, reason, time = "deleted", "course_deleted", max(time, deleted_at)
    elif group_deleted_at is not None:
        state, reason, time = "deleted", "group_deleted", max(time, group_deleted_at)
    return {f"{key}/{membership_id}": roster_row(fields, state, reason, time)}


def _deleted_at(course: Course | None) -> int | None:
    return None if course is None or course.workflow_state != "deleted" else course.time


def lead_fingerprint(course: Course | None) -> Any:
    """The part of the course that its rows depend on: only a deleted or completed course changes
    them.
    """
    return (
        None
        if course is None or course.workflow_state not in ("deleted", "completed")
        else (course.time, course.workflow_state)
    )


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    names = ("course_created", "course_updated")
    inputs = {
        f"events.{name}": Input(lead_reader(typed_reader(name, shard), Course, "course_id"), latest)
        for name in names
    }
    inputs[SECTIONS_BY_COURSE] = Input(_row_reader("section", Section), replace, trusted=True)
    inputs[ENROLLMENTS_BY_COURSE] = Input(
        _slot_reader("enrollment", EnrollmentInSection), merge_slot, trusted=True
    )
    inputs[GROUPS_BY_COURSE] = Input(_row_reader("group", Group), replace, trusted=True)
    inputs[MEMBERSHIPS_BY_COURSE] = Input(
        _slot_reader("membership", MembershipInGroup), merge_slot, trusted=True
    )
    kinds = {
        LEAD: Kind(Course, {COURSES.topic: derive_course}),
        "section": Kind(Section, {SECTIONS.topic: derive_section}),
        "enrollment": Kind(dict[str, EnrollmentInSection], {ENROLLMENTS.topic: derive_enrollment}),
        "group": Kind(Group, {GROUPS.topic: derive_group}),
        "membership": Kind(dict[str, MembershipInGroup], {MEMBERSHIPS.topic: derive_membership}),
    }
    return Stage("course", inputs, kinds, lead_fingerprint)
