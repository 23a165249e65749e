"""The course stage: the rosters.

Key: course_id, or ``account:<account_id>`` for what belongs to an account. The lead row is the
course's register. The others are what the stages before have published, of kind ``section``,
``enrollment``, ``group`` and ``membership``. What may come from several upstream keys has a slot
for each of them, and the slot with the latest version is the one that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollcall.record import Record
from rollcall.rosters.enrollment import ENROLLMENT, STATE
from rollcall.rosters.group import (
    ACCOUNT_PREFIX,
    GROUP,
    GROUPS_BY_COURSE,
    MEMBERSHIP,
    MEMBERSHIPS_BY_COURSE,
)
from rollcall.rosters.internal import (
    has_parts,
    is_flag,
    merge_slot,
    optional,
    parts_of,
    replace,
    value_of,
)
from rollcall.rosters.registers import TIME, Family, Register, is_time, lead_reader, shown
from rollcall.rosters.section import ENROLLMENTS_BY_COURSE, SECTION, SECTIONS_BY_COURSE
from rollcall.rosters.states import FINAL, enrollment_state, enrollment_state_within
from rollcall.rosters.typed import typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage

COURSE = Family(
    (
        "course_id",
        "uuid",
        "account_id",
        "name",
        "created_at",
        "updated_at",
        "workflow_state",
        "account_uuid",
    ),
    ids=("course_id", "account_id"),
    words=("course_id", "workflow_state"),
)

_COURSE_STATE = COURSE.place("workflow_state")
_ENROLLMENT_STATE = ENROLLMENT.place("workflow_state")
_STATE = STATE.place("state")

_is_enrollment = has_parts(
    ENROLLMENT.holds, optional(STATE.holds), optional(has_parts(is_flag, is_flag, is_time))
)
_is_membership = has_parts(MEMBERSHIP.holds, optional(is_time))


def _row_reader(kind: str, is_right: Callable[[Any], bool]) -> Any:
    """Of records that one upstream key writes: the whole row."""

    def read_change(record: Record) -> Change:
        course, identity = parts_of(record, 2)
        return Change(course, f"{kind}/{identity}", value_of(record, is_right), None)

    return read_change


def _slot_reader(kind: str, is_right: Callable[[Any], bool]) -> Any:
    """Of records that several upstream keys write: a slot of the row."""

    def read_change(record: Record) -> Change:
        course, identity, slot = parts_of(record, 3)
        return Change(course, f"{kind}/{identity}", (slot, value_of(record, is_right)), None)

    return read_change


def _latest(slots: Mapping[str, list[Any]], family: Family) -> list[Any]:
    """The value, of those in the slots, whose register comes last. Slots of one version: that of
    the greatest name.
    """
    latest: list[Any] | None = None
    for name in sorted(slots):
        value = slots[name]
        if latest is None or not family.is_later(latest[0], value[0]):
            latest = value
    assert latest is not None
    return latest


def derive_course(key: str, _id: str, row: Register, _lead: Row | None) -> Mapping[str, Any]:
    """A row of ``rosters.courses``."""
    return {key: shown(COURSE.fields(row), row[_COURSE_STATE], "course", row[TIME])}


def derive_section(
    key: str, section_id: str, row: Register, _course: Register | None
) -> Mapping[str, Any]:
    """A row of ``rosters.sections``."""
    fields = SECTION.fields(row)
    return {f"{key}/{section_id}": shown(fields, fields["workflow_state"], "section", row[TIME])}


def derive_enrollment(
    key: str, enrollment_id: str, row: Row, course: Register | None
) -> Mapping[str, Any]:
    """A row of ``rosters.enrollments``."""
    enrollment, dated, section = _latest(row, ENROLLMENT)
    section_deleted, moved, section_time = section or (False, False, None)
    workflow_state, time = enrollment[_ENROLLMENT_STATE], enrollment[TIME]
    state, reason = enrollment_state(
        workflow_state, time, dated and dated[_STATE], dated and dated[TIME]
    )
    if not _stands(workflow_state, reason):
        course_state = None if course is None else course[_COURSE_STATE]
        state, reason = enrollment_state_within(
            state, reason, section_deleted=section_deleted, course_state=course_state
        )
    if reason == "dates":
        time = max(time, dated[TIME])
    if moved or reason == "section_deleted":
        time = max(time, section_time)
    if reason.startswith("course_") and course is not None:
        time = max(time, course[TIME])
    fields = ENROLLMENT.fields(enrollment)
    fields["course_id"] = key
    return {f"{key}/{enrollment_id}": shown(fields, state, reason, time)}


def _stands(workflow_state: str, reason: str) -> bool:
    """Whether an enrollment was ended by a person or an import, and nothing newer is known: then
    section and course do not matter.
    """
    return reason == "enrollment" and workflow_state in FINAL


def derive_group(
    key: str, group_id: str, row: Register, course: Register | None
) -> Mapping[str, Any]:
    """A row of ``rosters.groups``."""
    fields = GROUP.fields(row)
    state, reason, time = fields["workflow_state"], "group", row[TIME]
    deleted_at = _deleted_at(course)
    if deleted_at is not None:
        state, reason, time = "deleted", "course_deleted", max(time, deleted_at)
    return {f"{key}/{group_id}": shown(fields, state, reason, time)}


def derive_membership(
    key: str, membership_id: str, row: Row, course: Register | None
) -> Mapping[str, Any]:
    """A row of ``rosters.memberships``."""
    membership, group_deleted_at = _latest(row, MEMBERSHIP)
    fields = MEMBERSHIP.fields(membership)
    is_of_account = key.startswith(ACCOUNT_PREFIX)
    fields["context_type"] = "Account" if is_of_account else "Course"
    fields["context_id"] = key.removeprefix(ACCOUNT_PREFIX)
    state, reason, time = fields["workflow_state"], "membership", membership[TIME]
    deleted_at = _deleted_at(course)
    if deleted_at is not None:
        state, reason, time = "deleted", "course_deleted", max(time, deleted_at)
    elif group_deleted_at is not None:
        state, reason, time = "deleted", "group_deleted", max(time, group_deleted_at)
    return {f"{key}/{membership_id}": shown(fields, state, reason, time)}


def _deleted_at(course: Register | None) -> int | None:
    time: int | None = (
        None if course is None or course[_COURSE_STATE] != "deleted" else course[TIME]
    )
    return time


def lead_fingerprint(course: Register | None) -> Any:
    """What the rows of a course depend on: only a course that is deleted or completed changes
    them.
    """
    return (
        None
        if course is None or course[_COURSE_STATE] not in ("deleted", "completed")
        else (course[TIME], course[_COURSE_STATE])
    )


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: of local ids in events that do not tell theirs."""
    names = ("course_created", "course_updated")
    inputs = {
        f"events.{name}": Input(
            lead_reader(typed_reader(name, shard), COURSE, "course_id"), COURSE.latest
        )
        for name in names
    }
    inputs[SECTIONS_BY_COURSE] = Input(_row_reader("section", SECTION.holds), replace, trusted=True)
    inputs[ENROLLMENTS_BY_COURSE] = Input(
        _slot_reader("enrollment", _is_enrollment), merge_slot, trusted=True
    )
    inputs[GROUPS_BY_COURSE] = Input(_row_reader("group", GROUP.holds), replace, trusted=True)
    inputs[MEMBERSHIPS_BY_COURSE] = Input(
        _slot_reader("membership", _is_membership), merge_slot, trusted=True
    )
    kinds = {
        LEAD: Kind("rosters.courses", derive_course),
        "section": Kind("rosters.sections", derive_section),
        "enrollment": Kind("rosters.enrollments", derive_enrollment),
        "group": Kind("rosters.groups", derive_group),
        "membership": Kind("rosters.memberships", derive_membership),
    }
    return Stage("course", inputs, kinds, lead_fingerprint)
