"""The types of a register's fields, and reading a declaration.

A register is a ``msgspec.Struct`` whose fields have these types. A type says how a stored value is
checked, and what the field is: an id, a time, a truth value. A text beside the type says what the
field means, where that is not what the event's schema says of it::

    user_name: Annotated[Text, "The name when the enrollment's last event came."]

Rows, the replica's columns, the documents and the lists in tests follow from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args, get_type_hints

from msgspec import Meta, Struct

from rollcall.events.times import FIRST_MICROSECOND, LAST_MICROSECOND

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | list[Scalar] | None
"""What the body of an event may have in a field, as far as rows keep it. Canvas's schemas leave
types open, so no type below is stricter, but for ids and words.
"""


class Sort(Enum):
    """What a field is."""

    ID = "id"
    TEXT = "text"
    TIME = "time"
    FLAG = "truth value"
    NUMBER = "number"
    LIST = "list"


Id: TypeAlias = Annotated[str, Sort.ID]
"""An id of a Canvas entity in normal form. Events without it are not usable."""
OptionalId: TypeAlias = Annotated[str | None, Sort.ID]
Word: TypeAlias = Annotated[str, Sort.TEXT]
"""A string. Events without it are not usable."""
Text: TypeAlias = Annotated[Value, Sort.TEXT]
Time: TypeAlias = Annotated[Value, Sort.TIME]
"""A time as Canvas writes it."""
Flag: TypeAlias = Annotated[Value, Sort.FLAG]
Number: TypeAlias = Annotated[Value, Sort.NUMBER]
List: TypeAlias = Annotated[Value, Sort.LIST]

Microseconds: TypeAlias = Annotated[int, Meta(ge=FIRST_MICROSECOND, le=LAST_MICROSECOND)]
"""Since the epoch, in a year that exists."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a row."""

    name: str
    sort: Sort
    is_required: bool = False
    """Whether every row has it."""
    meaning: str = ""
    """Empty: what the event's schema says of it."""


@cache
def fields_of(register: type[Struct]) -> tuple[Field, ...]:
    """The fields that a register's class declares itself, without those of its base class."""
    base: Any = register.__base__
    hints = get_type_hints(register, include_extras=True)
    names = register.__struct_fields__[len(base.__struct_fields__) :]
    return tuple(_field(name, hints[name]) for name in names)


def _field(name: str, hint: Any) -> Field:
    value, sort, *meaning = get_args(hint)
    return Field(name, sort, type(None) not in get_args(value), *meaning)
