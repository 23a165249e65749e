"""The oracle: a simple implementation of the rosters, with which tests compare the stages.

It takes all events at once, keeps the event with the greatest version for each register (the
events of one family about one entity, or the snapshots of it), and makes the rows from them. It has
no state between events, and does not depend on their order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from rollcall.events.ids import normal_id, shard_of
from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.times import parse_time
from tests.events.schemas.events import VALIDATORS

Row = dict[str, Any]
Rosters = dict[str, dict[str, Row]]
"""Rows by relation and record key, without tombstones."""

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
"""Event families that rosters use: ``<family>_created`` and ``<family>_updated``."""

SNAPSHOTS = {
    "rollcall_course_snapshot": "course",
    "rollcall_section_snapshot": "course_section",
    "rollcall_enrollment_snapshot": "enrollment",
    "rollcall_group_snapshot": "group",
    "rollcall_membership_snapshot": "group_membership",
    "rollcall_user_snapshot": "user",
}
"""Families of the entities of snapshots."""

REQUIRED_OF_SNAPSHOTS = {
    "course": ("course_id", "workflow_state"),
    "course_section": ("course_section_id", "course_id", "workflow_state"),
    "enrollment": (
        *("enrollment_id", "course_id", "course_section_id", "user_id", "type"),
        "workflow_state",
    ),
    "group": ("group_id", "context_type", "context_id", "workflow_state"),
    "group_membership": ("group_membership_id", "group_id", "user_id", "workflow_state"),
    "user": ("user_id",),
}
"""Fields without which a snapshot is no part of a row."""

DESCRIPTIONS = (
    ("user_id", "user_name"),
    ("user_id", "user_uuid"),
    ("course_id", "course_uuid"),
    ("account_id", "account_uuid"),
    ("group_category_id", "group_category_name"),
)
"""An id, and a field that describes its entity."""

STATES_BY_DATES = {
    ("active", "pending_active"),
    ("active", "completed"),
    ("invited", "pending_invited"),
    ("invited", "completed"),
}
"""Pairs of workflow_state and state in which only dates changed the state: even an older state
applies then.
"""

ENDED_BY_COURSE = {"active", "invited", "creation_pending", "pending_active", "pending_invited"}
"""States that become ``completed`` when the course is concluded."""

_SCHEMAS = Path(__file__).parents[2] / "schemas" / "bodies"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TypedEvent(NamedTuple):
    """A record of a typed topic."""

    name: str
    """The event_name."""

    value: bytes


class Version(NamedTuple):
    """Order of two events, compared field by field."""

    event_time: int
    """Microseconds since 1970."""

    rank: int
    """1: updated, 0: created, -1: seen."""
    has_updated_at: bool
    updated_at: int
    """Microseconds since 1970; 0 without one."""

    ce_id: str


class Event(NamedTuple):
    """A decoded typed event, or what an entity is by its event and its snapshot."""

    family: str
    version: Version
    fields: Row
    """Fields of the body that its schema has, without nulls, with ids in normal form."""
    snapshot: Row | None = None
    """Of a snapshot, the fields with nulls, and ``present``."""
    reason: str = ""
    """Of an entity as its snapshot shows it: ``snapshot`` or ``absent``."""
    seen: Mapping[str, Any] = MappingProxyType({})
    """Of an entity with a snapshot: the fields at the end of its row."""

    @property
    def time(self) -> int:
        """The event_time in microseconds since 1970."""
        return self.version.event_time


def rosters(events: Iterable[tuple[str, bytes]], shard: int | None = None) -> Rosters:
    """The rosters of a set of typed events.

    Args:
        events: event_name and value of each event.
        shard: shard of local ids in events without a root account; None: unknown.

    Raises:
        ValueError: the router would not write an event to the typed topic.
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
        sources = [enrollment]
        if its_section and course_id != own_course_id:
            sources.append(its_section)
        if dates and reason == "dates":
            sources.append(dates)
        if its_section and reason == "section_deleted":
            sources.append(its_section)
        if its_course and reason in ("course_deleted", "course_completed"):
            sources.append(its_course)
        enrollments[f"{course_id}/{enrollment_id}"] = _row(enrollment, state, reason, *sources) | {
            "course_id": course_id
        }

    groups: dict[str, Row] = {}
    for (group_id,), group in group_events.items():
        its_course = _course_of(group, course_events)
        if its_course and its_course.fields["workflow_state"] == "deleted":
            row = _row(group, "deleted", "course_deleted", its_course)
        else:
            row = _row(group, group.fields["workflow_state"], "group")
        groups[f"{_context(group)}/{group_id}"] = row

    memberships: dict[str, Row] = {}
    # in order of versions: the latest of several rows with one key replaces the others
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
    """The state of an enrollment, and its reason."""
    own = enrollment.fields["workflow_state"]
    if dates and not dates.fields.get("state"):
        dates = None
    if own in ("rejected", "deleted") and not (dates and dates.time > enrollment.time):
        return own, "enrollment"

    if dates and (dates.time >= enrollment.time or (own, dates.fields["state"]) in STATES_BY_DATES):
        state, reason = dates.fields["state"], "dates"
    else:
        state, reason = own, "enrollment"

    if section and section.fields["workflow_state"] == "deleted":
        return "deleted", "section_deleted"
    if course and course.fields["workflow_state"] == "deleted":
        return "deleted", "course_deleted"
    if course and course.fields["workflow_state"] == "completed" and state in ENDED_BY_COURSE:
        return "completed", "course_completed"
    return state, reason


def _course_of(group: Event, course_events: dict[tuple[str, ...], Event]) -> Event | None:
    """The course of a group, if it has one with an event."""
    return (
        course_events.get((group.fields["context_id"],))
        if group.fields["context_type"] == "Course"
        else None
    )


def _context(group: Event) -> str:
    """First part of the record keys of a group and its memberships."""
    context_id: str = group.fields["context_id"]
    return context_id if group.fields["context_type"] == "Course" else f"account:{context_id}"


def _row(event: Event, state: str, reason: str, *sources: Event) -> Row:
    """A row of an entity. ``as_of`` is the time of the latest event or snapshot that the row
    depends on.

    Args:
        reason: if the entity's snapshot does not count.
    """
    latest = max(each.time for each in (event, *sources))
    if reason == event.family.removeprefix("course_").removeprefix("group_"):
        reason = event.reason or reason
    return event.fields | {
        "state": state,
        "state_reason": reason,
        "as_of": row_time(latest),
        **event.seen,
    }


def _latest(events: Iterable[Event], family: str, *ids: str) -> dict[tuple[str, ...], Event]:
    """The entities of a family by their ids: of each the event with the greatest version, the
    snapshot with the greatest version, and of the two the later one.
    """
    registers: dict[tuple[str, ...], list[Event]] = defaultdict(list)
    for event in events:
        if event.family == family:
            registers[tuple(event.fields[field] for field in ids)].append(event)
    return {key: _entity(register) for key, register in registers.items()}


def _entity(register: list[Event]) -> Event:
    told = [each for each in register if each.snapshot is None]
    seen = [each for each in register if each.snapshot is not None]
    event = max(told, key=lambda each: each.version, default=None)
    if not seen:
        assert event is not None
        return event
    last = max(seen, key=lambda each: each.version)
    assert last.snapshot is not None
    history = {"snapshot": {"event_time": row_time(last.time), **last.snapshot}}
    if event is not None:
        history["event"] = {"event_time": row_time(event.time), **event.fields}
    end = {"snapshot_at": row_time(last.time), "history": history}
    if event is not None and event.time >= last.time:
        return event._replace(seen=end)

    stated = {name: value for name, value in last.snapshot.items() if name != "present"}
    left = dict(event.fields) if event is not None else {}
    for identity, description in DESCRIPTIONS:
        if identity in stated and stated[identity] != left.get(identity):
            left.pop(description, None)
    fields = {name: value for name, value in (left | stated).items() if value is not None}
    if last.family == "user" and not stated.get("workflow_state"):
        known = fields.get("workflow_state", "deleted")
        fields["workflow_state"] = "registered" if known == "deleted" else known
    return Event(
        last.family,
        last.version,
        fields,
        reason="snapshot" if last.snapshot["present"] else "absent",
        seen=end,
    )


def read_event(name: str, value: bytes, shard: int | None) -> Event | None:
    """Decode a typed event; None for an event that rosters do not use.

    Raises:
        ValueError: the router would not write it to the typed topic.
    """
    outcome = _pipeline(shard)(value)
    if not isinstance(outcome, Routed) or outcome.event_type.name != name:
        raise ValueError(f"no typed event {name}: {outcome}")
    family, _, kind = name.rpartition("_")
    if kind == "snapshot":
        family = SNAPSHOTS[name]
    elif family not in FAMILIES or kind not in ("created", "updated"):
        return None
    event = orjson.loads(value)
    metadata = event["metadata"] if "metadata" in event else event["attributes"]
    body = event["body"]

    event_shard = shard_of(metadata.get("root_account_id")) or shard
    fields = {}
    for field, is_id in _schema_fields(family).items():
        if body.get(field) is not None:
            fields[field] = normal_id(body[field], event_shard) if is_id else body[field]
    # a number such as 2.1070000000000001e16 is valid by its schema, but no id
    if None in fields.values():
        return None
    if kind == "snapshot" and not all(
        isinstance(fields.get(name), str) for name in REQUIRED_OF_SNAPSHOTS[family]
    ):
        return None
    if family == "group" and fields["context_type"] not in ("Course", "Account"):
        return None

    event_time = _microseconds(metadata["event_time"])
    updated_at = _microseconds(body.get("updated_at"))
    assert event_time is not None, "the router rejects such an event"
    ce_id = dict(outcome.headers)["ce_id"]
    assert ce_id is not None
    return Event(
        family,
        Version(
            event_time,
            {"created": 0, "updated": 1, "snapshot": -1}[kind],
            updated_at is not None,
            updated_at or 0,
            ce_id.decode(),
        ),
        fields,
        snapshot={"present": body["present"]}
        | {
            name: fields.get(name)
            for name in _schema_fields(family)
            if name in body and not (name == "workflow_state" and body[name] is None)
        }
        if kind == "snapshot"
        else None,
    )


@cache
def _schema_fields(family: str) -> dict[str, bool]:
    """Fields in the schema of a body, and whether they are ids of Canvas entities."""
    properties = orjson.loads((_SCHEMAS / f"{family}.json").read_bytes())["properties"]
    return {
        field: schema.get("$ref", "").endswith(("#/$defs/id", "#/$defs/nullable_id"))
        for field, schema in properties.items()
    }


@cache
def _pipeline(shard: int | None) -> Pipeline:
    return Pipeline(VALIDATORS, shard=shard)


def _microseconds(value: object) -> int | None:
    """Microseconds since 1970; None for a value that is no time."""
    instant = parse_time(value)
    # not from the instant's float, which has no exact microseconds after 2242
    return (
        None
        if instant is None
        else (datetime.fromisoformat(instant.rfc3339) - _EPOCH) // timedelta(microseconds=1)
    )


def row_time(microseconds: int) -> str:
    """A time in the format of rows: UTC, cut to milliseconds."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
