"""jsonschema-rs on the flat schemas, and jsonschema on the files as they are, give the same
verdict: on every single change of every example, and on events made from the schemas.
"""

from __future__ import annotations

import calendar
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollcall.events.schemas.reference import ReferenceValidator, ecma_pattern
from tests.events.schemas.events import (
    MISSING,
    NAMES,
    ORACLES,
    VALIDATORS,
    changed,
    example,
    fields,
)
from tests.events.schemas.test_variation import (
    BAD_IDS,
    BAD_IDS_OF_OTHER_TYPES,
    BAD_TIMES,
    GOOD_IDS,
    GOOD_TIMES,
    NOT_TEXT,
)
from tests.examples import examples

VALUES: list[Any] = [
    None,
    1.0,
    1e20,
    -(2**63),
    "x",
    *GOOD_IDS,
    *BAD_IDS,
    *BAD_IDS_OF_OTHER_TYPES,
    *GOOD_TIMES,
    *BAD_TIMES,
    *NOT_TEXT,
]


def agree(name: str, event: Any) -> bool:
    """Assert that all of Rollcall's answers and the oracle's are one; return the verdict."""
    validator = VALIDATORS[name]
    verdict = validator.is_valid(event)
    assert ORACLES[name].is_valid(event) is verdict
    assert (validator.violations(event) == []) is verdict
    return verdict


def every_single_change(name: str, event: Any, section: str) -> set[bool]:
    """Assert that both agree on each value in each field of a section; return the verdicts.

    The oracle, which takes hundreds of times as long, judges a value in all fields at once: no rule
    is about two of them.
    """
    verdicts = {agree(name, changed(event, section, field, to=MISSING)) for field in event[section]}
    assert agree(name, event)
    for value in VALUES:
        faults = [
            tuple(error.absolute_path)
            for error in ORACLES[name].iter_errors(
                event | {section: dict.fromkeys(event[section], value)}
            )
        ]
        assert all(path[0] == section and len(path) > 1 for path in faults), (
            "a rule is about more than one field"
        )
        for field in event[section]:
            verdict = (section, field) not in {path[:2] for path in faults}
            single = changed(event, section, field, to=value)
            assert VALIDATORS[name].is_valid(single) is verdict
            assert (VALIDATORS[name].violations(single) == []) is verdict
            verdicts.add(verdict)
    return verdicts


@pytest.mark.parametrize("name", NAMES)
def test_every_single_change_of_the_body(name: str) -> None:
    event = example(name)
    verdicts = {True, False} if event["body"] else set()
    assert every_single_change(name, event, "body") == verdicts


@pytest.mark.parametrize("alias", ["metadata", "attributes"])
def test_every_single_change_of_the_metadata(alias: str) -> None:
    event = example("enrollment_created")
    event = {
        alias: event["metadata"]
        | dict.fromkeys(fields("enrollment_created", "metadata"))
        | event["metadata"],
        "body": event["body"],
    }
    every_single_change("enrollment_created", event, alias)


@pytest.mark.parametrize("name", NAMES)
def test_every_single_change_of_the_envelope(name: str) -> None:
    event = example(name)
    for key in ("metadata", "body"):
        for value in (MISSING, None, 1, "x", [], {}, True, [event], event):
            agree(name, changed(event, key, to=value))
    for value in (
        None,
        1,
        "x",
        [],
        {},
        True,
        [event],
        {"attributes": None},
        event | {"attributes": None},
        event | {"attributes": event["metadata"]},
    ):
        agree(name, value)


def moments() -> st.SearchStrategy[str]:
    """Times in the three written forms, also with years of more than four digits: those that are
    added are whole cycles of leap years.
    """
    fraction = st.sampled_from(["", ".1", ".163", ".163000", ".163000123"])
    more_digits = st.sampled_from(["", "", "", "1", "20"])
    moment = st.builds(
        lambda more, at: more + at.isoformat(timespec="seconds"), more_digits, st.datetimes()
    )
    hours = st.tuples(st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59))
    iso = st.builds(
        lambda at, part, zone: at + part + zone,
        moment,
        fraction,
        st.just("Z") | hours.map(lambda z: f"{z[0]}{z[1]:02}:{z[2]:02}"),
    )
    rails = st.builds(
        lambda at, part, zone: f"{at.replace('T', ' ')}{part} {zone}",
        moment,
        fraction,
        st.just("UTC") | hours.map(lambda z: f"{z[0]}{z[1]:02}{z[2]:02}"),
    )
    return iso | rails


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
TIME_PATTERN = fields("user_created")["created_at"]["pattern"]


def valid(schema: Any) -> st.SearchStrategy[Any]:
    """Values that a flat schema accepts."""
    if "const" in schema:
        return st.just(schema["const"])
    if "type" not in schema:
        return ANYTHING
    kinds = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(schema.get("minimum"), schema.get("maximum", 2**63 - 1)),
        "number": st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False),
        "string": strings(schema),
        "array": st.deferred(
            lambda: st.lists(valid(schema.get("items", {"type": "string"})), max_size=3)
        ),
        "object": st.deferred(lambda: objects(schema)),
    }
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of(*(kinds[kind] for kind in types))


def strings(schema: Any) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern")
    if pattern == TIME_PATTERN:
        return moments()
    if pattern is not None:
        return st.from_regex(ecma_pattern(pattern), fullmatch=True)
    return st.text(min_size=schema.get("minLength", 0), max_size=20)


def objects(schema: Any) -> st.SearchStrategy[Any]:
    properties = {name: valid(part) for name, part in schema.get("properties", {}).items()}
    required = schema.get("required", [])
    known = st.fixed_dictionaries(
        {name: properties[name] for name in required},
        optional={name: part for name, part in properties.items() if name not in required},
    )
    others = st.dictionaries(st.text(max_size=5).map("x_".__add__), ANYTHING, max_size=2)
    return st.builds(lambda own, more: more | own, known, others)


def events(name: str) -> st.SearchStrategy[Any]:
    sections = VALIDATORS[name].schema["properties"]
    alias = st.sampled_from(["metadata", "attributes"])
    return st.builds(
        lambda key, metadata, body: {key: metadata, "body": body},
        alias,
        valid(sections["metadata"]),
        valid(sections["body"]),
    )


EVENTS = {name: events(name) for name in NAMES}


@given(st.data())
@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_events_are_valid_to_both(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    assert agree(name, data.draw(EVENTS[name]))


@given(st.data())
@settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
def test_both_say_the_same_of_broken_events(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    event = data.draw(EVENTS[name])
    for _ in range(data.draw(st.integers(1, 3))):
        section = data.draw(st.sampled_from(sorted(event)))
        if not isinstance(event[section], dict):
            continue
        field = data.draw(
            st.sampled_from(
                sorted(
                    {
                        "brand_new_field",  # some bodies have no fields
                        *event[section],
                        *(fields(name, "metadata") if section != "body" else fields(name)),
                    }
                )
            )
        )
        value = data.draw(ANYTHING | moments() | st.sampled_from([MISSING, *VALUES]))
        event = (
            changed(event, section, field, to=value)
            if value is not MISSING or field in event[section]
            else event
        )
    agree(name, event)


def test_february_in_every_year() -> None:
    for year in (*range(1, 10_000), *range(10_000, 1_000_000, 937), 20_000, 999_996, 990_000):
        event = changed(
            example("user_created"), "body", "created_at", to=f"{year:04}-02-29T12:00:00Z"
        )
        assert VALIDATORS["user_created"].is_valid(event) is calendar.isleap(year), year


def test_every_day_of_two_years_and_none_besides() -> None:
    for year in (2019, 2020):
        for month in range(100):
            for day in range(100):
                exists = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
                assert (
                    bool(
                        ecma_pattern(TIME_PATTERN).search(
                            f"{year}-{month:02}-{day:02} 00:00:00 +0000"
                        )
                    )
                    is exists
                )


def test_the_oracle_reads_patterns_as_ecma_does() -> None:
    def oracle(pattern: str, text: str) -> bool:
        return bool(ReferenceValidator({"pattern": pattern}).is_valid(text))

    assert oracle("^[0-9]+$", "12")
    assert not oracle("^[0-9]+$", "12\n")
    assert not oracle(r"^\d+$", "१२")
    assert oracle("b", "abc"), "a pattern is not anchored"
    assert oracle(r"^[$]\$$", "$$"), "an escaped dollar, and one in a class, is a dollar"
