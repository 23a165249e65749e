"""Which changes of a schema are safe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from rollcall.events.schemas.compatibility import narrowings
from tests.events.schemas.test_flatten import SCHEMAS, VALUES
from tests.examples import examples

SAFE: list[tuple[Any, Any]] = [
    ({"type": "string"}, {"type": ["string", "null"]}),
    ({"type": ["string", "null"]}, {"type": ["null", "string"]}),
    ({"type": "integer"}, {"type": "number"}),
    ({"type": "string"}, {}),
    ({"type": "string"}, {"type": ["string", "integer"], "minimum": 1}),
    ({"required": ["a", "b"]}, {"required": ["b"]}),
    ({"required": ["a"]}, {}),
    ({"const": 1}, {"enum": [1, 2]}),
    ({"enum": [1]}, {"enum": [2, 1]}),
    ({"pattern": "a"}, {}),
    ({"pattern": "^a$"}, {"pattern": "^(?:a|b)$"}),
    ({"pattern": r"^(?:a|[)|(]\()$"}, {"pattern": r"^(?:(?:a|[)|(]\()|b(?:c|d))$"}),
    ({"minimum": 1}, {"minimum": 0}),
    ({"maximum": 1}, {"maximum": 2}),
    ({"minLength": 1}, {"minLength": 0}),
    ({"maxLength": 1}, {}),
    (
        {"properties": {"a": {"type": "string"}}},
        {"properties": {"a": {}, "b": {"description": "new"}}},
    ),
    ({"properties": {"a": {"type": "string"}}}, {}),
    ({"items": {"type": "string"}}, {"items": {"type": ["string", "null"]}}),
    ({"anyOf": [{"required": ["a"]}]}, {"anyOf": [{"required": ["b"]}, {"required": ["a"]}]}),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, {"allOf": [{"maximum": 2}]}),
    ({"x-known-values": ["a"]}, {"x-known-values": ["b", "a"]}),
    ({"title": "a", "description": "b"}, {"title": "c"}),
]
NARROWING: list[tuple[Any, Any, str]] = [
    ({"type": ["string", "null"]}, {"type": "string"}, "/type"),
    ({"type": "number"}, {"type": "integer"}, "/type"),
    ({}, {"type": "string"}, "/type"),
    ({"required": ["a"]}, {"required": ["a", "b"]}, "/required"),
    ({"enum": [1, 2]}, {"enum": [1]}, "/enum"),
    ({"enum": [1, True]}, {"enum": [1]}, "/enum"),
    ({"const": 1}, {"const": 2}, "/const"),
    ({"const": 1}, {"const": True}, "/const"),
    ({"enum": [1, 2]}, {"enum": [1, 2], "const": 1}, "/const"),
    ({"pattern": "a"}, {"pattern": "a|b"}, "/pattern"),
    ({"pattern": "^a|b$"}, {"pattern": "^(?:a|b|c)$"}, "/pattern"),
    ({"pattern": "^a$"}, {"pattern": "^(?:a|b)(?:c|d)$"}, "/pattern"),
    ({"pattern": "^a$"}, {"pattern": "^(?:a|b)c$"}, "/pattern"),
    ({"pattern": "^a$"}, {"pattern": "^(?:b|a)$"}, "/pattern"),
    ({"pattern": r"^a\$"}, {"pattern": r"^(?:a\|b)$"}, "/pattern"),
    ({"pattern": "a$"}, {"pattern": "^(?:a|b)$"}, "/pattern"),
    ({"pattern": "^a"}, {"pattern": "^(?:a|b)$"}, "/pattern"),
    ({}, {"pattern": "a"}, "/pattern"),
    ({"minimum": 0}, {"minimum": 1}, "/minimum"),
    ({"maximum": 2}, {"maximum": 1}, "/maximum"),
    ({"type": "string"}, {"type": "string", "minLength": 1}, "/minLength"),
    ({"maxLength": 2}, {"maxLength": 1}, "/maxLength"),
    ({"properties": {}}, {"properties": {"a": {"type": "string"}}}, "/properties/a/type"),
    (
        {"properties": {"a": {"properties": {"b": {}}}}},
        {"properties": {"a": {"properties": {"b": {"const": 1}}}}},
        "/properties/a/properties/b/const",
    ),
    ({}, {"items": {"type": "string"}}, "/items/type"),
    ({"anyOf": [{"const": 1}, {"const": 2}]}, {"anyOf": [{"const": 1}]}, "/anyOf"),
    ({}, {"allOf": [{"minimum": 1}]}, "/allOf"),
    ({}, {"additionalProperties": False}, "/additionalProperties"),
    ({"prefixItems": [{}], "items": {"const": 1}}, {"items": {"const": 1}}, "/prefixItems"),
    ({}, {"format": "date-time"}, "/format"),
    ({"x-known-values": ["a", "b"]}, {"x-known-values": ["a"]}, "/x-known-values"),
    ({"x-known-values": ["a"]}, {}, "/x-known-values"),
]


@pytest.mark.parametrize(("old", "new"), SAFE)
def test_safe_changes(old: Any, new: Any) -> None:
    assert list(narrowings(old, new)) == []


@pytest.mark.parametrize(("old", "new", "path"), NARROWING)
def test_narrowing_changes(old: Any, new: Any, path: str) -> None:
    assert path in [narrowing.path for narrowing in narrowings(old, new)]


@given(SCHEMAS)
def test_no_change_is_no_narrowing(schema: Any) -> None:
    assert list(narrowings(schema, schema)) == []


@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=5, max_size=10))
@settings(max_examples=examples(300), deadline=None)
def test_a_change_without_narrowings_rejects_nothing_that_was_accepted(
    old: Any, new: Any, values: list[Any]
) -> None:
    if not list(narrowings(old, new)):
        before, now = Draft202012Validator(old), Draft202012Validator(new)
        assert all(now.is_valid(value) for value in values if before.is_valid(value))


@given(SCHEMAS, st.data(), st.lists(VALUES, min_size=10, max_size=10))
@settings(max_examples=examples(300), deadline=None)
def test_the_same_for_changes_of_one_keyword(
    old: Any, data: st.DataObject, values: list[Any]
) -> None:
    new = dict(old)
    if new:
        del new[data.draw(st.sampled_from(sorted(new)))]
    new |= data.draw(SCHEMAS.map(lambda other: dict(list(other.items())[:1])))
    if not list(narrowings(old, new)):
        before, now = Draft202012Validator(old), Draft202012Validator(new)
        assert all(now.is_valid(value) for value in values if before.is_valid(value))
