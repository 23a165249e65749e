"""The redacted view of a dead letter's value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.dead_letters.outline import MAX_LINES, MAX_PARSED_BYTES, known_words, outline
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import schema_folder, schema_paths
from rollcall.events.times import parse_time
from tests.examples import examples

WORDS = known_words()

EVENT: dict[str, Any] = {
    "metadata": {
        "event_name": "enrollment_created",
        "event_time": "2018-10-09T21:07:33Z",
        "user_login": "newton@example.edu",
        "user_id": "21070000000020064",
    },
    "body": {
        "enrollment_id": 46825,
        "user_name": "Isaac Newton",
        "type": "StudentEnrollment",
        "workflow_state": "active",
        "limit": False,
        "score": 1.5,
    },
}

_SAID = re.compile(
    r"null|true|false|time|number with a fraction"
    r"|(object|list|text|whole number|id), [0-9]+ (fields?|items?|characters?|digits?)(, shard "
    r"[0-9]{1,6})?"
    r"|and [0-9]+ (fields|items) more|and more"
).fullmatch
"""All that a line says that is not a word shown as it is."""

_VOCABULARY = (
    "JSON, bytes: null, true, false, time, object, fields, list, items, text, "
    "characters, whole number, digits, id, shard, number with a fraction, and more"
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(sorted(WORDS)),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.text() | st.sampled_from(["event_name", "event_time", "user_name"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
events = st.fixed_dictionaries(
    {
        "metadata": st.dictionaries(st.sampled_from(["event_name", "event_time", "url"]), values),
        "body": values,
    }
)


def test_an_event_is_shown_without_what_it_says() -> None:
    view = outline(orjson.dumps(EVENT), WORDS)
    assert view.event_name == "enrollment_created"
    assert view.kind.endswith("object, 2 fields")
    assert [tuple(line) for line in view.lines] == [
        (0, "metadata", "object, 4 fields"),
        (1, "event_name", "enrollment_created"),
        (1, "event_time", "2018-10-09T21:07:33Z"),
        (1, "user_login", "text, 18 characters"),
        (1, "user_id", "id, 17 digits, shard 2107"),
        (0, "body", "object, 6 fields"),
        (1, "enrollment_id", "whole number, 5 digits"),
        (1, "user_name", "text, 12 characters"),
        (1, "type", "StudentEnrollment"),
        (1, "workflow_state", "active"),
        (1, "limit", "false"),
        (1, "score", "number with a fraction"),
    ]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null: no value"),
        (b"", "no JSON: 0 bytes"),
        (b" \n", "no JSON: 2 bytes"),
        (b"<html><body>Isaac Newton", "no JSON: 24 bytes, begins like HTML or XML"),
        (
            b'{"metadata": {"user_login": "newt',
            "no JSON: 33 bytes, begins like a JSON object, and is cut off or broken",
        ),
        (b"eyJhbGciOiJIUzI1NiJ9.eyJu", "no JSON: 25 bytes, built like a JSON Web Token"),
        (b"\x1f\x8b\x08\x00abc", "no JSON: 7 bytes, compressed by gzip"),
        (b"\x00\x01\x02\x80" * 10, "no JSON: 40 bytes, binary"),
        ("\N{GREEK SMALL LETTER ALPHA}".encode() * 60, "no JSON: 120 bytes, text"),
        (b"Isaac", "no JSON: 5 bytes, text"),
        (b'"Isaac"', "JSON, 7 bytes: text, 5 characters"),
        (b"[1,2,3,4]", "JSON, 9 bytes: list, 4 items"),
    ],
)
def test_what_it_is_as_a_whole(value: bytes | None, kind: str) -> None:
    assert outline(value, WORDS).kind == kind


def test_names_that_are_data_are_not_shown() -> None:
    names = [
        "newton@example.edu",
        "Isaac Newton",
        "21070000000020064",
        "user21070000000020064",
        "",
        "a" * 60,
        "<script>",
        "\N{GREEK SMALL LETTER ALPHA}",
    ]
    view = outline(orjson.dumps(dict.fromkeys(names)), WORDS)
    assert [line.name for line in view.lines] == [
        f"(a name of {len(name)} characters)" for name in names
    ]
    assert [
        line.name for line in outline(b'{"user_nam": 1, "MessageId": 2, "x-y": 3}', WORDS).lines
    ] == ["user_nam", "MessageId", "x-y"]


@pytest.mark.parametrize(
    ("name", "is_shown"),
    [
        ("quizzes-lti.grade_changed", True),
        ("user_created", True),
        ("isaac_newton", False),
        ("newton", False),
        (5, False),
    ],
)
def test_an_event_name_is_shown_if_it_is_one(name: object, is_shown: bool) -> None:
    view = outline(orjson.dumps({"attributes": {"event_name": name}, "body": {}}), WORDS)
    assert view.event_name == (name if is_shown else None)
    assert any(line.content == name for line in view.lines) == is_shown


def test_only_metadata_has_them() -> None:
    view = outline(
        orjson.dumps(
            {
                "body": {
                    "event_time": "2018-10-09T21:07:33Z",
                    "event_name": "quizzes-lti.grade_changed",
                }
            }
        ),
        WORDS,
    )
    assert [line.content for line in view.lines[1:]] == ["time", "text, 25 characters"]


def test_large_and_deep_values_are_cut() -> None:
    assert "too large" in outline(b"[" + b"1," * MAX_PARSED_BYTES + b"1]", WORDS).kind
    wide = outline(
        orjson.dumps(
            {f"field_{'a' * (number % 40)}{number % 1000}": {"a": [1] * 9} for number in range(500)}
        ),
        WORDS,
    )
    assert len(wide.lines) == MAX_LINES + 1
    assert wide.lines[-1].content == "and more"
    deep = outline(b'{"a":' * 900 + b"1" + b"}" * 900, WORDS)
    assert len(deep.lines) < 20
    assert outline(b"[" * 100_000, WORDS).kind.startswith("no JSON")


def test_names_and_states_of_events_are_known() -> None:
    assert REGISTRY.keys() <= WORDS
    assert {"active", "StudentEnrollment", "creation_pending", "Course"} <= WORDS


@given(st.binary() | st.none())
def test_any_bytes_have_a_view(value: bytes | None) -> None:
    assert outline(value, WORDS).kind


@settings(max_examples=examples(150))
@given(events | values)
def test_no_text_of_the_value_is_shown(event: Any) -> None:
    view = outline(orjson.dumps(event), WORDS)
    for line in view.lines:
        is_named = line.name == "event_name" and line.content == view.event_name
        is_time = line.name == "event_time" and parse_time(line.content) is not None
        assert _SAID(line.content) or line.content in WORDS or is_named or is_time, line
    shown = "\n".join((view.kind, *(line.content for line in view.lines)))
    for text in texts(event):
        is_secret = (
            len(text) >= 4
            and text not in WORDS
            and parse_time(text) is None
            and text != view.event_name
        )
        # What is said of anything may happen to be a part of some text.
        assert not is_secret or text not in shown or text in _VOCABULARY or _SAID(text), text


def texts(value: Any) -> Iterator[str]:
    """All texts in a value that are not names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)


def test_examples_of_all_events_can_be_shown() -> None:
    for _, path in schema_paths(schema_folder()):
        for example in json.loads(path.read_bytes()).get("examples", ()):
            view = outline(orjson.dumps(example), WORDS)
            shown = " ".join(line.content for line in view.lines)
            assert "Newton" not in shown
            assert "2107000" not in shown
