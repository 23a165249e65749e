"""Courses and rosters for the page: queries on the replica, each from parameters to JSON values."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

from rollcall.errors import ConfigurationError
from rollcall.events.ids import SHARD_SIZE
from rollcall.rosters.context import parse_context
from rollcall.serve.page.labels import REASON_LABELS, ROLE_LABELS, history_text
from rollcall.serve.replica.derived import folded

MOST_COURSES = 50
MOST_PEOPLE = 500
"""Enrollments in one response."""

MOST_PARTS = 500
"""Sections, and groups, of a course in one response."""

_CURSOR = " "

_ENROLLMENTS = """
    SELECT e.enrollment_id AS id, e.user_id, coalesce(u.name, e.user_name) AS name,
           folded(coalesce(u.sortable_name, sortable(e.user_name), '')) AS sort,
           e.type, e.state, e.state_reason,
           e.course_section_id AS section_id, s.name AS section, e.as_of, e.history
    FROM roster_enrollments e
    LEFT JOIN roster_users u ON u.user_id = e.user_id
    LEFT JOIN roster_sections s
           ON s.course_id = e.course_id AND s.course_section_id = e.course_section_id
    WHERE e.course_id = ?
"""
_HIDDEN_MEMBERSHIP_STATES = ("deleted", "rejected")
"""States of memberships that are left out."""


def search_courses(
    db: sqlite3.Connection, text: str, shard: int | None, most: int = MOST_COURSES
) -> dict[str, Any]:
    """Courses with a text in their name, and courses with the text as id. All if it is empty.

    Args:
        text: upper and lower case are the same; ids may be global, local, or shard~local.
        shard: of local ids; None: any.
    """
    text = text.strip()
    ids = _ids(db, text, shard)[:most]
    named = "SELECT course_id, name, state, state_reason, as_of FROM roster_courses"
    found = [_course_row(db, course_id) for course_id in ids]
    condition, parameters = (
        ("WHERE instr(folded(name), ?) > 0", (folded(text),)) if text else ("", ())
    )
    by_name = _rows(
        db, f"{named} {condition} ORDER BY name, course_id LIMIT ?", (*parameters, most + 1)
    )
    found += [row for row in by_name if row["course_id"] not in ids]
    for row in found[:most]:
        row["active"] = db.execute(
            "SELECT count(*) FROM roster_enrollments WHERE course_id = ? AND state = 'active'",
            (row["course_id"],),
        ).fetchone()[0]
        row["course_id"] = str(row["course_id"])
        row["why"] = REASON_LABELS.get(row["state_reason"] or "", "")
    return {"courses": found[:most], "more": len(found) > most}


def read_course(
    db: sqlite3.Connection, course_id: int, after: str = "", most: int = MOST_PEOPLE
) -> dict[str, Any] | None:
    """A course with its sections, groups and people; None: the replica has no row of it.

    People are sorted by surname.

    Args:
        after: ``next`` of the previous response, for further people.
    """
    head = read_head(db, course_id)
    if head is None:
        return None
    people = _people(db, course_id, after, most)
    following = (
        f"{people[most - 1]['id']}{_CURSOR}{people[most - 1]['sort']}"
        if len(people) > most
        else None
    )
    return head | {"people": people[:most], "next": following}


def read_head(db: sqlite3.Connection, course_id: int) -> dict[str, Any] | None:
    """A course with its sections, its groups, and the number of people by role and state; None: the
    replica has no row of it.
    """
    sections = _rows(
        db,
        """
        SELECT course_section_id AS id, name, state, state_reason, nonxlist_course_id, as_of
        FROM roster_sections WHERE course_id = ? ORDER BY name, id LIMIT ?
        """,
        (course_id, MOST_PARTS),
    )
    groups = _rows(
        db,
        """
        SELECT g.group_id AS id, g.group_name AS name, g.group_category_name AS category,
               g.state, g.state_reason, g.as_of,
               (SELECT count(*) FROM roster_memberships m
                WHERE m.context_type = 'Course' AND m.context_id = g.context_id
                  AND m.group_id = g.group_id AND m.state = 'accepted') AS members
        FROM roster_groups g
        WHERE g.context_type = 'Course' AND g.context_id = ?
        ORDER BY g.group_category_name, g.group_name, g.group_id
        LIMIT ?
        """,
        (course_id, MOST_PARTS),
    )
    counts = _rows(
        db,
        "SELECT type, state, count(*) AS count FROM roster_enrollments WHERE course_id = ? GROUP "
        "BY type, state",
        (course_id,),
    )
    course = _course_row(db, course_id)
    if not (course["state"] or sections or groups or counts):
        return None
    for count in counts:
        count["role"] = ROLE_LABELS.get(count["type"], count["type"])
    for part in (*sections, *groups):
        part["why"] = REASON_LABELS.get(part["state_reason"], "")
        for name in ("id", "nonxlist_course_id"):
            if part.get(name) is not None:
                part[name] = str(part[name])
    return {
        **course,
        "course_id": str(course_id),
        "why": REASON_LABELS.get(course["state_reason"] or "", ""),
        "sections": sections,
        "groups": groups,
        "counts": counts,
    }


def read_people(
    db: sqlite3.Connection,
    course_id: int,
    enrollment_ids: Collection[int],
    user_ids: Collection[int],
) -> list[dict[str, Any]]:
    """Those of some enrollments, and of some users' enrollments, that are in a course now."""
    parameters = [*enrollment_ids, *user_ids]
    condition = (
        f"AND (e.enrollment_id IN ({_marks(enrollment_ids)}) OR e.user_id IN ({_marks(user_ids)}))"
    )
    return _rendered(
        db,
        course_id,
        _rows(db, f"{_ENROLLMENTS} {condition} ORDER BY sort, id", (course_id, *parameters)),
    )


def names_of_people(
    db: sqlite3.Connection, course_id: int, user_ids: Collection[int]
) -> dict[int, str]:
    """Names by user id: from the user's row, else from an enrollment in the course."""
    condition = f"user_id IN ({_marks(user_ids)})"
    enrolled = (
        f"SELECT user_id, user_name FROM roster_enrollments WHERE course_id = ? AND {condition}"
    )
    known = f"SELECT user_id, name FROM roster_users WHERE {condition}"
    names = dict(db.execute(enrolled, (course_id, *user_ids)).fetchall()) | dict(
        db.execute(known, tuple(user_ids)).fetchall()
    )
    return {user_id: name for user_id, name in names.items() if name}


def names_of_sections(db: sqlite3.Connection, section_ids: Collection[int]) -> dict[int, str]:
    """Names by section id."""
    known = (
        "SELECT course_section_id, name FROM roster_sections WHERE course_section_id IN "
        f"({_marks(section_ids)})"
    )
    return {section_id: name for section_id, name in db.execute(known, tuple(section_ids)) if name}


def _people(db: sqlite3.Connection, course_id: int, after: str, most: int) -> list[dict[str, Any]]:
    enrollment, _, sort = after.partition(_CURSOR)
    condition, parameters = (
        ("AND (sort, id) > (?, ?)", (sort, int(enrollment)))
        if enrollment.isascii() and enrollment.isdigit()
        else ("", ())
    )
    return _rendered(
        db,
        course_id,
        _rows(
            db,
            f"{_ENROLLMENTS} {condition} ORDER BY sort, id LIMIT ?",
            (course_id, *parameters, most + 1),
        ),
    )


def _rendered(
    db: sqlite3.Connection, course_id: int, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Enrollments with groups and labels. Ids become text: they are too large for numbers of
    JavaScript.
    """
    groups = _groups(db, course_id, {row["user_id"] for row in rows})
    for row in rows:
        row["groups"] = groups.get(row["user_id"], [])
        row["role"] = ROLE_LABELS.get(row["type"], row["type"])
        row["why"] = REASON_LABELS.get(row["state_reason"], "")
        row["history"] = history_text(row["history"])
        for name in ("id", "user_id", "section_id"):
            row[name] = None if row[name] is None else str(row[name])
    return rows


def _groups(db: sqlite3.Connection, course_id: int, users: Collection[int]) -> dict[int, list[str]]:
    """Names of groups in a course, by user."""
    found: dict[int, list[str]] = {}
    query = f"""
        SELECT m.user_id, coalesce(g.group_name, m.group_name, m.group_id), m.state
        FROM roster_memberships m
        LEFT JOIN roster_groups g
               ON g.context_type = m.context_type AND g.context_id = m.context_id
              AND g.group_id = m.group_id
        WHERE m.context_type = 'Course' AND m.context_id = ? AND m.user_id IN ({_marks(users)})
          AND m.state NOT IN ({_marks(_HIDDEN_MEMBERSHIP_STATES)})
        ORDER BY 2
    """
    for user, name, state in db.execute(query, (course_id, *users, *_HIDDEN_MEMBERSHIP_STATES)):
        found.setdefault(user, []).append(str(name) if state == "accepted" else f"{name} ({state})")
    return found


def _course_row(db: sqlite3.Connection, course_id: int) -> dict[str, Any]:
    """The course's row. Its state is None if only other events mention the course."""
    found = _rows(
        db,
        "SELECT course_id, name, state, state_reason, as_of FROM roster_courses WHERE course_id = "
        "?",
        (course_id,),
    )
    return (
        found[0]
        if found
        else {
            "course_id": course_id,
            "name": None,
            "state": None,
            "state_reason": None,
            "as_of": None,
        }
    )


def _ids(db: sqlite3.Connection, text: str, shard: int | None) -> list[int]:
    """Existing courses with an id, as a person writes it."""
    try:
        context, any_shard = parse_context(text, shard)
    except ConfigurationError:
        return []
    if context.prefix:
        return []
    identity = int(context.identity)
    if any_shard:
        query = """
            SELECT course_id FROM roster_courses WHERE course_id % ?1 = ?2
            UNION SELECT course_id FROM roster_sections WHERE course_id % ?1 = ?2 ORDER BY 1
        """
        return [course_id for (course_id,) in db.execute(query, (SHARD_SIZE, identity))]
    tables = ("roster_courses", "roster_sections", "roster_enrollments")
    known = any(
        db.execute(f"SELECT 1 FROM {table} WHERE course_id = ? LIMIT 1", (identity,)).fetchone()
        for table in tables
    )
    return [identity] if known else []


def _rows(db: sqlite3.Connection, query: str, parameters: Iterable[Any]) -> list[dict[str, Any]]:
    cursor = db.execute(query, tuple(parameters))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))
