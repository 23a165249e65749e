"""Courses and rosters, from a replica."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcall.serve.page.courses import read_course, read_head, read_people, search_courses
from rollcall.serve.replica.reading import add_functions
from rollcall.serve.replica.store import ReplicaStore
from tests.serve.page.rows import (
    COURSE,
    GROUP,
    OTHER_COURSE,
    SECTION,
    SHARD,
    Rosters,
    course,
    group,
    member,
    person,
    section,
    together,
)
from tests.serve.served import batch_of

LOCAL = 565
UNTOLD = SHARD * 10**13 + 777
"""A course with an enrollment only."""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A replica."""
    rosters = together(
        course("Linear Algebra"),
        course(
            "\N{LATIN CAPITAL LETTER U WITH DIAERESIS}bungen 100%", OTHER_COURSE, state="completed"
        ),
        course("Far away", 3 * 10**13 + LOCAL),
        section("Monday"),
        group("Group 1", group_category_name="Projects"),
        group("Group 2", GROUP + 1),
        person(1, "Isaac Newton"),
        person(
            2,
            "\N{LATIN CAPITAL LETTER E WITH ACUTE}milie du "
            "Ch\N{LATIN SMALL LETTER A WITH CIRCUMFLEX}telet",
            type="TeacherEnrollment",
        ),
        person(3, "Ada Lovelace", state="completed", state_reason="dates"),
        person(4, "Nobody's Business", UNTOLD),
        member(1),
        member(3, GROUP + 1, state="invited"),
        member(2, state="deleted"),
        user(1, "Sir Isaac Newton"),
    )
    with_rows(tmp_path / "replica", rosters)
    connection = sqlite3.connect(
        f"file:{tmp_path / 'replica'}?mode=ro", uri=True, isolation_level=None
    )
    add_functions(connection)
    yield connection
    connection.close()


def with_rows(path: Path, rosters: Rosters) -> None:
    """Make a replica."""
    store = ReplicaStore(path, "canvas")
    store.apply(batch_of(rosters), {})
    store.note_complete(time.time())
    store.close()


def user(number: int, name: str) -> Rosters:
    """A user's own row."""
    row = {
        "user_id": str(SHARD * 10**13 + number),
        "name": name,
        "workflow_state": "registered",
        "state": "registered",
        "state_reason": "user",
        "as_of": "x",
    }
    return {"users": {row["user_id"]: row}}


@pytest.mark.parametrize(
    ("text", "shard", "found"),
    [
        (
            "",
            None,
            ["Far away", "Linear Algebra", "\N{LATIN CAPITAL LETTER U WITH DIAERESIS}bungen 100%"],
        ),
        ("ALGEBRA", None, ["Linear Algebra"]),
        ("  lineAR ", None, ["Linear Algebra"]),
        (
            "\N{LATIN SMALL LETTER U WITH DIAERESIS}BUNG",
            None,
            ["\N{LATIN CAPITAL LETTER U WITH DIAERESIS}bungen 100%"],
        ),
        ("100%", None, ["\N{LATIN CAPITAL LETTER U WITH DIAERESIS}bungen 100%"]),
        ("%", None, ["\N{LATIN CAPITAL LETTER U WITH DIAERESIS}bungen 100%"]),
        ("_", None, []),
        ("'; DROP TABLE roster_courses; --", None, []),
        (str(COURSE), None, ["Linear Algebra"]),
        (f"{SHARD}~{LOCAL}", None, ["Linear Algebra"]),
        (str(LOCAL), SHARD, ["Linear Algebra"]),
        (str(LOCAL), None, ["Far away", "Linear Algebra"]),
        ("account:565", None, []),
        (str(UNTOLD), None, [None]),
        ("99999999999999999999999", None, []),
    ],
)
def test_search(
    db: sqlite3.Connection, text: str, shard: int | None, found: list[str | None]
) -> None:
    answer = search_courses(db, text, shard)
    assert [one["name"] for one in answer["courses"]] == found
    assert not answer["more"]


def test_a_search_says_that_there_are_more(db: sqlite3.Connection) -> None:
    answer = search_courses(db, "", None, most=2)
    assert (len(answer["courses"]), answer["more"]) == (2, True)
    assert answer["courses"][1]["course_id"] == str(COURSE)
    assert answer["courses"][1]["active"] == 2


def test_a_roster(db: sqlite3.Connection) -> None:
    found = read_course(db, COURSE)
    assert found is not None
    assert (found["name"], found["state"], found["course_id"]) == (
        "Linear Algebra",
        "available",
        str(COURSE),
    )
    assert [(one["id"], one["name"]) for one in found["sections"]] == [(str(SECTION), "Monday")]
    assert {(one["name"], one["category"], one["members"]) for one in found["groups"]} == {
        ("Group 1", "Projects", 1),
        ("Group 2", None, 0),
    }
    assert {(one["role"], one["state"], one["count"]) for one in found["counts"]} == {
        ("Student", "active", 1),
        ("Teacher", "active", 1),
        ("Student", "completed", 1),
    }
    people = {one["name"].split()[-1]: one for one in found["people"]}
    assert list(people) == [
        "Ch\N{LATIN SMALL LETTER A WITH CIRCUMFLEX}telet",
        "Lovelace",
        "Newton",
    ], "by surname"
    assert people["Newton"]["name"] == "Sir Isaac Newton", "as the user is called now"
    assert people["Newton"]["groups"] == ["Group 1"]
    assert people["Lovelace"]["groups"] == ["Group 2 (invited)"]
    assert people["Lovelace"]["why"] == "by dates"
    assert people["Ch\N{LATIN SMALL LETTER A WITH CIRCUMFLEX}telet"]["groups"] == []
    assert people["Ch\N{LATIN SMALL LETTER A WITH CIRCUMFLEX}telet"]["role"] == "Teacher"
    assert people["Newton"]["section"] == "Monday"
    assert people["Newton"]["id"] == str(SHARD * 10**13 + 1)
    assert found["next"] is None


def test_a_long_roster_comes_in_parts(tmp_path: Path) -> None:
    names = ["Same Name"] * 5 + [f"Student {chr(65 + number % 26)}{number}" for number in range(40)]
    with_rows(
        tmp_path / "replica",
        together(*(person(number, name) for number, name in enumerate(names, start=1))),
    )
    db = sqlite3.connect(tmp_path / "replica")
    add_functions(db)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        part = read_course(db, COURSE, after, most=7)
        assert part is not None
        seen += [one["id"] for one in part["people"]]
        after = part["next"]
    db.close()
    assert len(seen) == len(set(seen)) == len(names)


def test_a_course_that_is_not_there(db: sqlite3.Connection) -> None:
    assert read_course(db, 1) is None
    assert read_head(db, 1) is None


def test_a_course_of_which_no_event_has_told(db: sqlite3.Connection) -> None:
    found = read_course(db, UNTOLD)
    assert found is not None
    assert (found["name"], found["state"]) == (None, None)
    assert [one["section"] for one in found["people"]] == [None]


def test_single_rows(db: sqlite3.Connection) -> None:
    first = SHARD * 10**13
    assert [
        one["name"] for one in read_people(db, COURSE, {first + 3, first + 99}, {first + 1})
    ] == ["Ada Lovelace", "Sir Isaac Newton"]
    assert read_people(db, COURSE, set(), set()) == []
    assert read_people(db, OTHER_COURSE, {first + 3}, set()) == []
