"""Describes why an event is invalid, without its values, which may be personal data.

All words come from the schema: keywords, their values, names of declared properties. Only the
pointer comes from the event. It consists of declared properties and array indices, because
undeclared properties are unconstrained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jsonschema_rs import ValidationError

from rollcall.events.schemas.files import Schema

EXPECTS = "x-expects"
"""Annotation that describes a pattern and its bounds. It completes the sentence "must be ..."."""

_ARTICLES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_SECTIONS = {"metadata": 1, "attributes": 2, "body": 3}


class Violation(NamedTuple):
    """A broken rule."""

    path: str
    """JSON pointer to the fault in the event, or to the place of a missing property. Empty: the
    whole event.
    """

    rule: str
    """The JSON Schema keyword, such as ``required``."""

    message: str
    """The rule in words, without a value of the event."""


def pointer(tokens: Iterable[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def describe(errors: Iterable[ValidationError], schema: Schema) -> list[Violation]:
    """The violations in a fixed order: whole event, metadata, body; in each by pointer and rule.

    ``schema`` is the flat schema of the errors.
    """
    described = {_describe(error, schema) for error in errors}
    return [violation for _, violation in sorted(described)]


def _describe(error: ValidationError, schema: Schema) -> tuple[tuple[Any, ...], Violation]:
    rule = error.kind.name
    place = list(error.instance_path)
    parent = _schema_at(schema, error.schema_path[:-1])
    value = parent.get(rule)
    if rule == "required":
        missing = error.kind.value
        place.append(missing)
        message = f'required property "{missing}" is missing'
    elif rule == "anyOf" and (names := _alternatives(value)):
        place.append(names[0])
        message = "required property is missing: " + " or ".join(f'"{name}"' for name in names)
    else:
        message = _in_words(rule, value, parent)
    return _order(place), Violation(pointer(place), rule, message)


def _order(place: Sequence[str | int]) -> tuple[Any, ...]:
    section = _SECTIONS.get(str(place[0]), 4) if place else 0
    return (
        section,
        tuple((0, token, "") if isinstance(token, int) else (1, 0, token) for token in place),
    )


def _schema_at(schema: Schema, path: Sequence[str | int]) -> Schema:
    node: Any = schema
    for token in path:
        node = node[token]
    return node if isinstance(node, dict) else {}


def _alternatives(branches: Any) -> list[str]:
    """The property names of an ``anyOf`` in which each branch only requires one property."""
    names = [
        branch["required"][0]
        for branch in branches
        if isinstance(branch, dict)
        and branch.keys() == {"required"}
        and len(branch["required"]) == 1
    ]
    return names if len(names) == len(branches) else []


def _in_words(rule: str, value: Any, parent: Schema) -> str:
    if rule == "type":
        return "must be " + " or ".join(
            _ARTICLES[name] for name in (value if isinstance(value, list) else [value])
        )
    if rule in ("pattern", "minimum", "maximum") and EXPECTS in parent:
        return f"must be {parent[EXPECTS]}"
    if rule == "const":
        return f"must be {_quoted(value)}"
    if rule == "enum":
        return "must be one of " + ", ".join(_quoted(option) for option in value)
    if rule == "minLength" and value == 1:
        return "must not be empty"
    return f"breaks the rule {rule} of the schema, whose value is {_quoted(value)}"


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
