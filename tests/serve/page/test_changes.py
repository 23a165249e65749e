"""What has changed in a course, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcall.serve.page.changes import Names, affected_rows, change_items
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.store import ReplicaStore
from tests.serve.page.rows import (
    COURSE,
    OTHER_COURSE,
    SECTION,
    SHARD,
    Rosters,
    course,
    gone,
    group,
    member,
    person,
    section,
    take,
    together,
)
from tests.serve.served import batch_of

NAMES = Names({SHARD * 10**13 + 1: "Isaac Newton"}, {SECTION: "Monday", SECTION + 1: "Tuesday"})
ARROW = "\N{RIGHTWARDS ARROW}"
NEWTON = person(1, "Isaac Newton")
MOVED = person(1, "Isaac Newton", OTHER_COURSE)


@pytest.mark.parametrize(
    ("before", "after", "kind", "sentence"),
    [
        ({}, NEWTON, "arrival", "Isaac Newton is here now: Student, Monday, active (enrollment)"),
        (
            NEWTON,
            person(1, "Isaac Newton", state="completed", state_reason="course_completed"),
            "change",
            f"Isaac Newton active {ARROW} completed (course_completed)",
        ),
        (
            NEWTON,
            person(1, "Isaac Newton", state_reason="dates"),
            "change",
            "Isaac Newton still active, because of dates instead of enrollment",
        ),
        (
            NEWTON,
            person(1, "Isaac Newton", course_section_id=str(SECTION + 1)),
            "change",
            f"Isaac Newton Monday {ARROW} Tuesday",
        ),
        (
            NEWTON,
            person(1, "Isaac Newton", type="TaEnrollment"),
            "change",
            f"Isaac Newton Student {ARROW} TA",
        ),
        (
            NEWTON,
            person(1, "Newton, I."),
            "change",
            f"Isaac Newton name in the enrollment: Isaac Newton {ARROW} Newton, I.",
        ),
        (
            NEWTON,
            person(1, "Isaac Newton", associated_user_id="9"),
            "change",
            "Isaac Newton changed: associated_user_id",
        ),
        (
            NEWTON,
            gone(NEWTON),
            "departure",
            "Isaac Newton is no longer in this course: section or enrollment went to another one",
        ),
        (NEWTON, person(1, "Isaac Newton", as_of="2026-05-05T00:00:00.000Z"), None, None),
        (
            MOVED,
            together(gone(MOVED), NEWTON),
            "arrival",
            "Isaac Newton is here now: Student, Monday, active (enrollment)",
        ),
        ({}, section("Monday"), "change", "Section Monday is here now: active (section)"),
        (
            section("Monday"),
            section("Friday", state="deleted"),
            "change",
            f"Section Friday active {ARROW} deleted (section); name: Monday {ARROW} Friday",
        ),
        (
            section("Monday"),
            gone(section("Monday")),
            "departure",
            "Section Monday is no longer in this course",
        ),
        (
            course("Algebra"),
            course("Algebra", state="completed"),
            "change",
            f"The course available {ARROW} completed (course)",
        ),
        (
            {},
            member(1, group_name="Group 1"),
            "change",
            "Isaac Newton group Group 1: accepted (membership)",
        ),
        (member(1), member(1, state="deleted", state_reason="group_deleted"), "change", None),
        (
            group("Group 1"),
            group("Group 1", max_membership=5),
            "change",
            "Group Group 1 changed: max_membership",
        ),
    ],
)
def test_what_is_said(
    tmp_path: Path, before: Rosters, after: Rosters, kind: str | None, sentence: str | None
) -> None:
    store, feed = ReplicaStore(tmp_path / "replica", "canvas"), Feed()
    store.apply(batch_of(before), {})
    take(store, feed, after, at=1_000_000_000.0)
    store.close()
    items = change_items(feed.recent(COURSE), COURSE, NAMES)
    if kind is None:
        assert items == []
        return
    assert [(one["kind"], one["at"]) for one in items] == [(kind, "2001-09-09T01:46:40Z")]
    if sentence is not None:
        assert f"{items[0]['subject']} {items[0]['text']}" == sentence
    else:
        assert items[0]["text"].endswith(f"accepted {ARROW} deleted (group_deleted)")


def test_what_rows_changes_are_about(tmp_path: Path) -> None:
    store, feed = ReplicaStore(tmp_path / "replica", "canvas"), Feed()

    def after(rosters: Rosters) -> tuple[set[int], set[int], bool]:
        take(store, feed, rosters, at=0.0)
        found = affected_rows(feed.recent(COURSE))
        return (
            {one % 10**13 for one in found.enrollments},
            {one % 10**13 for one in found.users},
            found.beyond,
        )

    assert after(person(3, "Ada Lovelace")) == ({3}, set(), False)
    assert after(member(5)) == ({3}, {5}, False)
    assert after(section("Monday")) == ({3}, {5}, True)
    store.close()


def test_whom_nobody_knows_has_an_id() -> None:
    assert Names().person({"user_id": 7}) == "user 7"
    assert Names().person({"user_id": 7, "user_name": "Ada"}) == "Ada"
    assert Names().section(5) == "section 5"
