"""Expected rosters: the rules of rosters, applied to the latest delivered event of each entity.

It uses no code of the roster stages, because tests compare the two.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from rollcall.events.ids import normal_id, shard_of
from rollcall.events.publishing import EVENT_ID_DIGITS
from rollcall.events.times import parse_microseconds
from rollcall.sandbox.canvas.families import BODIES, body_name
from rollcall.sandbox.canvas.fields import FieldKind
from rollcall.sandbox.canvas.simulation.bodies import Body
from rollcall.sandbox.canvas.simulation.canvas import NO_TIME, Emitted, EntityKey, Version

Row = dict[str, Any]
Rosters = dict[str, dict[str, Row]]

RELATIONS = ("courses", "sections", "enrollments", "groups", "memberships", "users")

_KEYS: Mapping[str, tuple[str, ...]] = {
    "course": ("course_id",),
    "course_section": ("course_section_id",),
    "enrollment": ("enrollment_id",),
    "enrollment_state": ("enrollment_id",),
    "group": ("group_id",),
    "group_membership": ("group_membership_id", "group_id"),
    "user": ("user_id",),
}
"""Ids that identify an entity, by the event families that rosters use."""

_IDS = {
    family: frozenset(name for name, field in BODIES[family].items() if field.kind is FieldKind.ID)
    for family in _KEYS
}
_CONTEXTS = ("Course", "Account")

_BY_DATES = frozenset(
    {
        ("active", "pending_active"),
        ("active", "completed"),
        ("invited", "pending_invited"),
        ("invited", "completed"),
    }
)
"""Pairs of workflow state and enrollment state that hold although the workflow state is newer."""

_ENDS_WITH_COURSE = frozenset(
    {"active", "invited", "creation_pending", "pending_active", "pending_invited"}
)


class _Register(NamedTuple):
    """The latest event of an entity."""

    version: Version
    row: Row
    """Known fields of its body, without nulls, with ids in normal form."""

    @property
    def time(self) -> int:
        """Its event_time in microseconds."""
        return self.version[0]


class Truth:
    """Keeps the latest delivered event of each entity.

    Args:
        shard: shard of local ids in events without a root account; None: unknown.
    """

    def __init__(self, shard: int | None) -> None:
        self._shard = shard
        self._registers: defaultdict[str, dict[EntityKey, _Register]] = defaultdict(dict)

    def add(self, event: Emitted) -> None:
        """Add a delivered event of the simulation."""
        if event.family in _KEYS:
            self._add(event.family, event.key, event.version, event.body, self._shard)

    def add_event(self, metadata: Mapping[str, Any], body: Body) -> None:
        """Add a delivered valid event from any source.

        Args:
            metadata: the event's metadata (or attributes).
            body: the event's body.
        """
        name = metadata["event_name"]
        family = body_name(name)
        # rosters have only groups of courses and accounts
        if family not in _KEYS or (family == "group" and body["context_type"] not in _CONTEXTS):
            return
        shard = shard_of(metadata.get("root_account_id")) or self._shard
        ids = [normal_id(body[field], shard) or "" for field in _KEYS[family]]
        time, updated = (
            parse_microseconds(metadata["event_time"]),
            parse_microseconds(body.get("updated_at")),
        )
        assert time is not None
        canonical = orjson.dumps({"metadata": metadata, "body": body}, option=orjson.OPT_SORT_KEYS)
        ce_id = hashlib.sha256(canonical).hexdigest()[:EVENT_ID_DIGITS]
        version = (
            time,
            int(name.endswith("_updated")),
            NO_TIME if updated is None else updated,
            ce_id,
        )
        self._add(family, ids[0] if len(ids) == 1 else (ids[0], ids[1]), version, body, shard)

    def _add(
        self, family: str, key: EntityKey, version: Version, body: Body, shard: int | None
    ) -> None:
        register = self._registers[family]
        known = register.get(key)
        if known is None or version > known.version:
            ids, fields = _IDS[family], BODIES[family]
            row = {
                name: normal_id(value, shard) if name in ids else value
                for name, value in body.items()
                if value is not None and name in fields
            }
            register[key] = _Register(version, row)

    def rosters(self) -> Rosters:
        """All rows by relation and record key."""
        rosters: Rosters = {relation: {} for relation in RELATIONS}
        for known in self._registers["course"].values():
            rosters["courses"][known.row["course_id"]] = _own_state(known, "course")
        for known in self._registers["course_section"].values():
            row = _own_state(known, "section")
            rosters["sections"][f"{row['course_id']}/{row['course_section_id']}"] = row
        for known in self._registers["user"].values():
            rosters["users"][known.row["user_id"]] = _own_state(known, "user")
        self._enrollments(rosters["enrollments"])
        self._groups(rosters["groups"])
        self._memberships(rosters["memberships"])
        return rosters

    def _course(self, course_id: str) -> tuple[str | None, int]:
        """A course's workflow state, and the time of its event; None and 0 without an event."""
        known = self._registers["course"].get(course_id)
        return (None, 0) if known is None else (known.row["workflow_state"], known.time)

    def _enrollments(self, rows: dict[str, Row]) -> None:
        sections, states = self._registers["course_section"], self._registers["enrollment_state"]
        for key, known in self._registers["enrollment"].items():
            row, as_of = dict(known.row), known.time
            section = sections.get(row["course_section_id"])
            if section is not None and section.time >= known.time:
                course_id = section.row["course_id"]
                if course_id != row["course_id"]:
                    row["course_id"], as_of = course_id, max(as_of, section.time)
            state, reason, at = _state(row["workflow_state"], known.time, states.get(key))
            final = (
                reason == "enrollment"
                and state in ("rejected", "deleted")
                and state == row["workflow_state"]
                and not at > known.time
            )
            course, course_at = self._course(row["course_id"])
            if not final:
                if section is not None and section.row["workflow_state"] == "deleted":
                    state, reason, at = "deleted", "section_deleted", section.time
                elif course == "deleted":
                    state, reason, at = "deleted", "course_deleted", course_at
                elif course == "completed" and state in _ENDS_WITH_COURSE:
                    state, reason, at = "completed", "course_completed", course_at
            if reason != "enrollment":
                as_of = max(as_of, at)
            row = _with_state(row, state, reason, as_of)
            rows[f"{row['course_id']}/{row['enrollment_id']}"] = row

    def _groups(self, rows: dict[str, Row]) -> None:
        for known in self._registers["group"].values():
            row, as_of = dict(known.row), known.time
            state, reason = row["workflow_state"], "group"
            if row["context_type"] == "Course":
                course, course_at = self._course(row["context_id"])
                if course == "deleted":
                    state, reason, as_of = "deleted", "course_deleted", max(as_of, course_at)
            row = _with_state(row, state, reason, as_of)
            rows[f"{_place(row)}/{row['group_id']}"] = row

    def _memberships(self, rows: dict[str, Row]) -> None:
        groups = self._registers["group"]
        versions: dict[str, Version] = {}
        for known in self._registers["group_membership"].values():
            row, as_of = dict(known.row), known.time
            group = groups.get(row["group_id"])
            if group is None:
                continue
            row |= {name: group.row[name] for name in ("context_type", "context_id")}
            state, reason = row["workflow_state"], "membership"
            course, course_at = (
                self._course(row["context_id"]) if row["context_type"] == "Course" else (None, 0)
            )
            if course == "deleted":
                state, reason, as_of = "deleted", "course_deleted", max(as_of, course_at)
            elif group.row["workflow_state"] == "deleted":
                state, reason, as_of = "deleted", "group_deleted", max(as_of, group.time)
            row = _with_state(row, state, reason, as_of)
            record = f"{_place(row)}/{row['group_membership_id']}"
            if record not in versions or known.version > versions[record]:
                rows[record], versions[record] = row, known.version


def _own_state(known: _Register, reason: str) -> Row:
    """A row whose state is its own workflow state."""
    return _with_state(known.row, known.row["workflow_state"], reason, known.time)


def _with_state(row: Row, state: str, reason: str, as_of: int) -> Row:
    return row | {"state": state, "state_reason": reason, "as_of": _rendered(as_of)}


def _state(workflow_state: str, changed_at: int, state: _Register | None) -> tuple[str, str, int]:
    """State of an enrollment apart from course and section: state, reason, time of the event."""
    by_dates: str | None = None if state is None else state.row.get("state")
    if (
        state is None
        or by_dates is None
        or (workflow_state in ("rejected", "deleted") and not state.time > changed_at)
    ):
        return workflow_state, "enrollment", changed_at
    if state.time >= changed_at or (workflow_state, by_dates) in _BY_DATES:
        return by_dates, "dates", state.time
    return workflow_state, "enrollment", changed_at


def _place(row: Row) -> str:
    context: str = row["context_id"]
    return context if row["context_type"] == "Course" else f"account:{context}"


def _rendered(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us // 1000 % 1000:03d}Z"
