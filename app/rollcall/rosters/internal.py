"""Reading what one stage has written for another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rollcall.record import Record
from rollcall.streaming.stages.stage import Row, UnusableError

MOST_SLOTS = 24
"""Of one row. An enrollment is in one section, or for a moment in two; a membership is in one group
for ever. More come from somebody who plays with ids, and must not make a row that no topic takes.
"""


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
        raise UnusableError(
            f"the record's key must have {count} parts: only Rollcall may write to this topic"
        )
    return parts


def value_reader(row: Any) -> Callable[[Record], Any]:
    """A function that reads a record's value as a row of a type; None for a tombstone. It raises
    :class:`UnusableError` for another value: no stage wrote it.
    """
    decode = msgspec.json.Decoder(row).decode

    def read(record: Record) -> Any:
        if record.value is None:
            return None
        try:
            return decode(record.value)
        except ValueError:
            raise UnusableError(
                "the record's value is not what a stage writes: only Rollcall may write to this "
                "topic"
            ) from None

    return read


def replace(row: Row | None, said: Row | None) -> Row | None:
    """Merges what another stage says: it is the one writer of the record key, so what it said last
    is so.
    """
    return row if said == row else said


def merge_slot(row: Row | None, said: tuple[str, Any]) -> Row | None:
    """The row, a value by slot, with one slot set, or emptied (None).

    Raises:
        UnusableError: all slots are taken.
    """
    slot, value = said
    slots: dict[str, Any] = row or {}
    if slots.get(slot) == value:
        return row
    if value is not None and slot not in slots and len(slots) >= MOST_SLOTS:
        raise UnusableError(
            f"one enrollment or membership of {MOST_SLOTS} sections or groups of one course at "
            "once: a row takes no more"
        )
    others = {name: other for name, other in slots.items() if name != slot}
    return (others if value is None else {**others, slot: value}) or None
