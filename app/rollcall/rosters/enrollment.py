"""The enrollment stage: what was said of one enrollment, by section.

Key: enrollment_id. Its only row is the lead row: ``[enrollment, state]``, the registers of
enrollment_* and of enrollment_state_*, either of which may be null. It is published under the
section of the enrollment, so that it stands beside the section there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.rosters.registers import Family, Register, lead_reader
from rollcall.rosters.typed import typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Input, Kind, Row, Stage

BY_SECTION = "enrollments-by-section"
"""Key ``<section>/<enrollment>``, value the row."""

ENROLLMENT = Family(
    (
        "enrollment_id",
        "course_id",
        "course_section_id",
        "user_id",
        "user_name",
        "type",
        "workflow_state",
        "limit_privileges_to_course_section",
        "created_at",
        "updated_at",
        "associated_user_id",
        "course_uuid",
        "user_uuid",
    ),
    ids=("enrollment_id", "course_id", "course_section_id", "user_id", "associated_user_id"),
    words=("enrollment_id", "course_id", "course_section_id", "user_id", "type", "workflow_state"),
)

STATE = Family(("state",), ids=(), words=("state",))
"""Of enrollment_state_*, only the state shows in a roster."""

_SECTION = ENROLLMENT.place("course_section_id")


def merge_enrollment(row: Row | None, said: Register) -> Row:
    """The row with an event of enrollment_*."""
    if row is None:
        return [said, None]
    latest = ENROLLMENT.latest(row[0], said)
    return row if latest is row[0] else [latest, row[1]]


def merge_state(row: Row | None, said: Register) -> Row:
    """The row with an event of enrollment_state_*."""
    if row is None:
        return [None, said]
    latest = STATE.latest(row[1], said)
    return row if latest is row[1] else [row[0], latest]


def derive(key: str, _id: str, row: Row, _lead: Row | None) -> Mapping[str, Any]:
    """By section. A state without its enrollment waits: it does not say where it belongs."""
    enrollment = row[0]
    return {} if enrollment is None else {f"{enrollment[_SECTION]}/{key}": row}


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: of local ids in events that do not tell theirs."""
    inputs = {}
    for name in ("enrollment_created", "enrollment_updated"):
        inputs[f"events.{name}"] = Input(
            lead_reader(typed_reader(name, shard), ENROLLMENT, "enrollment_id"), merge_enrollment
        )
    for name in ("enrollment_state_created", "enrollment_state_updated"):
        inputs[f"events.{name}"] = Input(
            lead_reader(typed_reader(name, shard), STATE, "enrollment_id"), merge_state
        )
    return Stage("enrollment", inputs, {LEAD: Kind(BY_SECTION, derive)})
