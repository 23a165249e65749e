"""SQL conditions with their values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MOST_PLACEHOLDERS = 1_000
"""Values in one condition that get a placeholder each; more are passed as one JSON array."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition, and values for its placeholders."""

    text: str
    values: tuple[Any, ...] = ()

    def __and__(self, other: Where) -> Where:
        return Where(f"{self.text} AND {other.text}", self.values + other.values)

    def __or__(self, other: Where) -> Where:
        return Where(f"({self.text} OR {other.text})", self.values + other.values)


def among(column: str, values: Sequence[Any]) -> Where:
    """The condition that a column has one of some values."""
    if len(values) > MOST_PLACEHOLDERS:
        return Where(
            f"{column} IN (SELECT value FROM json_each(?))", (orjson.dumps(values).decode(),)
        )
    return Where(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))
