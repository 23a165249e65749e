"""Changes of a course as sentences. Pure, except that names come from the replica."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rollcall.serve.page.courses import names_of_people, names_of_sections
from rollcall.serve.page.labels import ROLE_LABELS
from rollcall.serve.replica.feed import Change

Row = Mapping[str, Any]

_WITHOUT_SENTENCE = frozenset(
    {
        "as_of",
        "updated_at",
        "created_at",
        "enrollment_state",
        "course_uuid",
        "user_uuid",
        "uuid",
        "sis_batch_id",
        "workflow_state",
        "snapshot_at",
        "history",
    }
)
"""Columns whose change alone makes no sentence. The state of a row is in ``state``."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of people and sections by id."""

    people: Mapping[int, str] = field(default_factory=dict)
    sections: Mapping[int, str] = field(default_factory=dict)

    def person(self, row: Row) -> str:
        """Name of a row's user."""
        return (
            self.people.get(row["user_id"])
            or _text(row.get("user_name"))
            or f"user {row['user_id']}"
        )

    def section(self, section_id: Any) -> str:
        """A section's name."""
        return self.sections.get(section_id) or f"section {section_id}"


@dataclass(frozen=True, slots=True)
class AffectedRows:
    """The part of a roster that changes affect."""

    enrollments: frozenset[int]
    users: frozenset[int]
    """Users whose groups have changed: all their enrollments may look different."""
    beyond: bool
    """The course, a section or a group has changed: any row may look different."""


def names_for(db: sqlite3.Connection, course: int, changes: Iterable[Change]) -> Names:
    """The names in the sentences about changes of a course."""
    rows = [row for change in changes for row in (change.before, change.after) if row is not None]
    users = {row["user_id"] for row in rows if row.get("user_id") is not None}
    sections = {
        row["course_section_id"] for row in rows if row.get("course_section_id") is not None
    }
    return Names(names_of_people(db, course, users), names_of_sections(db, sections))


def affected_rows(changes: Iterable[Change]) -> AffectedRows:
    """The rows that changes affect."""
    enrollments: set[int] = set()
    users: set[int] = set()
    beyond = False
    for change in changes:
        row = change.after or change.before or {}
        if change.relation == "enrollments":
            enrollments.add(row["enrollment_id"])
        elif change.relation == "memberships":
            users |= {
                found["user_id"]
                for found in (change.before, change.after)
                if found is not None and found["user_id"] is not None
            }
        else:
            beyond = True
    return AffectedRows(frozenset(enrollments), frozenset(users), beyond)


def change_items(changes: Iterable[Change], course: int, names: Names) -> list[dict[str, Any]]:
    """Changes of a course as sentences, in their order; without those that make no sentence."""
    items = []
    for change in changes:
        before, after = (
            row if row is not None and _is_of(row, course) else None
            for row in (change.before, change.after)
        )
        sentence = (
            _SENTENCES[change.relation](before, after, names)
            if change.relation in _SENTENCES and (before or after)
            else None
        )
        if sentence is not None:
            moment = (
                datetime.fromtimestamp(change.at, UTC)
                .isoformat(timespec="seconds")
                .replace("+00:00", "Z")
            )
            items.append(
                {
                    "number": change.number,
                    "at": moment,
                    "kind": _kind(change.relation, before, after),
                    "subject": sentence[0],
                    "text": sentence[1],
                }
            )
    return items


def _is_of(row: Row, course: int) -> bool:
    return (
        row.get("course_id") == course
        if "context_type" not in row
        else (row["context_type"], row["context_id"]) == ("Course", course)
    )


def _kind(relation: str, before: Row | None, after: Row | None) -> str:
    if relation == "enrollments" and before is None:
        return "arrival"
    return "departure" if after is None else "change"


def _enrollment(before: Row | None, after: Row | None, names: Names) -> tuple[str, str] | None:
    if after is None:
        assert before is not None
        return names.person(
            before
        ), "is no longer in this course: section or enrollment went to another one"
    who = names.person(after)
    if before is None:
        role = ROLE_LABELS.get(after["type"], _text(after["type"]))
        return (
            who,
            f"is here now: {role}, {names.section(after['course_section_id'])}, {after['state']} "
            f"({after['state_reason']})",
        )
    parts = _state(before, after)
    if before["course_section_id"] != after["course_section_id"]:
        parts.append(
            f"{names.section(before['course_section_id'])} \N{RIGHTWARDS ARROW} "
            f"{names.section(after['course_section_id'])}"
        )
    if before["type"] != after["type"]:
        parts.append(
            f"{ROLE_LABELS.get(before['type'], before['type'])} \N{RIGHTWARDS ARROW} "
            f"{ROLE_LABELS.get(after['type'], after['type'])}"
        )
    if before["user_name"] != after["user_name"]:
        parts.append(
            f"name in the enrollment: {_text(before['user_name'])} \N{RIGHTWARDS ARROW} "
            f"{_text(after['user_name'])}"
        )
    return _joined(who, parts, before, after, {"course_section_id", "type", "user_name"})


def _section(before: Row | None, after: Row | None, _names: Names) -> tuple[str, str] | None:
    return _part("Section", "name", before, after)


def _group(before: Row | None, after: Row | None, _names: Names) -> tuple[str, str] | None:
    return _part("Group", "group_name", before, after)


def _course(before: Row | None, after: Row | None, _names: Names) -> tuple[str, str] | None:
    return _part("The course", "name", before, after)


def _part(what: str, name: str, before: Row | None, after: Row | None) -> tuple[str, str] | None:
    row = after or before
    assert row is not None
    subject = what if what == "The course" else f"{what} {_text(row[name])}"
    if after is None:
        return subject, "is no longer in this course"
    if before is None:
        return subject, f"is here now: {after['state']} ({after['state_reason']})"
    parts = _state(before, after)
    if before[name] != after[name]:
        parts.append(f"name: {_text(before[name])} \N{RIGHTWARDS ARROW} {_text(after[name])}")
    return _joined(subject, parts, before, after, {name})


def _membership(before: Row | None, after: Row | None, names: Names) -> tuple[str, str] | None:
    row = after or before
    assert row is not None
    who, group = names.person(row), f"group {_text(row['group_name']) or row['group_id']}"
    if after is None:
        return who, f"{group}: is no longer of this course"
    if before is None:
        return who, f"{group}: {after['state']} ({after['state_reason']})"
    parts = _state(before, after)
    return (who, f"{group}: {'; '.join(parts)}") if parts else None


_SENTENCES = {
    "enrollments": _enrollment,
    "sections": _section,
    "groups": _group,
    "courses": _course,
    "memberships": _membership,
}


def _state(before: Row, after: Row) -> list[str]:
    if before["state"] != after["state"]:
        return [
            f"{before['state']} \N{RIGHTWARDS ARROW} {after['state']} ({after['state_reason']})"
        ]
    if before["state_reason"] != after["state_reason"]:
        return [
            f"still {after['state']}, because of {after['state_reason']} instead of "
            f"{before['state_reason']}"
        ]
    return []


def _joined(
    subject: str, parts: list[str], before: Row, after: Row, mentioned: set[str]
) -> tuple[str, str] | None:
    others = sorted(
        name
        for name in after
        if name not in mentioned | _WITHOUT_SENTENCE | {"state", "state_reason"}
        and before.get(name) != after[name]
    )
    if others:
        parts.append(f"changed: {', '.join(others)}")
    return (subject, "; ".join(parts)) if parts else None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
