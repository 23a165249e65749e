"""Registers: of all events that say something about one thing, the last one.

A register is stored as a list, ``[time, rank, digest, field, field, ...]``: event_time in
microseconds since the epoch, 1 for an ``_updated`` event and 0 for a ``_created`` one, the
beginning of ce_id, and the fields of the body in the order of its family. Where updated_at is no
field of the family, it stands before the others all the same, as it helps to tell which event is
last. The set of events decides that, never their order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from rollcall.events.ids import normal_id
from rollcall.events.times import FIRST_MICROSECOND, LAST_MICROSECOND, parse_microseconds
from rollcall.record import Record
from rollcall.rosters.typed import Reader, TypedEvent
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, UnusableError

Register: TypeAlias = list[Any]

TIME, RANK, DIGEST, _FIRST = 0, 1, 2, 3

MOST_REGISTER_BYTES = 8_192
"""Canvas's names have 255 characters at most. A row must fit into a record, also when a course has
it from several sections for a moment.
"""

_MOST_TIME_CHARACTERS = 40
_NEVER = float("-inf")
_SCALARS = frozenset({str, int, float, bool})


class Family:
    """The events that carry one kind of body, such as enrollment_created and enrollment_updated.

    Args:
        names: of the body's fields that a row has. New ones go to the end: rows are stored by
            place, and rows of older releases are read too.
        ids: those of them that are ids of Canvas entities.
        words: those that must be strings.
    """

    def __init__(
        self, names: tuple[str, ...], *, ids: tuple[str, ...], words: tuple[str, ...]
    ) -> None:
        self.names = names
        self.ids = frozenset(ids)
        self.words = words
        self._shows_updated_at = "updated_at" in names
        self._first = _FIRST if self._shows_updated_at else _FIRST + 1
        self._places = {name: place for place, name in enumerate(names, self._first)}
        self._fields = tuple((name, name in self.ids) for name in names)
        self._updated_at = self._places.get("updated_at", _FIRST)
        self._word_places = tuple(self._places[name] for name in words)
        self._last_needed = max(*self._word_places, self._updated_at)

    def place(self, name: str) -> int:
        """Where in a register a field is."""
        return self._places[name]

    def register(self, event: TypedEvent) -> Register:
        """The register that holds an event.

        Raises:
            UnusableError: a field is not what a row can hold.
        """
        body, shard = event.body, event.shard
        register: Register = [event.time, event.rank, event.digest]
        if not self._shows_updated_at:
            updated_at = body.get("updated_at")
            register.append(
                updated_at
                if type(updated_at) is str and len(updated_at) <= _MOST_TIME_CHARACTERS
                else None
            )
        size = 0
        for name, is_id in self._fields:
            value = body.get(name)
            if value is not None:
                if is_id:
                    value = normal_id(value, shard)
                    if value is None:
                        raise UnusableError(
                            "type: must be an id that is a whole number", f"/body/{name}"
                        )
                elif type(value) is str:
                    size += len(value)
                elif type(value) not in _SCALARS:
                    size += _size_of_list(value, name)
            register.append(value)
        # As JSON a character takes 6 bytes at most.
        if size * 6 > MOST_REGISTER_BYTES and len(orjson.dumps(register)) > MOST_REGISTER_BYTES:
            raise UnusableError(
                f"maxLength: what a row keeps of the body takes more than {MOST_REGISTER_BYTES} "
                "bytes as JSON",
                "/body",
            )
        for name in self.words:
            if type(register[self._places[name]]) is not str:
                raise UnusableError("required: must be a string", f"/body/{name}")
        return register

    def latest(self, known: Register | None, said: Register) -> Register:
        """The later of two: by event_time; then ``_updated`` over ``_created``; then by updated_at;
        then by ce_id. ``known`` itself when nothing is later.
        """
        return said if known is None or self.is_later(said, known) else known

    def is_later(self, one: Register, other: Register) -> bool:
        """Whether one register is later than another."""
        if one[TIME] != other[TIME]:
            return bool(one[TIME] > other[TIME])
        if one[RANK] != other[RANK]:
            return bool(one[RANK] > other[RANK])
        updates = microseconds(one[self._updated_at]), microseconds(other[self._updated_at])
        if updates[0] != updates[1]:
            return updates[0] > updates[1]
        return bool(one[DIGEST] > other[DIGEST])

    def holds(self, value: object) -> bool:
        """Whether a value, read from somewhere, is a register of this family: as far as anything
        depends on it.
        """
        return (
            type(value) is list
            and len(value) > self._last_needed
            and all(type(field) in _SCALARS or field is None or _is_flat(field) for field in value)
            and is_time(value[TIME])
            and type(value[RANK]) is int
            and type(value[DIGEST]) is str
            and all(type(value[place]) is str for place in self._word_places)
        )

    def fields(self, register: Register) -> dict[str, Any]:
        """The body's fields by name, without those that are null."""
        return {
            name: value
            for name, value in zip(self.names, register[self._first :], strict=False)
            if value is not None
        }


def lead_reader(read: Reader, family: Family, key: str) -> Callable[[Record], Change]:
    """A function that reads what typed events say of the lead row of their key.

    Args:
        key: the field of the body that holds it.
    """

    def read_change(record: Record) -> Change:
        event = read(record)
        return Change(event.id(key), LEAD, family.register(event), event.time / 1_000_000)

    return read_change


def shown(fields: dict[str, Any], state: str, reason: str, time: int) -> dict[str, Any]:
    """A row as the rosters have it."""
    return {**fields, "state": state, "state_reason": reason, "as_of": as_of(time)}


def is_time(value: object) -> bool:
    """Whether a value is a time in microseconds, in a year that exists."""
    return type(value) is int and FIRST_MICROSECOND <= value <= LAST_MICROSECOND


def microseconds(text: object) -> float:
    """A written time in whole microseconds since the epoch; minus infinity when it is none."""
    time = parse_microseconds(text)
    return _NEVER if time is None else time


def as_of(time: int) -> str:
    """A time in microseconds since the epoch as rows show it: UTC, RFC 3339, milliseconds."""
    seconds, rest = divmod(time, 1_000_000)
    return f"{_second(seconds)}.{rest // 1000:03d}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def _is_flat(value: object) -> bool:
    return type(value) is list and all(type(item) in _SCALARS for item in value)


def _size_of_list(value: Any, name: str) -> int:
    if not _is_flat(value):
        raise UnusableError(
            "type: must be text, a number, true or false, or a list of such", f"/body/{name}"
        )
    return sum(len(item) if type(item) is str else 8 for item in value)
