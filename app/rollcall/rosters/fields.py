"""The types of a register's fields, and the fields of a class.

A register is a ``msgspec.Struct`` whose fields have these types. The type defines the check of
stored values and the sort of field: an id, a time, a truth value. A text in the annotation is the
field's meaning. Without one, the description in the event's schema applies::

    user_name: Annotated[Text, "The name at the enrollment's last event."]

Rows, the replica's columns, the documents and the lists in tests are made from these classes.
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
"""Values of an event's body that rows can have. Only ids and words are stricter: Canvas's documents
do not specify the types of other fields.
"""


class Sort(Enum):
    """The sort of a field."""

    ID = "id"
    TEXT = "text"
    TIME = "time"
    FLAG = "truth value"
    NUMBER = "number"
    LIST = "list"
    OBJECT = "object"


Id: TypeAlias = Annotated[str, Sort.ID]
"""An id of a Canvas entity in normal form. An event without it is unusable."""
OptionalId: TypeAlias = Annotated[str | None, Sort.ID]
Word: TypeAlias = Annotated[str, Sort.TEXT]
"""A string. An event without it is unusable."""
Text: TypeAlias = Annotated[Value, Sort.TEXT]
Time: TypeAlias = Annotated[Value, Sort.TIME]
"""A time in Canvas's format."""
Flag: TypeAlias = Annotated[Value, Sort.FLAG]
Number: TypeAlias = Annotated[Value, Sort.NUMBER]
List: TypeAlias = Annotated[Value, Sort.LIST]

Microseconds: TypeAlias = Annotated[int, Meta(ge=FIRST_MICROSECOND, le=LAST_MICROSECOND)]
"""Microseconds since the epoch, in the years of :mod:`datetime`."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a row."""

    name: str
    sort: Sort
    is_required: bool = False
    """Whether every row has a value."""
    meaning: str = ""
    """Empty: the description in the event's schema."""


@cache
def fields_of(register: type[Struct]) -> tuple[Field, ...]:
    """The fields of a class, without those of its base class."""
    base: Any = register.__base__
    hints = get_type_hints(register, include_extras=True)
    names = register.__struct_fields__[len(base.__struct_fields__) :]
    return tuple(_field(name, hints[name]) for name in names)


def _field(name: str, hint: Any) -> Field:
    value, sort, *meaning = get_args(hint)
    return Field(name, sort, type(None) not in get_args(value), *meaning)
