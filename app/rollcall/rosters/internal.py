"""Reads and merges records that one stage writes for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rollcall.record import Record
from rollcall.streaming.stages.stage import Row, UnusableError

MOST_SLOTS = 20
"""Maximum number of slots of a row. An enrollment is in one section, for a moment in two; a
membership stays in one group. Only forged ids give more. The limit keeps the row below the topics'
record size.
"""


def parts_of(record: Record, count: int) -> list[str]:
    """The parts of a record's key.

    Raises:
        UnusableError: the key has another number of parts, so no stage wrote it.
    """
    try:
        parts = (record.key or b"").decode().split("/")
    except UnicodeDecodeError:
        parts = []
    if len(parts) != count or not all(parts):
        raise UnusableError(
            f"the record's key must have {count} parts: only Rollcall may write to this topic"
        )
    return parts


def value_reader(row: Any) -> Callable[[Record], Any]:
    """A function that decodes a record's value to a row of a type; None for a tombstone. It raises
    :class:`UnusableError` for a value that no stage wrote.
    """
    decode = msgspec.json.Decoder(row).decode

    def read(record: Record) -> Any:
        if record.value is None:
            return None
        try:
            return decode(record.value)
        except ValueError:
            raise UnusableError(
                "no stage writes such a value: only Rollcall may write to this topic"
            ) from None

    return read


def replace(row: Row | None, update: Row | None) -> Row | None:
    """Replace the row. The record key has one writer, so its last update is valid."""
    return row if update == row else update


def merge_slot(row: Row | None, update: tuple[str, Any]) -> Row | None:
    """Set one slot of the row, or remove it (None). The row has a value for each slot.

    Raises:
        UnusableError: all slots are taken.
    """
    slot, value = update
    slots: dict[str, Any] = row or {}
    if slots.get(slot) == value:
        return row
    if value is not None and slot not in slots and len(slots) >= MOST_SLOTS:
        raise UnusableError(
            f"one enrollment or membership may have at most {MOST_SLOTS} sections or groups of one "
            "course"
        )
    others = {name: other for name, other in slots.items() if name != slot}
    return (others if value is None else {**others, slot: value}) or None
