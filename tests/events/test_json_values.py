"""Reading a stream of JSON values, whole and broken."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollcall.events.json_values import Broken, Parsed, has_byte_order_mark, read_values
from tests.events.schemas.events import DOCUMENTED, documented
from tests.examples import examples

EVENTS = list(documented().values())


def values(data: bytes) -> list[Any]:
    return [orjson.loads(found.text) for found in read_values(data) if isinstance(found, Parsed)]


def places(data: bytes) -> list[tuple[str, int]]:
    """For each thing found: what it is, and its line."""
    return [
        ("broken" if isinstance(found, Broken) else "value", found.line)
        for found in read_values(data)
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
    assert list(read_values(b'\n[{"a": 1},\n {"b": 2}]\n{"c": 3}')) == [
        Parsed(2, 1, b'{"a": 1}'),
        Parsed(2, 2, b'{"b": 2}'),
        Parsed(4, None, b'{"c": 3}'),
    ]
    assert values(json.dumps(EVENTS, indent=2).encode()) == EVENTS
    assert list(read_values(b"[]")) == []


def test_values_that_are_no_structures() -> None:
    assert list(read_values(b'1\n"x"\n null \n')) == [
        Parsed(1, None, b"1"),
        Parsed(2, None, b'"x"'),
        Parsed(3, None, b"null"),
    ]


def test_nothing() -> None:
    assert (
        list(read_values(b""))
        == list(read_values(b" \r\n\t"))
        == list(read_values(b"\xef\xbb\xbf"))
        == []
    )


def test_byte_order_marks() -> None:
    assert has_byte_order_mark(b"\xef\xbb\xbf{}")
    assert not has_byte_order_mark(b"{}")
    assert values(b'\xef\xbb\xbf{"a": 1}') == [{"a": 1}]
    for encoding in ("utf-16-le", "utf-16-be"):
        [found] = read_values(("\ufeff" + '{"a": 1}').encode(encoding))
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
    found = list(read_values(data))
    read = [orjson.loads(part.text) for part in found if isinstance(part, Parsed)]
    assert [value for value in read if value in EVENTS] == EVENTS
    assert [part.line for part in found if isinstance(part, Broken)] == [2]
    assert [part.line for part in found if isinstance(part, Parsed) and part.line > 2] == list(
        range(3, 3 + len(EVENTS) - 1)
    )


def test_a_broken_pretty_printed_value_is_one_fault_at_its_place() -> None:
    data = b'{\n  "a": [\n    {"b": 1},\n    {"b": 07}\n  ]\n}\n{\n  "c": 1\n}\n'
    assert list(read_values(data)) == [
        Broken(4, 11, "number with leading zero is not allowed"),
        Parsed(7, None, b'{\n  "c": 1\n}'),
    ]


def test_a_value_that_is_not_closed_does_not_hide_the_next() -> None:
    for comma in (b"", b","):
        found = list(read_values(b'{\n "a": 1' + comma + b'\n{"b": 2}\n'))
        assert found == [
            Broken(1, 1, "the value that begins here is not closed"),
            Parsed(3, None, b'{"b": 2}'),
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
        for found in read_values(line.replace(b"a", b"isaac.newton")):
            assert isinstance(found, Parsed) or "isaac" not in repr(found)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ \n\ta1é', max_size=60).map(str.encode))
@example(b'{"\\')
@example(b'{"a":"\\\n"}')
@settings(max_examples=examples(1000), deadline=None)
def test_whatever_the_bytes(data: bytes) -> None:
    found = list(read_values(data))
    lines = data.count(b"\n") + 1
    assert all(1 <= part.line <= lines for part in found)
    assert [part.line for part in found] == sorted(part.line for part in found) or any(
        isinstance(part, Broken) for part in found
    )
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
@settings(max_examples=examples(300), deadline=None)
def test_the_items_of_an_array_are_its_own_bytes(
    items: list[Any], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode(errors="replace")
    found = list(read_values(data))
    assert [found.text in data for found in found if isinstance(found, Parsed)] == [True] * len(
        items
    )
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
    for _ in read_values(data):
        pass
    assert time.process_time() - start < 60
