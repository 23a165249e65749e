"""Reading what one stage has written for another."""

from __future__ import annotations

from typing import Any

import orjson

from app.streaming.chunks import Record
from app.streaming.stage import Row, UnusableError


def parts_of(record: Record, count: int) -> list[str]:
    """The parts of a record's key.

    Raises:
        UnusableError: there are not so many; no stage wrote it.
    """
    try:
        parts = (record.key or b"").decode().split("/")
    except UnicodeDecodeError:
        parts = []
    if len(parts) != count or not all(parts):
        raise UnusableError(f"the record's key must have {count} parts: only Rollcall may write to this topic")
    return parts


def value_of(record: Record) -> Any:
    """A record's value; None for a tombstone.

    Raises:
        UnusableError: it is no JSON array; no stage wrote it.
    """
    if record.value is None:
        return None
    try:
        value = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, list):
        raise UnusableError("the record's value must be a JSON array: only Rollcall may write to this topic")
    return value


def replace(row: Row | None, said: Row | None) -> Row | None:
    """Merges what another stage says: it is the one writer of the record key, so what it said last is so."""
    return row if said == row else said
