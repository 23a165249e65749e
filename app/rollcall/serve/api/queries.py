"""Queries of the API. Each function takes a connection within one read transaction.

Lists take two steps: first the ids of all rows, which are in memory for large courses, then the
rows of one page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rollcall.serve.api.conditions import Where, among
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.paging import Page
from rollcall.serve.replica.derived import folded
from rollcall.serve.replica.tables import COLUMNS

Row = dict[str, Any]

_PARTICIPANT = "state = 'accepted'"
_NOT_DELETED = "state <> 'deleted'"


def rows_of(db: sqlite3.Connection, relation: str, where: Where, rest: str = "") -> list[Row]:
    """Rows of a relation.

    Args:
        rest: ``ORDER BY`` or ``LIMIT``.
    """
    names = COLUMNS[relation]
    found = db.execute(
        f"SELECT {', '.join(names)} FROM roster_{relation} WHERE {where.text} {rest}", where.values
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def one_of(db: sqlite3.Connection, relation: str, where: Where) -> Row | None:
    """One row of a relation. While a row moves to another key, there are two; then the latest."""
    found = rows_of(db, relation, where, "ORDER BY as_of DESC LIMIT 1")
    return found[0] if found else None


def exists(db: sqlite3.Connection, relation: str, where: Where) -> bool:
    """Whether a relation has a row that fulfils a condition."""
    return (
        db.execute(
            f"SELECT 1 FROM roster_{relation} WHERE {where.text} LIMIT 1", where.values
        ).fetchone()
        is not None
    )


def course_enrollments(
    db: sqlite3.Connection, listings: Listings, course: int, where: Where, page: Page
) -> tuple[int, list[Row]]:
    """Number of a course's enrollments that fulfil a condition, and those on a page, by id.

    Args:
        where: a condition on columns of enrollments only, so that the ids can stay in memory.
    """
    of_course = Where("course_id = ?", (course,))
    numbers = listings.listing(db, course, "enrollment_id", of_course & where)
    chosen = numbers[page.start : page.end]
    return len(numbers), rows_of(
        db, "enrollments", of_course & among("enrollment_id", chosen), "ORDER BY enrollment_id"
    ) if chosen else []


def other_enrollments(db: sqlite3.Connection, where: Where, page: Page) -> tuple[int, list[Row]]:
    """The same for any condition and all courses; the ids do not stay in memory."""
    query = (
        f"SELECT rowid FROM roster_enrollments WHERE {where.text} ORDER BY enrollment_id, course_id"
    )
    rowids = [rowid for (rowid,) in db.execute(query, where.values)]
    chosen = rowids[page.start : page.end]
    return len(rowids), rows_of(
        db, "enrollments", among("rowid", chosen), "ORDER BY enrollment_id, course_id"
    ) if chosen else []


def enrollments_where(
    types: Sequence[str], states: tuple[Sequence[str], Sequence[str]] | None
) -> Where:
    """A condition on type and state.

    Args:
        types: empty: any.
        states: values of Canvas's ``enrollment_state``, and states by dates; one of the two must
            match. None: any.
    """
    where = among("type", types) if types else Where("TRUE")
    if states is not None:
        canvas_states, states_by_dates = states
        either = [
            among(column, values)
            for column, values in (("enrollment_state", canvas_states), ("state", states_by_dates))
            if values
        ]
        where = where & (either[0] if len(either) == 1 else either[0] | either[1])
    return where


def users_with_sis_ids(sis_ids: Sequence[str]) -> Where:
    """Condition: the user has one of some SIS ids."""
    inner = among("user_sis_id", sis_ids)
    return Where(f"user_id IN (SELECT user_id FROM roster_users WHERE {inner.text})", inner.values)


def sections_with_sis_ids(sis_ids: Sequence[str]) -> Where:
    """Condition: the section has one of some SIS ids."""
    inner = among("sis_source_id", sis_ids)
    return Where(
        f"course_section_id IN (SELECT course_section_id FROM roster_sections WHERE {inner.text})",
        inner.values,
    )


def sections_of_term(term: int) -> Where:
    """Condition: the section is in a term."""
    return Where(
        "course_section_id IN (SELECT course_section_id FROM roster_sections WHERE "
        "enrollment_term_id = ?)",
        (term,),
    )


_SEARCH_COLUMNS = ("name", "short_name", "sortable_name", "user_login", "user_sis_id")


def matching(search_term: str, identity: int | None) -> Where:
    """Condition: the user's name, login or SIS id contains a text, or the user has an id.

    Upper and lower case are the same. Names in enrollments count too: some users have no other.
    """
    found = " OR ".join(f"instr(folded(u.{column}), ?)" for column in _SEARCH_COLUMNS)
    known = (
        "EXISTS (SELECT 1 FROM roster_users u WHERE u.user_id = roster_enrollments.user_id "
        f"AND ({found}))"
    )
    return Where(
        f"({known} OR instr(folded(user_name), ?) OR user_id = ?)",
        (*[folded(search_term)] * (len(_SEARCH_COLUMNS) + 1), identity or -1),
    )


def sections_named(search_term: str) -> Where:
    """Condition: the section's name contains a text; upper and lower case are the same."""
    return Where("instr(folded(name), ?)", (folded(search_term),))


def course_users(
    db: sqlite3.Connection, listings: Listings, course: int, where: Where, page: Page, *, keep: bool
) -> tuple[int, list[int]]:
    """Number of users with an enrollment in a course that fulfils a condition, and the ids of those
    on a page.

    Args:
        keep: whether the ids can stay in memory: the condition uses columns of enrollments only.
    """
    whole = Where("course_id = ?", (course,)) & where
    if keep:
        users: Sequence[int] = listings.listing(db, course, "user_id", whole)
    else:
        query = (
            f"SELECT DISTINCT user_id FROM roster_enrollments WHERE {whole.text} ORDER BY user_id"
        )
        users = [user for (user,) in db.execute(query, whole.values)]
    return len(users), list(users[page.start : page.end])


def users_by_id(db: sqlite3.Connection, users: Iterable[int]) -> dict[int, Row]:
    """Rows of users by id, without users who have no events."""
    found = among("user_id", tuple(set(users)))
    return {row["user_id"]: row for row in rows_of(db, "users", found)} if found.values else {}


def names_by_id(db: sqlite3.Connection, users: Iterable[int]) -> dict[int, str | None]:
    """Names from the latest enrollments of users."""
    found = among("user_id", tuple(set(users)))
    if not found.values:
        return {}
    query = f"SELECT user_id, user_name FROM roster_enrollments WHERE {found.text} ORDER BY as_of"
    return dict(db.execute(query, found.values).fetchall())


def groups_by_user(db: sqlite3.Connection, users: Iterable[int]) -> dict[int, list[int]]:
    """Groups of users, now."""
    wanted = tuple(set(users))
    found: dict[int, list[int]] = {user: [] for user in wanted}
    where = among("user_id", wanted)
    query = (
        f"SELECT DISTINCT user_id, group_id FROM roster_memberships WHERE {where.text} AND "
        f"{_PARTICIPANT} ORDER BY group_id"
    )
    for user, group in db.execute(query, where.values):
        found[user].append(group)
    return found


def sections_by_id(
    db: sqlite3.Connection, enrollments: Iterable[Mapping[str, Any]]
) -> dict[int, Row]:
    """Rows of the sections of enrollments."""
    found = among("course_section_id", tuple({row["course_section_id"] for row in enrollments}))
    return (
        {row["course_section_id"]: row for row in rows_of(db, "sections", found, "ORDER BY as_of")}
        if found.values
        else {}
    )


def page_of(
    db: sqlite3.Connection, relation: str, where: Where, order: str, page: Page
) -> tuple[int, list[Row]]:
    """Number of rows that fulfil a condition, and those on a page.

    Args:
        order: columns that are unique together, so that the order is always the same.
    """
    total = db.execute(
        f"SELECT count(*) FROM roster_{relation} WHERE {where.text}", where.values
    ).fetchone()[0]
    return total, rows_of(
        db, relation, where, f"ORDER BY {order} LIMIT {page.size} OFFSET {page.start}"
    )


def members(db: sqlite3.Connection, groups: Sequence[int]) -> dict[int, int]:
    """Number of users by group."""
    where = among("group_id", groups)
    query = (
        f"SELECT group_id, count(DISTINCT user_id) FROM roster_memberships WHERE {where.text} "
        f"AND {_PARTICIPANT} GROUP BY group_id"
    )
    return dict(db.execute(query, where.values).fetchall())


def users_of_group(db: sqlite3.Connection, group: int) -> list[int]:
    """Ids of the users who are in a group."""
    query = (
        "SELECT DISTINCT user_id FROM roster_memberships WHERE group_id = ? AND "
        f"{_PARTICIPANT} ORDER BY user_id"
    )
    return [user for (user,) in db.execute(query, (group,))]


def count_students(db: sqlite3.Connection, column: str, values: Sequence[int]) -> dict[int, int]:
    """Number of active or invited students, by course or section."""
    where = among(column, values)
    students = "type = 'StudentEnrollment' AND enrollment_state IN ('active', 'invited')"
    query = (
        f"SELECT {column}, count(DISTINCT user_id) FROM roster_enrollments WHERE {where.text} "
        f"AND {students} GROUP BY {column}"
    )
    return dict(db.execute(query, where.values).fetchall())


def students_of_section(db: sqlite3.Connection, section: int) -> list[int]:
    """Ids of the active or invited students of a section."""
    students = "type = 'StudentEnrollment' AND enrollment_state IN ('active', 'invited')"
    query = (
        "SELECT DISTINCT user_id FROM roster_enrollments WHERE course_section_id = ? AND "
        f"{students} ORDER BY user_id"
    )
    return [user for (user,) in db.execute(query, (section,))]


NOT_DELETED = Where(_NOT_DELETED)

Finder = Callable[[sqlite3.Connection, int], bool]

KNOWN: Mapping[str, Finder] = {
    "course": lambda db, identity: any(
        exists(db, name, Where("course_id = ?", (identity,)))
        for name in ("courses", "sections", "enrollments")
    ),
    "section": lambda db, identity: any(
        exists(db, name, Where("course_section_id = ?", (identity,)))
        for name in ("sections", "enrollments")
    ),
    "user": lambda db, identity: any(
        exists(db, name, Where("user_id = ?", (identity,)))
        for name in ("users", "enrollments", "memberships")
    ),
    "group": lambda db, identity: exists(db, "groups", Where("group_id = ?", (identity,))),
    "account": lambda db, identity: True,
    "enrollment": lambda db, identity: exists(
        db, "enrollments", Where("enrollment_id = ?", (identity,))
    ),
    "term": lambda db, identity: True,
}
"""Whether an id exists, by kind. Ids of accounts and terms cannot be checked."""
