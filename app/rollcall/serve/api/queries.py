"""What the API asks the replica. Each function takes a connection within one read transaction.

Lists are made in two steps: which rows (of a large course from memory, as long as nothing has
changed in it), then the rows of one page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rollcall.serve.api.conditions import Where, among
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.paging import Page
from rollcall.serve.replica.derived import folded
from rollcall.serve.replica.relations import RELATIONS

Row = dict[str, Any]

_COLUMNS = {relation.name: relation.columns for relation in RELATIONS}

_PARTICIPANT = "state = 'accepted'"
_NOT_DELETED = "state <> 'deleted'"


def rows_of(db: sqlite3.Connection, relation: str, where: Where, rest: str = "") -> list[Row]:
    """Rows of a relation.

    Args:
        rest: an order or a limit.
    """
    names = _COLUMNS[relation]
    found = db.execute(
        f"SELECT {', '.join(names)} FROM roster_{relation} WHERE {where.text} {rest}", where.values
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def one_of(db: sqlite3.Connection, relation: str, where: Where) -> Row | None:
    """One row of a relation: of several, which there are for moments while something moves, the
    latest.
    """
    found = rows_of(db, relation, where, "ORDER BY as_of DESC LIMIT 1")
    return found[0] if found else None


def exists(db: sqlite3.Connection, relation: str, where: Where) -> bool:
    """Whether there is a row."""
    return (
        db.execute(
            f"SELECT 1 FROM roster_{relation} WHERE {where.text} LIMIT 1", where.values
        ).fetchone()
        is not None
    )


def course_enrollments(
    db: sqlite3.Connection, listings: Listings, course: int, where: Where, page: Page
) -> tuple[int, list[Row]]:
    """How many enrollments of a course fulfil a condition, and those on a page, by id.

    Args:
        where: asks of enrollments only, so that the list may be kept.
    """
    of_course = Where("course_id = ?", (course,))
    numbers = listings.listing(db, course, "enrollment_id", of_course & where)
    chosen = numbers[page.start : page.end]
    return len(numbers), rows_of(
        db, "enrollments", of_course & among("enrollment_id", chosen), "ORDER BY enrollment_id"
    ) if chosen else []


def other_enrollments(db: sqlite3.Connection, where: Where, page: Page) -> tuple[int, list[Row]]:
    """The same for any condition, asked anew each time."""
    query = (
        f"SELECT rowid FROM roster_enrollments WHERE {where.text} ORDER BY enrollment_id, course_id"
    )
    places = [place for (place,) in db.execute(query, where.values)]
    chosen = places[page.start : page.end]
    return len(places), rows_of(
        db, "enrollments", among("rowid", chosen), "ORDER BY enrollment_id, course_id"
    ) if chosen else []


def enrollments_where(
    types: Sequence[str], states: tuple[Sequence[str], Sequence[str]] | None
) -> Where:
    """The condition on type and state.

    Args:
        types: none: any.
        states: of Canvas, and by dates; one of the two must hold. None: any.
    """
    where = among("type", types) if types else Where("TRUE")
    if states is not None:
        plain, by_dates = states
        either = [
            among(column, values)
            for column, values in (("enrollment_state", plain), ("state", by_dates))
            if values
        ]
        where = where & (either[0] if len(either) == 1 else either[0] | either[1])
    return where


def users_with_sis_ids(sis_ids: Sequence[str]) -> Where:
    """The user has one of these SIS ids."""
    inner = among("user_sis_id", sis_ids)
    return Where(f"user_id IN (SELECT user_id FROM roster_users WHERE {inner.text})", inner.values)


def sections_with_sis_ids(sis_ids: Sequence[str]) -> Where:
    """The section has one of these SIS ids."""
    inner = among("sis_source_id", sis_ids)
    return Where(
        f"course_section_id IN (SELECT course_section_id FROM roster_sections WHERE {inner.text})",
        inner.values,
    )


def sections_of_term(term: int) -> Where:
    """The section is in a term."""
    return Where(
        "course_section_id IN (SELECT course_section_id FROM roster_sections WHERE "
        "enrollment_term_id = ?)",
        (term,),
    )


_SEARCHED = ("name", "short_name", "sortable_name", "user_login", "user_sis_id")


def matching(search_term: str, identity: int | None) -> Where:
    """The user's name, login or SIS id has a part that is the same but for case, or the user has
    this id.

    Names that came with enrollments only are searched too.
    """
    found = " OR ".join(f"instr(folded(u.{column}), ?)" for column in _SEARCHED)
    known = (
        "EXISTS (SELECT 1 FROM roster_users u WHERE u.user_id = roster_enrollments.user_id "
        f"AND ({found}))"
    )
    return Where(
        f"({known} OR instr(folded(user_name), ?) OR user_id = ?)",
        (*[folded(search_term)] * (len(_SEARCHED) + 1), identity or -1),
    )


def sections_named(search_term: str) -> Where:
    """The section's name has a part that is the same but for case."""
    return Where("instr(folded(name), ?)", (folded(search_term),))


def course_users(
    db: sqlite3.Connection, listings: Listings, course: int, where: Where, page: Page, *, keep: bool
) -> tuple[int, list[int]]:
    """How many users have enrollments in a course that fulfil a condition, and the ids of those on
    a page.

    Args:
        keep: the condition asks of enrollments only, so that the list may be kept.
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
    """Rows of users by id, of those of whom an event has come."""
    found = among("user_id", tuple(set(users)))
    return {row["user_id"]: row for row in rows_of(db, "users", found)} if found.values else {}


def names_by_id(db: sqlite3.Connection, users: Iterable[int]) -> dict[int, str | None]:
    """Names as the latest enrollments of users tell them."""
    found = among("user_id", tuple(set(users)))
    if not found.values:
        return {}
    query = f"SELECT user_id, user_name FROM roster_enrollments WHERE {found.text} ORDER BY as_of"
    return dict(db.execute(query, found.values).fetchall())


def groups_by_user(db: sqlite3.Connection, users: Iterable[int]) -> dict[int, list[int]]:
    """The groups in which users are now."""
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
    """How many rows fulfil a condition, and those on a page.

    Args:
        order: columns, together unique: between the same rows there is always the same order.
    """
    total = db.execute(
        f"SELECT count(*) FROM roster_{relation} WHERE {where.text}", where.values
    ).fetchone()[0]
    return total, rows_of(
        db, relation, where, f"ORDER BY {order} LIMIT {page.size} OFFSET {page.start}"
    )


def members(db: sqlite3.Connection, groups: Sequence[int]) -> dict[int, int]:
    """How many users are in groups."""
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
    """How many active or invited students there are, by course or section."""
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
"""Whether anything is known of an id."""
