"""What rosters must come to: of each entity the latest event that was delivered, and the rules of rosters applied to these.

Written on its own, apart from the code that makes rosters, so that the one can judge the other.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.canvas.families import BODIES, Kind
from app.canvas.simulation.bodies import Body
from app.canvas.simulation.canvas import Emitted, EntityKey, Version
from app.events.ids import normal_id

Row = dict[str, Any]
Rosters = dict[str, dict[str, Row]]

RELATIONS = ("courses", "sections", "enrollments", "groups", "memberships")

_TRACKED = frozenset({"course", "course_section", "enrollment", "enrollment_state", "group", "group_membership"})
_IDS = {family: frozenset(name for name, field in BODIES[family].items() if field.kind is Kind.ID) for family in _TRACKED}

_BY_DATES = frozenset({("active", "pending_active"), ("active", "completed"), ("invited", "pending_invited"), ("invited", "completed")})
"""Workflow state and state that go together although the workflow state is the newer one."""

_ENDS_WITH_COURSE = frozenset({"active", "invited", "creation_pending", "pending_active", "pending_invited"})


class _Register(NamedTuple):
    """The latest event of an entity."""

    version: Version
    body: Body

    @property
    def time(self) -> int:
        """Its event_time in microseconds."""
        return self.version[0]


class Truth:
    """Keeps the latest delivered event of each entity."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._registers: defaultdict[str, dict[EntityKey, _Register]] = defaultdict(dict)

    def take(self, event: Emitted) -> None:
        """An event was delivered."""
        if event.register not in _TRACKED:
            return
        register = self._registers[event.register]
        known = register.get(event.key)
        if known is None or event.version > known.version:
            register[event.key] = _Register(event.version, event.body)

    def rosters(self) -> Rosters:
        """All rows by relation and record key."""
        rosters: Rosters = {relation: {} for relation in RELATIONS}
        self._courses(rosters["courses"])
        self._sections(rosters["sections"])
        self._enrollments(rosters["enrollments"])
        self._groups(rosters["groups"])
        self._memberships(rosters["memberships"])
        return rosters

    def _row(self, family: str, body: Body) -> Row:
        ids, known = _IDS[family], BODIES[family]
        return {name: normal_id(value, self._shard) if name in ids else value for name, value in body.items() if value is not None and name in known}

    def _course(self, course_id: str) -> tuple[str | None, int]:
        """A course's workflow state and the time at which it was told; None: not known."""
        known = self._registers["course"].get(course_id)
        return (None, 0) if known is None else (known.body["workflow_state"], known.time)

    def _courses(self, rows: dict[str, Row]) -> None:
        for known in self._registers["course"].values():
            row = self._row("course", known.body)
            rows[row["course_id"]] = row | {"state": row["workflow_state"], "state_reason": "course", "as_of": _written(known.time)}

    def _sections(self, rows: dict[str, Row]) -> None:
        for known in self._registers["course_section"].values():
            row = self._row("course_section", known.body)
            row |= {"state": row["workflow_state"], "state_reason": "section", "as_of": _written(known.time)}
            rows[f"{row['course_id']}/{row['course_section_id']}"] = row

    def _enrollments(self, rows: dict[str, Row]) -> None:
        sections, states = self._registers["course_section"], self._registers["enrollment_state"]
        for key, known in self._registers["enrollment"].items():
            row, shaped = self._row("enrollment", known.body), known.time
            section = sections.get(row["course_section_id"])
            if section is not None and section.time >= known.time:
                course_id = normal_id(section.body["course_id"], self._shard)
                if course_id != row["course_id"]:
                    row["course_id"], shaped = course_id, max(shaped, section.time)
            state, reason, at = _state(row["workflow_state"], known.time, states.get(key))
            final = reason == "enrollment" and state in ("rejected", "deleted") and state == row["workflow_state"] and not at > known.time
            course, course_at = self._course(row["course_id"])
            if not final:
                if section is not None and section.body["workflow_state"] == "deleted":
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
            row, shaped = self._row("group", known.body), known.time
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
            row, shaped = self._row("group_membership", known.body), known.time
            group = groups.get(row["group_id"])
            if group is None:
                continue
            context = self._row("group", group.body)
            row |= {"context_type": context["context_type"], "context_id": context["context_id"]}
            state, reason = row["workflow_state"], "membership"
            course, course_at = self._course(row["context_id"]) if row["context_type"] == "Course" else (None, 0)
            if course == "deleted":
                state, reason, shaped = "deleted", "course_deleted", max(shaped, course_at)
            elif group.body["workflow_state"] == "deleted":
                state, reason, shaped = "deleted", "group_deleted", max(shaped, group.time)
            row |= {"state": state, "state_reason": reason, "as_of": _written(shaped)}
            record = f"{_place(row)}/{row['group_membership_id']}"
            if record not in versions or known.version > versions[record]:
                rows[record], versions[record] = row, known.version


def _state(workflow_state: str, told: int, state: _Register | None) -> tuple[str, str, int]:
    """An enrollment's state by itself: the state, the reason, and the time of the event that gave it."""
    if state is None or (workflow_state in ("rejected", "deleted") and not state.time > told):
        return workflow_state, "enrollment", told
    by_dates: str = state.body["state"]
    if state.time >= told or (workflow_state, by_dates) in _BY_DATES:
        return by_dates, "dates", state.time
    return workflow_state, "enrollment", told


def _place(row: Row) -> str:
    context: str = row["context_id"]
    return context if row["context_type"] == "Course" else f"account:{context}"


def _written(us: int) -> str:
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us // 1000 % 1000:03d}Z"
