"""What rosters must come to: of each entity the latest event that was delivered, and the rules of
rosters applied to these.

Written on its own, apart from the code that makes rosters, so that the one can judge the other.
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
from rollcall.sandbox.canvas.families import BODIES, Kind, family_of
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
"""The families that rosters are made of, and the ids that tell their entities apart."""

_IDS = {
    family: frozenset(name for name, field in BODIES[family].items() if field.kind is Kind.ID)
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
"""Workflow state and state that go together although the workflow state is the newer one."""

_ENDS_WITH_COURSE = frozenset(
    {"active", "invited", "creation_pending", "pending_active", "pending_invited"}
)


class _Register(NamedTuple):
    """The latest event of an entity."""

    version: Version
    row: Row
    """What its body says of fields that are known, without nulls, ids in normal form."""

    @property
    def time(self) -> int:
        """Its event_time in microseconds."""
        return self.version[0]


class Truth:
    """Keeps the latest delivered event of each entity.

    Args:
        shard: of local ids in events that do not tell theirs; None: unknown.
    """

    def __init__(self, shard: int | None) -> None:
        self._shard = shard
        self._registers: defaultdict[str, dict[EntityKey, _Register]] = defaultdict(dict)

    def take(self, event: Emitted) -> None:
        """An event of the simulation was delivered."""
        if event.register in _KEYS:
            self._keep(event.register, event.key, event.version, event.body, self._shard)

    def take_event(self, metadata: Mapping[str, Any], body: Body) -> None:
        """Any valid event was delivered, whoever made it: what its JSON says of metadata (or
        attributes) and body.
        """
        name = metadata["event_name"]
        family = family_of(name)
        # A group of anything else belongs nowhere.
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
        self._keep(family, ids[0] if len(ids) == 1 else (ids[0], ids[1]), version, body, shard)

    def _keep(
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
        self._courses(rosters["courses"])
        self._sections(rosters["sections"])
        self._enrollments(rosters["enrollments"])
        self._groups(rosters["groups"])
        self._memberships(rosters["memberships"])
        self._users(rosters["users"])
        return rosters

    def _course(self, course_id: str) -> tuple[str | None, int]:
        """A course's workflow state and the time of its event; None if there is none."""
        known = self._registers["course"].get(course_id)
        return (None, 0) if known is None else (known.row["workflow_state"], known.time)

    def _courses(self, rows: dict[str, Row]) -> None:
        for known in self._registers["course"].values():
            row = known.row
            rows[row["course_id"]] = row | {
                "state": row["workflow_state"],
                "state_reason": "course",
                "as_of": _written(known.time),
            }

    def _sections(self, rows: dict[str, Row]) -> None:
        for known in self._registers["course_section"].values():
            row = known.row | {
                "state": known.row["workflow_state"],
                "state_reason": "section",
                "as_of": _written(known.time),
            }
            rows[f"{row['course_id']}/{row['course_section_id']}"] = row

    def _enrollments(self, rows: dict[str, Row]) -> None:
        sections, states = self._registers["course_section"], self._registers["enrollment_state"]
        for key, known in self._registers["enrollment"].items():
            row, shaped = dict(known.row), known.time
            section = sections.get(row["course_section_id"])
            if section is not None and section.time >= known.time:
                course_id = section.row["course_id"]
                if course_id != row["course_id"]:
                    row["course_id"], shaped = course_id, max(shaped, section.time)
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
                shaped = max(shaped, at)
            row |= {"state": state, "state_reason": reason, "as_of": _written(shaped)}
            rows[f"{row['course_id']}/{row['enrollment_id']}"] = row

    def _groups(self, rows: dict[str, Row]) -> None:
        for known in self._registers["group"].values():
            row, shaped = dict(known.row), known.time
            state, reason = row["workflow_state"], "group"
            if row["context_type"] == "Course":
                course, course_at = self._course(row["context_id"])
                if course == "deleted":
                    state, reason, shaped = "deleted", "course_deleted", max(shaped, course_at)
            row |= {"state": state, "state_reason": reason, "as_of": _written(shaped)}
            rows[f"{_place(row)}/{row['group_id']}"] = row

    def _memberships(self, rows: dict[str, Row]) -> None:
        groups = self._registers["group"]
        versions: dict[str, Version] = {}
        for known in self._registers["group_membership"].values():
            row, shaped = dict(known.row), known.time
            group = groups.get(row["group_id"])
            if group is None:
                continue
            row |= {name: group.row[name] for name in ("context_type", "context_id")}
            state, reason = row["workflow_state"], "membership"
            course, course_at = (
                self._course(row["context_id"]) if row["context_type"] == "Course" else (None, 0)
            )
            if course == "deleted":
                state, reason, shaped = "deleted", "course_deleted", max(shaped, course_at)
            elif group.row["workflow_state"] == "deleted":
                state, reason, shaped = "deleted", "group_deleted", max(shaped, group.time)
            row |= {"state": state, "state_reason": reason, "as_of": _written(shaped)}
            record = f"{_place(row)}/{row['group_membership_id']}"
            if record not in versions or known.version > versions[record]:
                rows[record], versions[record] = row, known.version

    def _users(self, rows: dict[str, Row]) -> None:
        for known in self._registers["user"].values():
            row = known.row
            rows[row["user_id"]] = row | {
                "state": row["workflow_state"],
                "state_reason": "user",
                "as_of": _written(known.time),
            }


def _state(workflow_state: str, changed_at: int, state: _Register | None) -> tuple[str, str, int]:
    """An enrollment's own state: the state, the reason, and the time of its event."""
    if state is None or (workflow_state in ("rejected", "deleted") and not state.time > changed_at):
        return workflow_state, "enrollment", changed_at
    by_dates: str = state.row["state"]
    if state.time >= changed_at or (workflow_state, by_dates) in _BY_DATES:
        return by_dates, "dates", state.time
    return workflow_state, "enrollment", changed_at


def _place(row: Row) -> str:
    context: str = row["context_id"]
    return context if row["context_type"] == "Course" else f"account:{context}"


def _written(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us // 1000 % 1000:03d}Z"
