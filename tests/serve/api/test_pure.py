"""Ids, pages and parameters, whatever they are."""

from __future__ import annotations

import re
import sqlite3
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.events.ids import SHARD_SIZE
from rollcall.serve.api import listings as listings_module
from rollcall.serve.api.conditions import MOST_PLACEHOLDERS, Where, among
from rollcall.serve.api.errors import ApiError
from rollcall.serve.api.ids import IdFormat, parse_id
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.paging import Page
from rollcall.serve.api.parameter_names import KNOWN, LISTS, normalised
from rollcall.settings import MAX_SHARD
from tests.serve.client import links_in

GREATEST = 2**63 - 1
SETTINGS = settings(max_examples=200, derandomize=True, database=None, deadline=None)

shards = st.integers(1, MAX_SHARD)
homes = st.one_of(st.none(), shards)


@SETTINGS
@given(home=homes, shard=shards, local=st.integers(1, SHARD_SIZE - 1), as_text=st.booleans())
def test_an_id_that_was_shown_is_found(
    home: int | None, shard: int, local: int, as_text: bool
) -> None:
    """Whatever an answer shows can be asked for, and so can the other ways to write it."""
    identity = shard * SHARD_SIZE + local
    shown = IdFormat(home, as_text)(identity)
    assert isinstance(shown, str if as_text else int)
    meant = identity if identity <= GREATEST else None
    assert (
        parse_id(str(shown), home)
        == parse_id(f"{shard}~{local}", home)
        == parse_id(str(identity), home)
        == meant
    )
    assert (str(shown) == str(local)) == (shard == home)


@SETTINGS
@given(
    text=st.one_of(
        st.text(),
        st.from_regex(r"[0-9~]{0,25}"),
        st.from_regex(r"\d{1,6}~\d{1,13}", fullmatch=True),
    ),
    home=homes,
)
def test_any_text_is_an_id_of_sqlite_or_none(text: str, home: int | None) -> None:
    """Nothing else comes to the replica."""
    found = parse_id(text, home)
    assert found is None or (0 < found <= GREATEST and text.isascii())


def test_no_id() -> None:
    """Null stays null, also as text."""
    assert IdFormat(1, as_text=True)(None) is None


@SETTINGS
@given(
    number=st.integers(1, 10**7),
    size=st.integers(1, 100),
    total=st.integers(0, 10**6),
    query=st.lists(
        st.tuples(
            st.sampled_from(["page", "per_page", "state[]", "a", "access_token", "", "ü &=>"]),
            st.text(st.characters(exclude_categories=["Cs"])),
        )
    ),
)
def test_links(number: int, size: int, total: int, query: list[tuple[str, str]]) -> None:
    """A header in ASCII on one line; each link has what was asked, and leads to a page that is
    there.
    """
    page, url = Page(number, size), "https://localhost/api/v1/courses/1/enrollments"
    header = page.links(url, query, total)
    assert header.isascii()
    assert header.isprintable()
    links = links_in(header)
    kept = [
        (name, value) for name, value in query if name not in ("page", "per_page", "access_token")
    ]
    pages = {}
    for relation, link in links.items():
        assert link.partition("?")[0] == url
        *others, (_, of), (_, per) = parse_qsl(urlsplit(link).query, keep_blank_values=True)
        assert others == kept
        assert per == str(size)
        pages[relation] = int(of)
    last = pages["last"]
    assert (last - 1) * size < max(total, 1) <= last * size
    assert (pages["current"], pages["first"]) == (number, 1)
    assert pages.get("next") == (number + 1 if number < last else None)
    assert pages.get("prev") == (None if number == 1 else min(number - 1, last))


bases = st.sampled_from(sorted(name.removesuffix("[]") for name in KNOWN))
brackets = st.one_of(
    st.sampled_from(["", "[]", "[0]", "[foo]", "[][]", "[0][]", "[][a]", "[", "]", "[[]]"]),
    st.text("[]a0 ", max_size=4).map("[{}".format),
)
names = st.one_of(
    st.tuples(st.sampled_from(["", "", "", " ", "[", "]"]), bases, brackets).map("".join),
    st.text(max_size=5),
)


def answered(query: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], ApiError | None]:
    """A query as it is understood, or why it is not."""
    try:
        return normalised(query), None
    except ApiError as error:
        return [], error


def rack_base(name: str) -> str:
    """What stands before the brackets, as Rack 2.2 has it."""
    found = re.match(r"[\[\]]*([^\[\]]+)\]*", name)
    return found[1] if found else ""


@SETTINGS
@given(st.lists(st.tuples(names, st.text(max_size=5)), max_size=4))
def test_normalised_queries(query: list[tuple[str, str]]) -> None:
    """Each parameter comes through in its own form, with its values in their order, or is refused
    by its name; what is none comes through as it is.
    """
    found, refused = answered(query)
    if refused is not None:
        assert refused.status == 400
        assert str(refused.field) in refused.message
        assert refused.field in KNOWN
        assert any(
            str(refused.field).removesuffix("[]") in f"{name}={value}" for name, value in query
        )
        return
    assert [value for _, value in found] == [value for _, value in query]
    for (name, _), (written, _) in zip(found, query, strict=True):
        base = rack_base(written)
        known = next((one for one in KNOWN if one.removesuffix("[]") == base), None)
        assert name == (written if known is None else known), "left out silently"
        assert known is None or written in (base, known)
    for name in LISTS:
        values = [written for written, _ in query if rack_base(written) == name.removesuffix("[]")]
        assert len(values) < 2 or set(values) == {name}, (
            "Rails takes the last of several without brackets, and fails where some have them"
        )
    assert normalised(found) == found


@SETTINGS
@given(base=bases, form=brackets, value=st.sampled_from(["deleted", "1"]))
def test_every_parameter_in_every_form(base: str, form: str, value: str) -> None:
    """Applied or refused: never passed over."""
    found, refused = answered([(f"{base}{form}", value)])
    known = base if base in KNOWN else f"{base}[]"
    assert found == [(known, value)] or (refused is not None and refused.field == known)


@pytest.mark.parametrize("count", [1, MOST_PLACEHOLDERS, MOST_PLACEHOLDERS + 1, 50_000])
def test_among(count: int) -> None:
    """As many values as there are."""
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE numbers (number INTEGER)")
        db.executemany(
            "INSERT INTO numbers VALUES (?)",
            [(number,) for number in (0, 1, count, count + 1, GREATEST)],
        )
        where = among("number", [*range(1, count), GREATEST] if count > 1 else [GREATEST])
        query = f"SELECT number FROM numbers WHERE {where.text} ORDER BY number"  # noqa: S608
        found = [number for (number,) in db.execute(query, where.values)]
    assert found == sorted(
        {number for number in (1, count - 1) if 0 < number < count and number == 1} | {GREATEST}
    )


def test_lists_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their number and their length, however many conditions are asked for; those that are asked
    for often stay.
    """
    monkeypatch.setattr(listings_module, "MOST_LISTS", 5)
    monkeypatch.setattr(listings_module, "MOST_IDS", 45)
    listings = Listings()
    with sqlite3.connect(":memory:") as db:
        db.execute(
            "CREATE TABLE course_versions (course_id INTEGER, version INTEGER, told_from INTEGER)"
        )
        db.execute(
            "CREATE TABLE roster_enrollments (course_id INTEGER, enrollment_id INTEGER, user_id "
            "INTEGER)"
        )
        db.executemany(
            "INSERT INTO roster_enrollments VALUES (?, ?, ?)",
            [(course, number, number) for course in range(1, 20) for number in range(course)],
        )
        for course in range(1, 20):
            for asked in (course, 1):
                assert (
                    len(
                        listings.listing(
                            db, asked, "enrollment_id", Where("course_id = ?", (asked,))
                        )
                    )
                    == asked
                )
                assert len(listings._lists) <= 5
                assert (
                    listings._size
                    == sum(len(numbers) for _, numbers in listings._lists.values())
                    <= 45
                )
        assert 1 in {course for course, _, _ in listings._lists}
        with pytest.raises(sqlite3.OperationalError):
            listings.listing(db, 1, "nothing", Where("nothing = ?", (1,)))
        assert not listings._locks
