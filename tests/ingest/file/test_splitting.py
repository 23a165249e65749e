"""Splitting a stream of bytes into JSON values, whole and broken, in any chunks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st

from rollcall.ingest.file.splitting import MOST_LEVELS, Broken, Place, Slice, Splitter
from tests.events.schemas.events import DOCUMENTED, documented
from tests.examples import examples

Found = list[Slice | Broken]

EVENTS = list(documented().values())


def split(data: bytes, *sizes: int, start: Place | None = None, most_bytes: int = 2**21) -> Found:
    """Split a text that comes in chunks of these sizes, and the rest in one more."""
    splitter = Splitter(start, most_bytes=most_bytes)
    found: Found = []
    for size in sizes:
        found += splitter.feed(data[:size])
        data = data[size:]
    return found + splitter.feed(data) + splitter.close()


def slices(data: bytes) -> list[tuple[int, int | None, bytes]]:
    """Line, item and text of each value; nothing may be broken."""
    found = split(data)
    assert all(isinstance(part, Slice) for part in found)
    return [
        (part.place.line, part.place.item, part.text) for part in found if isinstance(part, Slice)
    ]


def line_of(part: Slice | Broken) -> int:
    return part.line if isinstance(part, Broken) else part.place.line


def values(data: bytes) -> list[Any]:
    return [orjson.loads(part.text) for part in split(data) if isinstance(part, Slice)]


def places(data: bytes) -> list[tuple[str, int]]:
    """For each thing found: what it is, and its line."""
    return [
        ("broken" if isinstance(part, Broken) else "value", line_of(part)) for part in split(data)
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"  \n\n\t"])
def test_json_lines(end: bytes) -> None:
    assert values((end or b" ").join(orjson.dumps(event) for event in EVENTS) + end) == EVENTS


@pytest.mark.parametrize("indent", [0, 2, 4, "\t"])
def test_pretty_printed_one_after_the_other(indent: int | str) -> None:
    for separator in ("\n", "\n\n", "", "   "):
        assert (
            values(separator.join(json.dumps(event, indent=indent) for event in EVENTS).encode())
            == EVENTS
        )


def test_the_documents() -> None:
    data = b"".join(path.read_bytes() for path in sorted(DOCUMENTED.glob("*.json")))
    assert values(data) == EVENTS


def test_an_array_stands_for_its_items() -> None:
    assert slices(b'\n[{"a": 1},\n {"b": 2}]\n{"c": 3}') == [
        (2, 1, b'{"a": 1}'),
        (3, 2, b'{"b": 2}'),
        (4, None, b'{"c": 3}'),
    ]
    assert values(json.dumps(EVENTS, indent=2).encode()) == EVENTS
    assert split(b"[]") == []


def test_values_that_are_no_structures() -> None:
    assert slices(b'1\n"x"\n null \n') == [(1, None, b"1"), (2, None, b'"x"'), (3, None, b"null")]
    assert slices(b'[1, "x, ]",[[null]]\n]') == [
        (1, 1, b"1"),
        (1, 2, b'"x, ]"'),
        (1, 3, b"[[null]]"),
    ]


def test_nothing() -> None:
    for data in (b"", b" \r\n\t", b"\xef\xbb\xbf"):
        assert split(data) == []


def test_byte_order_marks() -> None:
    assert split(b'\xef\xbb\xbf{"a": 1}') == [Slice(Place(3, 1, 1), b'{"a": 1}')]
    for encoding in ("utf-16-le", "utf-16-be"):
        [found] = split(("\ufeff" + '{"a": 1}').encode(encoding))
        assert found == Broken(1, 1, "the text is UTF-16; JSON is UTF-8: convert it")


BROKEN_LINES = [
    b'{"a": ',
    b'{"a": "not closed',
    b'{"a": {"b": [',
    b'{"a": 1,}',
    b"{'a': 1}",
    b'{"a": 1 "b": 2}',
    b'{"a": nope}',
    b'{"a": ]}',
    b'{"a": [1}',
    b'{"a": 1}}',
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\"}',
    b'{"a": NaN}',
    b"[1, 2",
    b"[" * 2000 + b"]" * 2000,
    b"hello world",
    b'"not closed',
    b"}",
    b"\x00",
]


@pytest.mark.parametrize("line", BROKEN_LINES)
def test_json_lines_go_on_after_a_broken_line(line: bytes) -> None:
    before, after = orjson.dumps(EVENTS[0]), b"\n".join(map(orjson.dumps, EVENTS[1:]))
    data = before + b"\n" + line + b"\n" + after
    found = split(data)
    read = [orjson.loads(part.text) for part in found if isinstance(part, Slice)]
    assert [value for value in read if value in EVENTS] == EVENTS
    assert [part.line for part in found if isinstance(part, Broken)] == [2]
    assert [
        part.place.line for part in found if isinstance(part, Slice) and part.place.line > 2
    ] == list(range(3, 3 + len(EVENTS) - 1))


def test_a_broken_pretty_printed_value_is_one_fault_at_its_place() -> None:
    data = b'{\n  "a": [\n    {"b": 1},\n    {"b": 07}\n  ]\n}\n{\n  "c": 1\n}\n'
    assert split(data) == [
        Broken(4, 11, "number with leading zero is not allowed"),
        Slice(Place(data.index(b"}\n{") + 2, 7, 1), b'{\n  "c": 1\n}'),
    ]


def test_a_value_that_is_not_closed_does_not_hide_the_next() -> None:
    for comma in (b"", b","):
        found = split(b'{\n "a": 1' + comma + b'\n{"b": 2}\n')
        assert found == [
            Broken(1, 1, "the value that begins here is not closed"),
            Slice(Place(10 + len(comma), 3, 1, None, True), b'{"b": 2}'),
        ]


def test_text_between_values_is_one_fault() -> None:
    assert places(b'Enrollment\nPayload Example:\n{"a": 1}Field\nDescription\n\n{"b": 2}\n') == [
        ("broken", 1),
        ("value", 3),
        ("broken", 3),
        ("value", 6),
    ]


def test_messages_quote_nothing() -> None:
    for line in BROKEN_LINES:
        for part in split(line.replace(b"a", b"isaac.newton")):
            assert isinstance(part, Slice) or "isaac" not in repr(part)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ \n\ta1é', max_size=60).map(str.encode))
@example(b'{"\\')
@example(b'{"a":"\\\n"}')
@settings(max_examples=examples(500), deadline=None)
def test_whatever_the_bytes(data: bytes) -> None:
    found = split(data)
    lines = [line_of(part) for part in found]
    assert all(1 <= line <= data.count(b"\n") + 1 for line in lines)
    assert lines == sorted(lines) or any(isinstance(part, Broken) for part in found)
    assert bool(found) or not data.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n[]")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(
    st.lists(st.recursive(SCALARS, lambda some: st.lists(some) | st.dictionaries(st.text(), some))),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
@settings(max_examples=examples(100), deadline=None)
def test_the_items_of_an_array_are_its_own_bytes(
    items: list[Any], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode(errors="replace")
    assert [text in data for _, _, text in slices(data)] == [True] * len(items)
    assert values(data) == orjson.loads(data)


@given(
    st.lists(
        st.recursive(
            st.none() | st.integers(0, 9) | st.text(max_size=5),
            lambda s: st.dictionaries(st.text(max_size=3), s),
        ),
        max_size=5,
    ),
    st.data(),
)
@settings(max_examples=examples(150), deadline=None)
def test_what_is_whole_is_read(parts: list[Any], data: st.DataObject) -> None:
    lines = [
        json.dumps(
            part,
            indent=data.draw(st.sampled_from([None, 2])),
            ensure_ascii=data.draw(st.booleans()),
        )
        for part in parts
    ]
    assert values("\n".join(lines).encode()) == parts


@pytest.mark.parametrize(
    "data",
    [
        b"[\n" * 100_000,
        b'{"a":\n' * 50_000 + b"}\n" * 50_000,
        b'{"' + b'\\"' * 500_000,
        b'{"a" 1}\n' * 50_000,
        b'{"a":1}' * 100_000,
        b" " * 10**6 + b"{",
    ],
    ids=["open", "nested", "escapes", "broken-lines", "one-line", "spaces"],
)
def test_reading_is_linear(data: bytes) -> None:
    """Half a second of CPU time, on a slow machine some; a quadratic reader would take minutes."""
    start = time.process_time()
    split(data)
    assert time.process_time() - start < 60


TEXTS = st.text(alphabet='{}[]":,\\ \n\r\ta1é', max_size=80).map(str.encode)
DIVISIONS = st.lists(st.integers(1, 12), max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-20, 20)
    | st.text(alphabet='}{][",:\\ \n\taé', max_size=8),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=3), some, max_size=3)
    ),
    max_leaves=8,
)
STRUCTURES = st.dictionaries(st.text(max_size=3), VALUES, max_size=4) | st.lists(VALUES, max_size=4)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Objects and arrays, one after another in any form."""
    text = ""
    for value in draw(st.lists(STRUCTURES, max_size=5)):
        text += json.dumps(
            value,
            indent=draw(st.sampled_from([None, None, 0, 2, "\t"])),
            ensure_ascii=draw(st.booleans()),
        )
        text += draw(st.sampled_from(["", "", "\n", "\r\n", " ", "\n\n  "]))
    return text.encode()


def whole(text: str) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of each value, by the standard library."""
    decoder, at = json.JSONDecoder(), 0

    def passed(blanks: str) -> int:
        return at + len(text[at:]) - len(text[at:].lstrip(blanks))

    while (at := passed(" \t\r\n")) < len(text):
        if text[at] != "[":
            _, end = decoder.raw_decode(text, at)
            yield len(text[:at].encode()), text[at:end].encode()
            at = end
            continue
        at += 1
        while text[at := passed(" \t\r\n,")] != "]":
            _, end = decoder.raw_decode(text, at)
            yield len(text[:at].encode()), text[at:end].encode()
            at = end
        at += 1


def is_right(splitter: Splitter, data: bytes, sizes: Sequence[int]) -> bool:
    """Whether a splitter gives what the standard library gives."""
    found: Found = []
    rest = data
    for size in sizes:
        found += splitter.feed(rest[:size])
        rest = rest[size:]
    found += splitter.feed(rest) + splitter.close()
    return [(part.place.offset, part.text) for part in found if isinstance(part, Slice)] == list(
        whole(data.decode())
    ) and not any(isinstance(part, Broken) for part in found)


@given(streams(), DIVISIONS)
@settings(max_examples=examples(300), deadline=None)
def test_the_values_are_those_of_the_standard_library(data: bytes, sizes: list[int]) -> None:
    assert is_right(Splitter(), data, sizes)


class Forgetful(Splitter):
    """Does not know at the next chunk that it is in a string."""

    def feed(self, chunk: bytes) -> Found:
        self._is_in_string = False
        return super().feed(chunk)


class Gullible(Splitter):
    """Believes every guess."""

    def _is_value(self, text: bytes) -> bool:
        return True


@pytest.mark.parametrize("wrong", [Forgetful, Gullible])
def test_the_standard_library_convicts_a_wrong_splitter(wrong: type[Splitter]) -> None:
    def is_convicted(drawn: tuple[bytes, list[int]]) -> bool:
        try:
            return not is_right(wrong(), *drawn)
        except AssertionError:  # of the splitter
            return True

    assert find(
        st.tuples(streams(), DIVISIONS),
        is_convicted,
        settings=settings(max_examples=10_000, deadline=None, phases=[Phase.generate]),
    )


@given(TEXTS | st.binary(max_size=60) | streams(), DIVISIONS, st.sampled_from([5, 12, 1000]))
@example(b'{"a":1}\n {"b', [8, 1], 1000)
@settings(max_examples=examples(700), deadline=None)
def test_any_chunks_give_the_same(data: bytes, sizes: list[int], most_bytes: int) -> None:
    assert split(data, *sizes, most_bytes=most_bytes) == split(data, most_bytes=most_bytes)


@given(TEXTS | streams(), DIVISIONS)
@settings(max_examples=examples(400), deadline=None)
def test_another_splitter_goes_on_from_any_place(data: bytes, sizes: list[int]) -> None:
    found = split(data)
    splitter, fed, done = Splitter(), 0, 0
    for size in sizes:
        done += len(splitter.feed(data[fed : fed + size]))
        fed = min(fed + size, len(data))
        place = splitter.place
        rest = split(data[place.offset :], start=place)
        wanted = [part for part in found if isinstance(part, Slice) and part.place >= place]
        assert [part for part in rest if isinstance(part, Slice)] == wanted


def test_a_value_that_is_too_large_is_passed() -> None:
    large = b'{"a": "' + b"x" * 5000 + b'", "b": [{}]}'
    for data in (large + b'{"c": 1}', b"[" + large + b',\n{"c": 1}]', large + b'\n{"c": 1}\n'):
        for sizes in ((), (100,) * 60):
            broken, after = split(data, *sizes, most_bytes=1000)
            assert isinstance(broken, Broken)
            assert "larger than 1000 bytes" in broken.message
            assert isinstance(after, Slice)
            assert after.text == b'{"c": 1}'
    assert len(split(large, most_bytes=len(large))) == 1


@pytest.mark.parametrize(
    "endless", [b'{"a":"', b'{"a":[', b"x", b"[", b'["', b'{"a":[1}', b"[{} x"]
)
def test_memory_is_bounded(endless: bytes) -> None:
    splitter = Splitter(most_bytes=10_000)
    splitter.feed(endless)
    found: Found = []
    for _ in range(100):
        found += splitter.feed(b"1" * 5_000)
        assert len(splitter._data) <= 20_000
    found += splitter.close()
    assert any("larger" in part.message for part in found if isinstance(part, Broken)) or (
        b"1}" in endless or b"x" in endless
    )


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b'{"a":1 {"b":2}{"c":3}', [b'{"b":2}', b'{"c":3}']),
        (b'{"a":[1} {"b":2}{"c":3}', [b'{"b":2}', b'{"c":3}']),
        (b'{"a":tru}{"b":2}', [b'{"b":2}']),
        (b'[{"a":1},{"b":},{"c":3}]{"d":4}', [b'{"a":1}', b'{"c":3}', b'{"d":4}']),
        (b'[{"a":1},{"b":[},{"c":3}]\n{"d":4}', [b'{"a":1}', b'{"c":3}', b'{"d":4}']),
        (b'[{"a":1},{"b":[}]\n[{"c":3},{"d":4}]', [b'{"a":1}', b'{"c":3}', b'{"d":4}']),
        (b'[{"a":1},{"b":2\n[{"c":3},{"d":4}]', [b'{"a":1}', b'{"c":3}', b'{"d":4}']),
        (b'[{"a":1},\n {"b":"x\n"},\n {"c":3}\n]', [b'{"a":1}', b'{"c":3}']),
        (b'[\n  {\n    "a": [\n      {"x": 1}\n  },\n  {"b": 2}\n]', [b'{"b": 2}']),
        (b'[nope, {"a":1}, tru, 2]', [b'{"a":1}', b"2"]),
        (b'2024-01-01 INFO {"a":1}\n{"b":2}\n', [b'{"b":2}']),
        (b'{"a":1},\n{"b":2},\n{"c":3}', [b'{"a":1}', b'{"b":2}', b'{"c":3}']),
        (b'[{"a":1} {"b":2} {"c":3}]', [b'{"a":1}', b'{"b":2}', b'{"c":3}']),
        (b'{"a":"}{","b":"\\"}{"}{"c":"\\\\"}', [b'{"a":"}{","b":"\\"}{"}', b'{"c":"\\\\"}']),
    ],
)
def test_reading_goes_on(data: bytes, wanted: list[bytes]) -> None:
    found = split(data)
    assert [part.text for part in found if isinstance(part, Slice)] == wanted
    few = sum(isinstance(part, Broken) for part in found)
    assert few <= data.count(b"tru") + 1
    assert few or b'}{",' in data


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'[{"a":1}', (1, 1, "array that begins here")),
        (b'\n [{"a":1},]', (2, 11, "item is missing")),
        (b"[,1]", (1, 2, "item is missing")),
        (b'[{"a":1} {"b":2} {"c":3}]', (1, 10, "comma is missing")),
        (b'[{"a":1},\n{"b":2}\n{"c":3}', (1, 1, "array that begins here")),
        (b'{"a":1}]', (1, 8, "not a JSON value")),
        (b'{"a":1}\n\n   {"b":\r\n 01}', (4, 2, "leading zero")),
    ],
)
def test_places_of_faults(data: bytes, place: tuple[int, int, str]) -> None:
    [broken] = [part for part in split(data) if isinstance(part, Broken)]
    assert (broken.line, broken.column) == place[:2]
    assert place[2] in broken.message


def test_nesting_has_a_limit() -> None:
    for levels, count in ((MOST_LEVELS, 1), (MOST_LEVELS + 1, 0)):
        data = b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)
        for sizes in ((), (10,) * 1000):
            found = split(data, *sizes)
            assert sum(isinstance(part, Slice) for part in found) == count
