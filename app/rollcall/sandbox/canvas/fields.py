"""Types of the fields of Canvas's events, as families.py uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto


class FieldKind(Enum):
    """Type of a field's values."""

    ID = auto()
    ID_OR_ZERO = auto()
    TIME = auto()
    WORD = auto()
    """One of a few fixed texts, never empty."""
    TEXT = auto()
    FLAG = auto()
    COUNT = auto()
    FOREIGN = auto()
    """An identifier from another system: any text or number."""
    WORDS = auto()
    """A list of texts."""
    NULL = auto()
    """Always null."""
    ID_OR_EMPTY = auto()
    IDS = auto()
    """A list of ids."""
    FOREIGN_IDS = auto()
    DAY = auto()
    """A day without a time."""
    NUMBER = auto()
    OBJECT = auto()
    """An object with known fields."""
    OBJECTS = auto()
    """A list of objects with known fields."""
    ANY_OBJECT = auto()
    """An object with any fields."""
    ANY = auto()
    """A value of any type."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body or of the metadata."""

    kind: FieldKind
    pool: str = ""
    """Pool of the field's values in app/rollcall/sandbox/canvas/pools.py: the entity of an id, or
    the sort of text (``name``, ``token``, ``login``, …).
    """
    words: tuple[str, ...] = ()
    required: bool = True
    """False: the field may be missing or null."""
    local: bool = False
    """Canvas writes this id without its shard."""
    number: bool = False
    """Canvas writes this id as a JSON integer."""
    rare: bool = False
    """Few events have it: under some condition, or of older versions of Canvas."""
    members: Mapping[str, Field] = field(default_factory=dict, hash=False)
    """The fields of an object, or of each object of a list."""


def identity(
    pool: str, *, required: bool = True, local: bool = False, number: bool = False
) -> Field:
    """An id of a Canvas entity."""
    return Field(FieldKind.ID, pool, required=required, local=local, number=number)


def word(*words: str, required: bool = True) -> Field:
    """One of a few words."""
    return Field(FieldKind.WORD, words=words, required=required)


def text(pool: str, *, required: bool = True) -> Field:
    """A text of a pool."""
    return Field(FieldKind.TEXT, pool, required=required)


def object_(*, required: bool = True, **members: Field) -> Field:
    """An object with these fields."""
    return Field(FieldKind.OBJECT, required=required, members=members)


def objects(*, required: bool = True, **members: Field) -> Field:
    """A list of objects with these fields."""
    return Field(FieldKind.OBJECTS, required=required, members=members)


def rare(field: Field) -> Field:
    """The same field, which few events have."""
    return replace(field, rare=True)


TIME = Field(FieldKind.TIME)
OPTIONAL_TIME = Field(FieldKind.TIME, required=False)
OPTIONAL_DAY = Field(FieldKind.DAY, required=False)
FLAG = Field(FieldKind.FLAG)
OPTIONAL_FLAG = Field(FieldKind.FLAG, required=False)
OPTIONAL_COUNT = Field(FieldKind.COUNT, required=False)
OPTIONAL_NUMBER = Field(FieldKind.NUMBER, required=False)
OPTIONAL_FOREIGN = Field(FieldKind.FOREIGN, required=False)
OPTIONAL_FOREIGN_IDS = Field(FieldKind.FOREIGN_IDS, required=False)
