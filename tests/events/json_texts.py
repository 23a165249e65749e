"""JSON texts that no serializer would write, and how the standard library reads them: with keys
that come again, and numbers as they are written.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from random import Random
from typing import Any

SPACES = ("", "", "", " ", "\n  ", "\t \r\n")


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object, with keys that may come again."""


def write(value: Any, random: Random) -> str:
    """A value as JSON, with blanks and escapes as they come."""

    def blanks() -> str:
        return random.choice(SPACES)

    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        return (
            "{"
            + ",".join(
                f"{blanks()}{write(key, random)}{blanks()}:"
                f"{blanks()}{write(inner, random)}{blanks()}"
                for key, inner in value
            )
            + blanks()
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(blanks() + write(inner, random) + blanks() for inner in value) + "]"
    if isinstance(value, Number):
        return value
    if isinstance(value, str):
        return (
            '"'
            + "".join(
                _escaped(c)
                if ord(c) < 0x10000 and random.random() < 0.1
                else json.dumps(c, ensure_ascii=False)[1:-1]
                for c in value
            )
            + '"'
        )
    return json.dumps(value)


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"


def reading(text: str | bytes) -> Any:
    """What the standard library reads, with every key that comes again and numbers as they are
    written.
    """
    return json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number)


def without(envelope: Any, names: Collection[str]) -> Any:
    """What was read, without these members of metadata: the oracle of
    app/rollcall/events/dropping.py.
    """
    return Pairs(
        (
            key,
            Pairs(member for member in value if member[0] not in names)
            if key in ("metadata", "attributes") and isinstance(value, Pairs)
            else value,
        )
        for key, value in envelope
    )
