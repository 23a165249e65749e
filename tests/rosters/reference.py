"""The oracle: what the rosters are, said as plainly as possible.

It takes all events at once. Of each register (a source of events about one entity) it keeps the
event with the greatest version, and then writes the rows down. No state between events, no order,
no speed; what streams is compared with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from rollcall.events.ids import normal_id, shard_of
from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.schemas.validation import load_validators
from rollcall.events.times import parse_time

Row = dict[str, Any]
Rosters = dict[str, dict[str, Row]]
"""By relation and record key. No row: never written, or a tombstone."""

RELATIONS = ("courses", "sections", "enrollments", "groups", "memberships", "users")

FAMILIES = (
    "course",
    "course_section",
    "enrollment",
    "enrollment_state",
    "group",
    "group_membership",
    "user",
)
"""The sources of events: ``<family>_created`` and ``<family>_updated``. Rosters read no others."""

STATE_BY_DATES = {
    ("active", "pending_active"),
    ("active", "completed"),
    ("invited", "pending_invited"),
    ("invited", "completed"),
}
"""Of workflow_state and state: what only the dates have changed, so that an older state still tells
more than the workflow_state.
"""

ENDED_BY_THE_COURSE = {"active", "invited", "creation_pending", "pending_active", "pending_invited"}
"""The states that a concluded course makes ``completed``."""

_SCHEMAS = Path(__file__).parents[2] / "schemas" / "bodies"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TypedEvent(NamedTuple):
    """A record of a typed topic."""

    name: str
    """The event_name."""

    value: bytes


class Version(NamedTuple):
    """What decides which of two events is the later one. Compared field by field."""

    event_time: int
    """Microseconds since 1970."""

    is_update: bool
    has_updated_at: bool
    updated_at: int
    """Microseconds since 1970; 0 without one."""

    ce_id: str


class Event(NamedTuple):
    """A typed event, read."""

    family: str
    version: Version
    fields: Row
    """The fields of the body that the schema names, without nulls, with ids in normal form."""

    @property
    def time(self) -> int:
        """The event_time in microseconds since 1970."""
        return self.version.event_time


def rosters(events: Iterable[tuple[str, bytes]], shard: int | None = None) -> Rosters:
    """The rosters that follow from a set of typed events, given as event_name and value.

    Args:
        shard: of local ids in events that do not tell their shard; None: unknown.

    Raises:
        ValueError: an event is not what the router would have put on its typed topic.
    """
    read = [event for name, value in events if (event := read_event(name, value, shard))]
    course_events = _latest(read, "course", "course_id")
    section_events = _latest(read, "course_section", "course_section_id")
    enrollment_events = _latest(read, "enrollment", "enrollment_id")
    state_events = _latest(read, "enrollment_state", "enrollment_id")
    group_events = _latest(read, "group", "group_id")
    membership_events = _latest(read, "group_membership", "group_membership_id", "group_id")
    user_events = _latest(read, "user", "user_id")

    courses: dict[str, Row] = {}
    for (course_id,), course in course_events.items():
        courses[course_id] = _row(course, course.fields["workflow_state"], "course")

    sections: dict[str, Row] = {}
    for (section_id,), section in section_events.items():
        sections[f"{section.fields['course_id']}/{section_id}"] = _row(
            section, section.fields["workflow_state"], "section"
        )

    enrollments: dict[str, Row] = {}
    for (enrollment_id,), enrollment in enrollment_events.items():
        dates = state_events.get((enrollment_id,))
        its_section = section_events.get((enrollment.fields["course_section_id"],))

        course_id = own_course_id = enrollment.fields["course_id"]
        if its_section and its_section.time >= enrollment.time:
            course_id = its_section.fields["course_id"]
        its_course = course_events.get((course_id,))

        state, reason = _enrollment_state(enrollment, dates, its_section, its_course)
        shaped_by = [enrollment]
        if its_section and course_id != own_course_id:
            shaped_by.append(its_section)
        if dates and reason == "dates":
            shaped_by.append(dates)
        if its_section and reason == "section_deleted":
            shaped_by.append(its_section)
        if its_course and reason in ("course_deleted", "course_completed"):
            shaped_by.append(its_course)
        enrollments[f"{course_id}/{enrollment_id}"] = _row(
            enrollment, state, reason, *shaped_by
        ) | {"course_id": course_id}

    groups: dict[str, Row] = {}
    for (group_id,), group in group_events.items():
        its_course = _course_of(group, course_events)
        if its_course and its_course.fields["workflow_state"] == "deleted":
            row = _row(group, "deleted", "course_deleted", its_course)
        else:
            row = _row(group, group.fields["workflow_state"], "group")
        groups[f"{_context(group)}/{group_id}"] = row

    memberships: dict[str, Row] = {}
    # In the order of their versions, so that the latest of those that have one key is the one that
    # stays.
    for (membership_id, group_id), membership in sorted(
        membership_events.items(), key=lambda item: item[1].version
    ):
        its_group = group_events.get((group_id,))
        if its_group is None:
            continue
        its_course = _course_of(its_group, course_events)
        if its_course and its_course.fields["workflow_state"] == "deleted":
            row = _row(membership, "deleted", "course_deleted", its_course)
        elif its_group.fields["workflow_state"] == "deleted":
            row = _row(membership, "deleted", "group_deleted", its_group)
        else:
            row = _row(membership, membership.fields["workflow_state"], "membership")
        context = {field: its_group.fields[field] for field in ("context_type", "context_id")}
        memberships[f"{_context(its_group)}/{membership_id}"] = row | context

    users: dict[str, Row] = {}
    for (user_id,), user in user_events.items():
        users[user_id] = _row(user, user.fields["workflow_state"], "user")

    return {
        "courses": courses,
        "sections": sections,
        "enrollments": enrollments,
        "groups": groups,
        "memberships": memberships,
        "users": users,
    }


def _enrollment_state(
    enrollment: Event, dates: Event | None, section: Event | None, course: Event | None
) -> tuple[str, str]:
    """The state of an enrollment, and the reason for it."""
    own = enrollment.fields["workflow_state"]
    if own in ("rejected", "deleted") and not (dates and dates.time > enrollment.time):
        return own, "enrollment"

    if dates and (dates.time >= enrollment.time or (own, dates.fields["state"]) in STATE_BY_DATES):
        state, reason = dates.fields["state"], "dates"
    else:
        state, reason = own, "enrollment"

    if section and section.fields["workflow_state"] == "deleted":
        return "deleted", "section_deleted"
    if course and course.fields["workflow_state"] == "deleted":
        return "deleted", "course_deleted"
    if course and course.fields["workflow_state"] == "completed" and state in ENDED_BY_THE_COURSE:
        return "completed", "course_completed"
    return state, reason


def _course_of(group: Event, course_events: dict[tuple[str, ...], Event]) -> Event | None:
    """The course of a group, if it has one and it is known."""
    return (
        course_events.get((group.fields["context_id"],))
        if group.fields["context_type"] == "Course"
        else None
    )


def _context(group: Event) -> str:
    """What a group and its memberships live under."""
    context_id: str = group.fields["context_id"]
    return context_id if group.fields["context_type"] == "Course" else f"account:{context_id}"


def _row(event: Event, state: str, reason: str, *shaped_by: Event) -> Row:
    """The row of a register's event, as of the latest of the events that shaped it: its own,
    always, and others.
    """
    latest = max(each.time for each in (event, *shaped_by))
    return event.fields | {"state": state, "state_reason": reason, "as_of": written_time(latest)}


def _latest(events: Iterable[Event], family: str, *ids: str) -> dict[tuple[str, ...], Event]:
    """The registers of a family, by the ids that tell them apart: of each the event with the
    greatest version.
    """
    registers: dict[tuple[str, ...], list[Event]] = defaultdict(list)
    for event in events:
        if event.family == family:
            registers[tuple(event.fields[field] for field in ids)].append(event)
    return {
        key: max(register, key=lambda event: event.version) for key, register in registers.items()
    }


def read_event(name: str, value: bytes, shard: int | None) -> Event | None:
    """A typed event, read; None when rosters have no use for it.

    Raises:
        ValueError: it is not what the router would have put on its typed topic.
    """
    outcome = _pipeline(shard)(value)
    if not isinstance(outcome, Routed) or outcome.event_type.name != name:
        raise ValueError(f"no typed event {name}: {outcome}")
    family, _, kind = name.rpartition("_")
    if family not in FAMILIES:
        return None
    event = orjson.loads(value)
    metadata = event["metadata"] if "metadata" in event else event["attributes"]
    body = event["body"]

    its_shard = shard_of(metadata.get("root_account_id")) or shard
    fields = {}
    for field, is_id in _schema_fields(family).items():
        if body.get(field) is not None:
            fields[field] = normal_id(body[field], its_shard) if is_id else body[field]
    # a number such as 2.1070000000000001e16: valid by its schema, and no id
    if None in fields.values():
        return None
    if family == "group" and fields["context_type"] not in ("Course", "Account"):
        return None

    event_time = _microseconds(metadata["event_time"])
    updated_at = _microseconds(body.get("updated_at"))
    assert event_time is not None, "the router lets no such event pass"
    ce_id = dict(outcome.headers)["ce_id"]
    assert ce_id is not None
    return Event(
        family,
        Version(
            event_time, kind == "updated", updated_at is not None, updated_at or 0, ce_id.decode()
        ),
        fields,
    )


@cache
def _schema_fields(family: str) -> dict[str, bool]:
    """The fields that the schema of a body names, and whether they hold the id of an entity of
    Canvas.
    """
    properties = orjson.loads((_SCHEMAS / f"{family}.json").read_bytes())["properties"]
    return {
        field: schema.get("$ref", "").endswith(("#/$defs/id", "#/$defs/nullable_id"))
        for field, schema in properties.items()
    }


@cache
def _pipeline(shard: int | None) -> Pipeline:
    return Pipeline(load_validators(), shard=shard)


def _microseconds(written: object) -> int | None:
    """Whole microseconds since 1970, exactly; None when nothing is written, or no time."""
    instant = parse_time(written)
    # Not the float that the instant has too: it is not exact to the microsecond after 2242.
    return (
        None
        if instant is None
        else (datetime.fromisoformat(instant.rfc3339) - _EPOCH) // timedelta(microseconds=1)
    )


def written_time(microseconds: int) -> str:
    """A time as rows have it: in UTC, cut to milliseconds."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
