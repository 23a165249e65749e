"""Conditions on rows, with the values that they are about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MOST_NAMED = 1_000
"""Values in one condition, each as a parameter of its own."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition with its values."""

    text: str
    values: tuple[Any, ...] = ()

    def __and__(self, other: Where) -> Where:
        return Where(f"{self.text} AND {other.text}", self.values + other.values)

    def __or__(self, other: Where) -> Where:
        return Where(f"({self.text} OR {other.text})", self.values + other.values)


def among(column: str, values: Sequence[Any]) -> Where:
    """A column has one of these values."""
    if len(values) > MOST_NAMED:
        return Where(
            f"{column} IN (SELECT value FROM json_each(?))", (orjson.dumps(values).decode(),)
        )
    return Where(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))
