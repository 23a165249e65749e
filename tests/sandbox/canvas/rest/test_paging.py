"""Pages of lists: every row once while nothing changes, and what changes do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.sandbox.canvas.rest.errors import RefusedError
from rollcall.sandbox.canvas.rest.paging import Page, Query, by_bookmark, by_number
from rollcall.sandbox.canvas.simulation.courses import delete_section
from tests.sandbox.canvas.rest.institution import ALL_STATES, Institution, ids, living

Key = tuple[str, str, int]
Read = Callable[[Query], Page]

KEYS = st.tuples(st.sampled_from("st"), st.text(max_size=3), st.integers(1, 2**63 - 1))
SIZES = st.integers(1, 7)


def bookmarked(rows: list[Key]) -> Read:
    """Reads pages of a list by bookmark."""
    return lambda query: by_bookmark(rows, query, key=lambda row: row)


def numbered(rows: list[Key]) -> Read:
    """Reads pages of a list by number."""
    return lambda query: by_number(rows, query)


def read_all(
    read: Read, size: int, between: Callable[[int], object] = lambda number: None
) -> list[Any]:
    """Rows of all pages, as their links lead to them. ``between``: called after each page."""
    found: list[Any] = []
    query = {"per_page": [str(size)]}
    for number in range(1, 1_000):
        page = read(query)
        found += page.rows
        assert len(page.rows) <= size
        if "next" not in page.pages:
            return found
        query = {"per_page": [str(size)], "page": [page.pages["next"]]}
        between(number)
    raise AssertionError("the list does not end")


@given(st.lists(KEYS, unique=True, max_size=40), SIZES)
def test_each_row_once(rows: list[Key], size: int) -> None:
    """In their order, for any size of a page."""
    assert read_all(numbered(rows), size) == rows
    assert read_all(bookmarked(rows), size) == sorted(rows)


@given(st.lists(KEYS, unique=True, max_size=40), SIZES, st.data())
def test_bookmarks_keep_the_rows_that_stay(rows: list[Key], size: int, data: st.DataObject) -> None:
    """Rows that come and go between pages change nothing for the others."""
    present = list(rows)
    gone: set[Key] = set()

    def change(_number: int) -> None:
        leaves: bool = data.draw(st.booleans())
        if present and leaves:
            gone.add(present.pop(data.draw(st.integers(0, len(present) - 1))))
        new = data.draw(KEYS)
        if new not in present:
            present.append(new)

    found = read_all(lambda query: by_bookmark(present, query, key=lambda row: row), size, change)
    assert len(found) == len(set(found))
    assert set(rows) - gone <= set(found)


def test_numbers_skip_the_row_that_moves() -> None:
    """Negative control: a page by number loses a row if an earlier one leaves the list."""
    rows: list[Key] = [("s", "", number) for number in range(1, 7)]
    left = list(rows)
    found = read_all(
        lambda query: by_number(left, query),
        2,
        lambda number: left.remove(rows[0]) if number == 1 else None,
    )
    assert found == [rows[0], rows[1], rows[3], rows[4], rows[5]]


@pytest.mark.parametrize(
    "page", ["", "x", "bookmark:", "bookmark:!", "bookmark:MQ", "bookmark:WzFd"]
)
def test_wrong_bookmarks_are_not_found(page: str) -> None:
    """Like ``Folio::InvalidPage``."""
    with pytest.raises(RefusedError) as refused:
        bookmarked([("s", "", 1)])({"page": [page]})
    assert refused.value.status == 404


@pytest.mark.parametrize("page", ["0", "-1", "x", ""])
def test_wrong_numbers_are_not_found(page: str) -> None:
    """Also 0: pages begin with 1."""
    with pytest.raises(RefusedError):
        numbered([("s", "", 1)])({"page": [page]})


def test_sizes() -> None:
    """10 by default, 100 at most; of two values, the last."""
    rows: list[Key] = [("s", "", number) for number in range(1, 150)]
    sizes = {"": 10, "0": 10, "x": 10, "3": 3, "100": 100, "9999": 100}
    for read in (numbered(rows), bookmarked(rows)):
        assert len(read({}).rows) == 10
        for asked, size in sizes.items():
            assert len(read({"per_page": ["5", asked]}).rows) == size
    assert len(by_number(rows, {}, most=2).rows) == 2


def test_links(old: Institution) -> None:
    """A list of enrollments has no last page; other parameters are kept."""
    course = old.largest_course()
    response = old.get(f"/courses/{course.id}/enrollments", state=["active"], per_page=2)
    assert set(response.links) == {"current", "next", "first"}
    following = response.links["next"]["url"]
    assert following.startswith(f"{old.server.url}/api/v1/courses/{course.id}/enrollments?")
    assert "state%5B%5D=active" in following
    assert "bookmark%3A" in following
    assert set(old.get(following).links) == {"current", "next", "first"}
    users = old.get(old.get("/accounts/1/users").links["next"]["url"])
    assert set(users.links) == {"current", "next", "prev", "first", "last"}
    assert "next" not in old.get(users.links["last"]["url"]).links


def test_a_rename_between_pages_skips_or_repeats_a_row(institution: Institution) -> None:
    """Enrollments are in the order of type and name."""
    course = institution.largest_course()
    path = f"/courses/{course.id}/enrollments"
    kind = ["StudentEnrollment"]
    before = [
        row["id"] for row in institution.rows(path, type=kind, state=ALL_STATES, per_page=100)
    ]
    rows = {key: row for row in living(course) for key in ids([row])}
    for place, name, times in ((2, "Zoe Zzz", 2), (-1, "Ann Aaa", 0)):
        original = rows[before[place]].user.name
        pages = institution.pages(path, type=kind, state=ALL_STATES, per_page=5)
        found = ids(next(pages))
        rows[before[place]].user.name = name
        for page in pages:
            found += ids(page)
        rows[before[place]].user.name = original
        assert found.count(before[place]) == times
        others = [key for key in found if key != before[place]]
        assert others == [key for key in before if key != before[place]]


def test_a_section_that_is_deleted_between_pages_moves_the_others(institution: Institution) -> None:
    """The next page then lacks one: pages of sections have numbers."""
    canvas = institution.simulation.canvas
    course = max(institution.world.courses, key=lambda course: len(course.sections))
    path = f"/courses/{course.id}/sections"
    before = ids(institution.rows(path))
    assert len(before) == 3
    pages = institution.pages(path, per_page=1)
    assert ids(next(pages)) == before[:1]
    delete_section(canvas, min(course.sections, key=lambda section: section.id))
    assert [key for page in pages for key in ids(page)] == before[2:]
