"""What is said of an event that is not valid."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.events.schemas.violations import Violation, pointer
from tests.events.schemas.events import MISSING, NAMES, VALIDATORS, changed, example, fields
from tests.events.schemas.test_differential import ANYTHING

SECRET = "isaac.newton@example.com"


def test_all_violations_in_a_fixed_order() -> None:
    event = example("enrollment_created")
    event["metadata"]["event_name"] = "enrollment_updated"
    event["metadata"]["user_id"] = 1.5
    del event["body"]["course_id"]
    event["body"] |= {
        "user_id": "0123",
        "created_at": "2019-02-29T00:00:00Z",
        "type": "",
        "user_name": None,
        "limit_privileges_to_course_section": 1,
    }
    time = (
        "must be a time that exists, written like 2019-11-01T19:11:01.163Z, "
        "2024-03-29T15:43:00-07:00 or 2019-10-05 05:38:00 -0800"
    )
    number = (
        "must be an id: a string of 1 to 19 digits without a leading zero, or a whole number "
        "from 1 to 9223372036854775807"
    )
    expected = [
        Violation("/metadata/event_name", "const", 'must be "enrollment_created"'),
        Violation("/metadata/user_id", "type", "must be a string or a whole number or null"),
        Violation("/body/course_id", "required", 'required property "course_id" is missing'),
        Violation("/body/created_at", "pattern", time),
        Violation("/body/limit_privileges_to_course_section", "type", "must be true or false"),
        Violation("/body/type", "minLength", "must not be empty"),
        Violation("/body/user_id", "pattern", number),
        Violation("/body/user_name", "type", "must be a string"),
    ]
    validator = VALIDATORS["enrollment_created"]
    assert validator.violations(event) == expected
    assert validator.first_violation(event) == expected[0]
    backwards = {key: dict(reversed(event[key].items())) for key in ("body", "metadata")}
    assert validator.violations(backwards) == expected, "the order of the keys does not matter"


def test_the_envelope() -> None:
    validator = VALIDATORS["user_created"]
    metadata = Violation(
        "/metadata", "anyOf", 'required property is missing: "metadata" or "attributes"'
    )
    body = Violation("/body", "required", 'required property "body" is missing')
    assert validator.violations({}) == [metadata, body]
    assert validator.violations(changed(example("user_created"), "metadata", to=MISSING)) == [
        metadata
    ]
    assert validator.violations([]) == [Violation("", "type", "must be an object")]
    faults = validator.violations({"attributes": {}, "body": None})
    assert [(fault.path, fault.rule) for fault in faults] == [
        ("/attributes/event_name", "required"),
        ("/attributes/event_time", "required"),
        ("/body", "type"),
    ]


def test_the_bounds_of_an_integer_id_are_said_in_words() -> None:
    for value, rule in ((0, "minimum"), (2**63, "maximum")):
        [violation] = VALIDATORS["user_created"].violations(
            changed(example("user_created"), "body", "user_id", to=value)
        )
        assert violation.rule == rule
        assert violation.message.startswith("must be an id: ")


def test_an_item_of_an_array_is_pointed_at() -> None:
    event = changed(
        example("course_section_updated"),
        "body",
        "stuck_sis_fields",
        to=["name", 1, *["x"] * 8, None],
    )
    found = VALIDATORS["course_section_updated"].violations(event)
    assert [violation.path for violation in found] == [
        "/body/stuck_sis_fields/1",
        "/body/stuck_sis_fields/10",
    ]


def test_a_valid_event_has_no_first_violation() -> None:
    with pytest.raises(ValueError, match="valid"):
        VALIDATORS["user_created"].first_violation(example("user_created"))


def test_pointers_are_escaped() -> None:
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"
    assert pointer([]) == ""


@pytest.mark.parametrize("name", NAMES)
def test_no_value_and_no_unknown_name_is_ever_quoted(name: str) -> None:
    event = example(name)
    junk = cycle([[SECRET], {SECRET: SECRET}, 7654321.5, 2**64 - 1, SECRET])
    for section in ("metadata", "body"):
        for field in fields(name, section):
            event[section][field] = next(junk)
        event[section][SECRET] = SECRET
    found = VALIDATORS[name].violations(event)
    assert len(found) > 5
    events: list[Any] = [
        event,
        SECRET,
        [SECRET],
        {SECRET: SECRET},
        {"metadata": SECRET, "body": [SECRET]},
    ]
    for value in events:
        text = repr(VALIDATORS[name].violations(value))
        assert SECRET not in text
        assert str(2**64 - 1) not in text
        assert "7654321.5" not in text


@given(
    st.sampled_from(NAMES),
    ANYTHING,
    st.dictionaries(st.sampled_from(["metadata", "attributes", "body", "iss"]), ANYTHING),
)
@settings(deadline=None)
def test_anything_gets_an_answer(name: str, value: Any, envelope: dict[str, Any]) -> None:
    for event in (value, envelope):
        assert (VALIDATORS[name].violations(event) == []) is VALIDATORS[name].is_valid(event)


@pytest.mark.parametrize("depth", [100, 250, 260, 1000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deeply_nested_values(depth: int, opening: bytes, closing: bytes) -> None:
    deep = orjson.loads(opening * depth + b"1" + closing * depth)
    name = "course_section_updated"
    validator = VALIDATORS[name]
    unknown = changed(example(name), "body", "brand_new", to=deep)
    assert validator.is_valid(unknown), "an unknown field may hold anything"
    assert validator.violations(unknown) == []
    assert [
        fault.path for fault in validator.violations(changed(unknown, "body", "name", to=None))
    ] == ["/body/name"]
    assert [
        fault.path for fault in validator.violations(changed(unknown, "body", "course_id", to=deep))
    ] == ["/body/course_id"]
    assert not validator.is_valid(changed(unknown, "body", "course_id", to=deep))
    assert validator.violations(deep)[0].path in ("", "/metadata")
