"""Flat schemas mean what the schemas with references mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from rollcall.events.schemas.files import SchemaError, read_schema_folder, reference_registry
from rollcall.events.schemas.flatten import Targets, conjunction, flatten
from tests.examples import examples


def flat(schema: Any, **others: Any) -> Any:
    documents = [{"$id": f"urn:test:{name}", **part} for name, part in others.items()]
    return flatten(schema, reference_registry(documents).resolver())


def test_what_stands_beside_a_reference_is_kept() -> None:
    target = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": ["string", "null"], "title": "inner"},
            "b": {"type": "integer"},
        },
    }
    schema = {
        "$ref": "urn:test:t",
        "required": ["b", "a"],
        "properties": {"a": {"type": "string", "title": "outer", "minLength": 1}},
    }
    assert flat(schema, t=target) == {
        "type": "object",
        "required": ["a", "b"],
        "properties": {
            "a": {"type": ["string"], "title": "outer", "minLength": 1},
            "b": {"type": "integer"},
        },
    }


def test_references_into_a_file_and_to_itself() -> None:
    shared = {"$defs": {"x": {"$ref": "urn:test:s#/$defs/y"}, "y": {"type": "string"}}}
    assert flat({"items": {"$ref": "urn:test:s#/$defs/x"}}, s=shared) == {
        "items": {"type": "string"}
    }


def test_a_contradiction_stays_one() -> None:
    schema = flat({"$ref": "urn:test:s", "const": 2}, s={"const": 1})
    assert not any(Draft202012Validator(schema).is_valid(value) for value in (1, 2))


def test_keywords_that_count_their_neighbours_are_kept_apart() -> None:
    schema = flat(
        {"$ref": "urn:test:s", "properties": {"b": {}}},
        s={"properties": {"a": {}}, "additionalProperties": False},
    )
    assert Draft202012Validator(schema).is_valid({"a": 1})
    assert not Draft202012Validator(schema).is_valid({"b": 1})


@pytest.mark.parametrize("reference", ["urn:test:other", "urn:test:s#/$defs/no", "#/$defs/no"])
def test_a_reference_that_leads_nowhere(reference: str) -> None:
    with pytest.raises(SchemaError, match="leads nowhere"):
        flat({"$ref": reference}, s={"$defs": {}})


def test_a_reference_in_a_circle() -> None:
    with pytest.raises(SchemaError, match="in a circle"):
        flat({"$ref": "urn:test:s"}, s={"properties": {"a": {"$ref": "urn:test:s"}}})


def test_targets_may_be_shared() -> None:
    files = read_schema_folder()
    references = reference_registry(file.document for file in files.values())
    targets: Targets = {}
    for file in files.values():
        resolver = references.resolver(file.id)
        assert flatten(file.document, resolver, targets) == flatten(file.document, resolver)
    assert len(targets) > len([name for name in files if name.startswith("bodies/")])


TYPES = st.sampled_from(["string", "integer", "null", "object", "array", "boolean", "number"])
LEAF = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "const": st.sampled_from([1, "a", None]),
        "enum": st.lists(st.sampled_from([1, "a", "b", None, True]), min_size=1, max_size=3),
        "pattern": st.sampled_from(["^a", "b$"]),
        "minimum": st.integers(-1, 2),
        "maximum": st.integers(-1, 2),
        "minLength": st.integers(0, 2),
        "required": st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
        "x-known-values": st.lists(st.sampled_from("ab"), unique=True),
    },
)
SCHEMAS = st.recursive(
    LEAF,
    lambda inner: st.builds(
        lambda base, more: {**base, **more},
        LEAF,
        st.fixed_dictionaries(
            {},
            optional={
                "properties": st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
                "items": inner,
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "additionalProperties": inner,
            },
        ),
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, 2, -1, 1.5, "", "a", "b", "ab", "abc"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=4,
)


@given(SCHEMAS | st.booleans(), SCHEMAS | st.booleans(), st.lists(VALUES, min_size=5, max_size=10))
@settings(max_examples=examples(300), deadline=None)
def test_a_conjunction_accepts_what_both_accept(one: Any, other: Any, values: list[Any]) -> None:
    both = Draft202012Validator(conjunction(one, other))
    apart = Draft202012Validator(one), Draft202012Validator(other)
    for value in values:
        assert both.is_valid(value) is all(part.is_valid(value) for part in apart)
