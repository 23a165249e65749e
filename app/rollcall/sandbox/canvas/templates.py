"""Templates of events: bytes with slots, which make many different events fast."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from rollcall.sandbox.canvas.pools import (
    Pool,
    rails_seconds,
    utc_milliseconds,
    utc_seconds,
    zoned_seconds,
)

Clock = Callable[[int], bytes]
"""Formats milliseconds since the epoch as a time in JSON."""

CLOCKS: tuple[Clock, ...] = (
    utc_milliseconds,
    utc_milliseconds,
    utc_milliseconds,
    utc_milliseconds,
    utc_seconds,
    utc_seconds,
    zoned_seconds,
    rails_seconds,
)
"""Formats of event_time, by frequency: milliseconds in current Canvas, seconds in older versions.
The other two are valid, but not seen in event_time.
"""

_STYLES: tuple[dict[str, Any], ...] = (
    {"separators": (",", ":")},
    {"separators": (",", ":")},
    {"separators": (",", ":")},
    {},
    {"separators": (",", ":"), "sort_keys": True},
    {"indent": 2},
)
_MARK = re.compile(rb'"@slot (\d+)@"')


@dataclass(frozen=True, slots=True)
class Slot:
    """Placeholder in an event for a value that varies between records."""

    pool: Pool
    clock: Clock | None = None
    """Format of the event's time, which then replaces a value of the pool."""


class Template:
    """Bytes with slots."""

    __slots__ = ("clock", "clock_at", "entity_at", "pattern", "pools")

    pools: list[tuple[Pool, int]]
    """Each slot's pool, with its size: the hot path saves a call of ``len``."""

    def __init__(self, pattern: bytes, slots: list[Slot], entity: Slot | None) -> None:
        self.pattern = pattern
        """Format of the operator ``%``."""
        self.pools = [(slot.pool, len(slot.pool)) for slot in slots]
        timed = [(at, slot.clock) for at, slot in enumerate(slots) if slot.clock is not None]
        self.clock_at, self.clock = timed[0] if timed else (-1, utc_milliseconds)
        """Index of the slot of the event's time (-1: none), and the time's format."""
        self.entity_at = next((at for at, slot in enumerate(slots) if slot is entity), -1)
        """Index of the slot of the entity's id; -1: none."""

    def fill(self, random: Callable[[], float], moment_ms: int) -> tuple[bytes, bytes | None]:
        """Bytes of one event, and its entity's id, if it has a slot.

        Args:
            random: returns random numbers from 0 to 1.
            moment_ms: the event's time, milliseconds since the epoch.
        """
        values = [pool[int(random() * size)] for pool, size in self.pools]
        if self.clock_at >= 0:
            values[self.clock_at] = self.clock(moment_ms)
        entity = values[self.entity_at].strip(b'"') if self.entity_at >= 0 else None
        return self.pattern % tuple(values), entity


def compile_template(event: Any, random: Random, entity: Slot | None = None) -> Template:
    """A template of a JSON value with :class:`Slot` in place of some values. Spaces, order of keys
    and escapes are random.
    """
    slots: list[Slot] = []

    def mark(slot: object) -> str:
        if not isinstance(slot, Slot):
            raise TypeError(f"{type(slot).__name__} is not a JSON value")
        slots.append(slot)
        return f"@slot {len(slots) - 1}@"

    text = json.dumps(
        event, default=mark, ensure_ascii=random.random() < 0.5, **random.choice(_STYLES)
    ).encode()
    varied: list[Slot] = []

    def fold(mark: re.Match[bytes]) -> bytes:
        slot = slots[int(mark[1])]
        if slot.clock is None and len(slot.pool) == 1:
            return slot.pool[0].replace(b"%", b"%%")
        varied.append(slot)
        return b"%b"

    pattern = _MARK.sub(fold, text.replace(b"%", b"%%"))
    return Template(pattern, varied, entity)


def event_time(random: Random) -> Slot:
    """The slot of an event's time."""
    return Slot((b'""',), random.choice(CLOCKS))
