"""Finds changes by which a schema may reject events that its released version accepts.

Compares flat schemas, keyword by keyword. Doubtful changes count as narrowings. Every keyword
narrows a schema, so a removed or loosened keyword is always safe. Only added and changed keywords
are compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from rollcall.events.schemas.files import KNOWN_VALUES, Schema
from rollcall.events.schemas.flatten import is_annotation


class Narrowing(NamedTuple):
    """A change that may reject events that were valid."""

    path: str
    """JSON pointer into the flat schema."""

    change: str


_LOWER_BOUNDS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER_BOUNDS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_EQUAL = frozenset({"not"})
_OF_TYPE = {
    **dict.fromkeys(("pattern", "minLength", "maxLength"), frozenset({"string"})),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        frozenset({"integer", "number"}),
    ),
    **dict.fromkeys(
        ("required", "properties", "minProperties", "maxProperties"), frozenset({"object"})
    ),
    **dict.fromkeys(("items", "minItems", "maxItems"), frozenset({"array"})),
}
"""The types that a keyword constrains. It cannot narrow a schema that accepts none of them."""


def narrowings(old: Schema, new: Schema, path: str = "") -> Iterator[Narrowing]:
    """The changes between two flat schemas that may reject events that were valid."""
    old_types = _types(old)
    for keyword, value in new.items():
        where = f"{path}/{keyword}"
        if keyword == KNOWN_VALUES:
            if gone := [known for known in old.get(keyword, []) if known not in value]:
                yield Narrowing(where, f"no longer lists {', '.join(map(str, gone))}")
        elif (
            is_annotation(keyword)
            or (keyword in old and _same(old[keyword], value))
            or _is_irrelevant(keyword, old_types)
        ):
            continue
        elif keyword in _RULES:
            yield from _RULES[keyword](old, new, where)
        elif keyword in _LOWER_BOUNDS | _UPPER_BOUNDS | _EQUAL:
            yield from _bound(old, keyword, value, where)
        else:
            yield Narrowing(
                where, "a change of this keyword is not understood, so it counts as a narrowing"
            )
    for keyword in old:
        if keyword == KNOWN_VALUES and keyword not in new:
            yield Narrowing(f"{path}/{keyword}", "is gone")
        elif keyword not in UNDERSTOOD and keyword not in new and not is_annotation(keyword):
            yield Narrowing(
                f"{path}/{keyword}",
                "the removal of this keyword is not understood, so it counts as a narrowing",
            )


def _same(one: Any, other: Any) -> bool:
    """Equality as JSON. In Python, true equals 1."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        other, option=orjson.OPT_SORT_KEYS
    )


def _among(one: Any, others: list[Any]) -> bool:
    return any(_same(one, other) for other in others)


def _types(schema: Schema) -> set[str] | None:
    """The accepted types of a schema; None: all."""
    value = schema.get("type")
    return None if value is None else set(value if isinstance(value, list) else [value])


def _is_irrelevant(keyword: str, types: set[str] | None) -> bool:
    """Whether a keyword does not constrain values of these types."""
    return types is not None and keyword in _OF_TYPE and not types & _OF_TYPE[keyword]


def _bound(old: Schema, keyword: str, value: Any, where: str) -> Iterator[Narrowing]:
    if keyword not in old:
        yield Narrowing(where, "is a new constraint")
    elif keyword in _EQUAL:
        yield Narrowing(where, "has changed; it may only be removed")
    elif (value > old[keyword]) if keyword in _LOWER_BOUNDS else (value < old[keyword]):
        yield Narrowing(where, f"was {old[keyword]} and is {value}, which accepts less")


def _pattern(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    if "pattern" not in old:
        yield Narrowing(where, "is a new constraint")
    elif not _only_adds_alternatives(old["pattern"], new["pattern"]):
        yield Narrowing(where, "has changed; it may only be removed, or ^a$ become ^(?:a|b)$")


def _only_adds_alternatives(old: str, new: str) -> bool:
    """Whether a pattern ``^a$`` has become ``^(?:a|b)$``, which accepts all that it accepted."""
    if not (old.startswith("^") and _outline(old).endswith("$")):
        return False
    accepted = old[1:-1]
    return (
        "|" not in _outline(accepted)
        and new.startswith(f"^(?:{accepted}|")
        and _outline(new) == "^()$"
    )


def _outline(pattern: str) -> str:
    """A pattern without the contents of its groups, and with ``x`` for each class and escape."""
    depth, outline = 0, []
    for part in re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern):
        depth -= part == ")"
        if not depth:
            outline.append(part)
        depth += part == "("
    return "".join(outline)


def _type(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    before, now = _types(old), _types(new)
    assert now is not None
    if before is None:
        yield Narrowing(where, "is a new constraint")
    elif gone := before - (now | ({"integer"} if "number" in now else set())):
        yield Narrowing(where, f"no longer accepts {', '.join(sorted(gone))}")


def _required(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    for name in new["required"]:
        if name not in old.get("required", []):
            yield Narrowing(where, f"now requires {name}")


def _values(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    before, now = _allowed_values(old), _allowed_values(new)
    assert now is not None
    if before is None:
        yield Narrowing(where, "is a new constraint")
    elif gone := [value for value in before if not _among(value, now)]:
        yield Narrowing(where, f"no longer accepts {', '.join(map(repr, gone))}")


def _allowed_values(schema: Schema) -> list[Any] | None:
    """The values that ``const`` and ``enum`` allow; None: neither is set."""
    values: list[Any] | None = schema.get("enum")
    if "const" not in schema:
        return values
    return (
        [schema["const"]]
        if values is None
        else [value for value in values if _same(value, schema["const"])]
    )


def _properties(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    before = old.get("properties", {})
    for name, part in new["properties"].items():
        yield from narrowings(before.get(name, {}), part, f"{where}/{name}")


def _items(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    yield from narrowings(old.get("items", {}), new["items"], where)


def _any_of(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    if "anyOf" not in old:
        yield Narrowing(where, "is a new constraint")
    elif any(not _among(branch, new["anyOf"]) for branch in old["anyOf"]):
        yield Narrowing(where, "an alternative was changed or removed")


def _all_of(old: Schema, new: Schema, where: str) -> Iterator[Narrowing]:
    if any(not _among(branch, old.get("allOf", [])) for branch in new["allOf"]):
        yield Narrowing(where, "a part was changed or added")


_RULES: dict[str, Callable[[Schema, Schema, str], Iterator[Narrowing]]] = {
    "type": _type,
    "required": _required,
    "const": _values,
    "enum": _values,
    "pattern": _pattern,
    "properties": _properties,
    "items": _items,
    "anyOf": _any_of,
    "allOf": _all_of,
}

UNDERSTOOD = frozenset(_RULES) | _LOWER_BOUNDS | _UPPER_BOUNDS | _EQUAL
"""Keywords whose changes can be compared. lint.py rejects schemas with others."""
