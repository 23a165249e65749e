"""Registers: the latest event of each entity.

A register is stored as a JSON array: event_time, rank, the beginning of ce_id, and the fields of
the body in the order of their declaration. updated_at also decides which event is the latest: if it
is not a field of the row, it comes before the other fields. The result depends on the set of
events, never on the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from rollcall.events.ids import normal_id
from rollcall.events.times import parse_microseconds
from rollcall.rosters.fields import Microseconds, Sort, Value, fields_of
from rollcall.rosters.typed import TypedEvent
from rollcall.streaming.rows import encode_json
from rollcall.streaming.stages.stage import UnusableError

MOST_REGISTER_BYTES = 8_192
"""Maximum size of a register. Names in Canvas have at most 255 characters. A row must fit into a
record even with slots of several sections.
"""

_MOST_TIME_CHARACTERS = 40
_NEVER = float("-inf")
_SCALARS = frozenset({str, int, float, bool})


class Register(Struct, array_like=True, frozen=True, gc=False):
    """Base class of registers with updated_at among their fields.

    A subclass declares the row's fields from the body, with the types of
    :mod:`rollcall.rosters.fields`. Add new fields at the end, with a default: rows of older
    releases lack them.
    """

    time: Microseconds
    """event_time."""
    rank: int
    """1 for an ``_updated`` event, 0 for a ``_created`` one."""
    digest: str
    """The beginning of ce_id."""

    @property
    def updated_at(self) -> Value:
        """A field of every subclass."""
        raise NotImplementedError


class UndatedRegister(Register, array_like=True, frozen=True, gc=False):
    """Base class of registers whose rows lack updated_at."""

    updated_at: Value


class Version(Protocol):
    """The part of a register that decides which of two is later."""

    @property
    def time(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def updated_at(self) -> Value: ...
    @property
    def digest(self) -> str: ...


VersionT = TypeVar("VersionT", bound=Version)
RegisterT = TypeVar("RegisterT", bound=Register)


def latest(known: VersionT | None, update: VersionT) -> VersionT:
    """The later of two registers; ``known`` if neither is later."""
    return update if known is None or is_later(update, known) else known


def is_later(one: Version, other: Version) -> bool:
    """Whether one register is later than another: by event_time, then ``_updated`` after
    ``_created``, then by updated_at, then by ce_id.
    """
    if one.time != other.time:
        return one.time > other.time
    if one.rank != other.rank:
        return one.rank > other.rank
    updates = microseconds(one.updated_at), microseconds(other.updated_at)
    if updates[0] != updates[1]:
        return updates[0] > updates[1]
    return one.digest > other.digest


def body_fields(register: Register) -> dict[str, Any]:
    """Fields of the body by name, without nulls."""
    names, first = _places(type(register))
    return {
        name: value
        for name, value in zip(names, astuple(register)[first:], strict=True)
        if value is not None
    }


@cache
def _places(register: type[Register]) -> tuple[tuple[str, ...], int]:
    names = tuple(field.name for field in fields_of(register))
    return names, len(register.__struct_fields__) - len(names)


def register_maker(register: type[RegisterT]) -> Callable[[TypedEvent], RegisterT]:
    """A function that makes the register of an event. It raises :class:`UnusableError` for an event
    with a field that a row cannot hold.
    """
    fields = tuple((field.name, field.sort is Sort.ID) for field in fields_of(register))
    required = tuple(field.name for field in fields_of(register) if field.is_required)
    is_undated = issubclass(register, UndatedRegister)

    def make(event: TypedEvent) -> RegisterT:
        body, shard = event.body, event.shard
        values: list[Any] = [event.time, event.rank, event.digest]
        if is_undated:
            values.append(_short_time(body.get("updated_at")))
        size = 0
        for name, is_id in fields:
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
            values.append(value)
        # a character has at most 6 bytes in JSON
        if size * 6 > MOST_REGISTER_BYTES and len(encode_json(values)) > MOST_REGISTER_BYTES:
            raise UnusableError(
                f"maxLength: what a row keeps of the body takes more than {MOST_REGISTER_BYTES} "
                "bytes as JSON",
                "/body",
            )
        made = register(*values)
        for name in required:
            if type(getattr(made, name)) is not str:
                raise UnusableError("required: must be a string", f"/body/{name}")
        return made

    return make


def _short_time(updated_at: Any) -> str | None:
    is_short = type(updated_at) is str and len(updated_at) <= _MOST_TIME_CHARACTERS
    return updated_at if is_short else None


def microseconds(text: object) -> float:
    """A time in text as microseconds since the epoch; minus infinity if it is no time."""
    time = parse_microseconds(text)
    return _NEVER if time is None else time


def as_of(time: int) -> str:
    """Microseconds since the epoch in the format of rows: UTC, RFC 3339, milliseconds."""
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
