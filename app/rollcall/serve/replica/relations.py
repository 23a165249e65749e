"""What the replica holds: its relations, from records of the roster topics to rows of SQL. Pure.

Ids are whole numbers, times are UTC as Canvas's API writes them, lists are JSON. A view of each
relation's name is for everybody (docs/replica.md); the tables behind the views, and their indexes,
may change with any version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import orjson

from rollcall.events.ids import whole_number
from rollcall.events.times import parse_microseconds
from rollcall.rosters.course import COURSE
from rollcall.rosters.enrollment import ENROLLMENT
from rollcall.rosters.group import ACCOUNT_PREFIX, GROUP, MEMBERSHIP
from rollcall.rosters.registers import Family, as_of
from rollcall.rosters.section import SECTION
from rollcall.rosters.user import USER
from rollcall.serve.replica.derived import canvas_state, sortable_name

SCHEMA_VERSION = 1
"""Of the tables below. A file of another version is made anew."""

APPLICATION_ID = 0x526F_6C6C
"""``Roll``: what SQLite files of Rollcall have as their application_id."""

Key: TypeAlias = tuple[Any, ...]
"""What a record's key says, in the order of :attr:`Relation.key`."""

Columns: TypeAlias = tuple[Any, ...]
"""A row of a table, in the order of :attr:`Relation.columns`."""

_SHOWN = ("state", "state_reason", "as_of")
_INTEGER, _TEXT = "INTEGER", "TEXT"
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class UnusableRecordError(ValueError):
    """A record of a roster topic is no row."""


@dataclass(frozen=True)
class Relation:
    """A roster topic, and the table that holds it.

    Args:
        name: the topic is ``<prefix>.rosters.<name>``, the view has this name.
        family: the fields of a row.
        key: columns that the record's key tells, together unique.
        listed: columns that stand in the key's index too, so that a long list is made without
            reading its rows.
        indexes: further indexes, by their columns.
        context: the key begins with a course, or with ``account:`` and an account.
        computed: further columns, each from a whole row.
    """

    name: str
    family: Family
    key: tuple[str, ...]
    listed: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    context: bool = False
    computed: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)

    @cached_property
    def table(self) -> str:
        """The table's name."""
        return f"roster_{self.name}"

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Of table and view."""
        context = ("context_type", "context_id") if self.context else ()
        return tuple(
            dict.fromkeys((*self.key, *self.family.names, *context, *self.computed, *_SHOWN))
        )

    def ddl(self) -> list[str]:
        """The statements that make the table, the index by which rows are found and replaced, and
        the view.
        """
        columns = ", ".join(f"{name} {self._type(name)}" for name in self.columns)
        return [
            f"CREATE TABLE {self.table} ({columns})",
            f"CREATE INDEX {self.table}_key ON {self.table} "
            f"({', '.join((*self.key, *self.listed))})",
            f"CREATE VIEW {self.name} AS SELECT {', '.join(self.columns)} FROM {self.table}",
        ]

    def index_ddl(self) -> list[str]:
        """The statements that make the other indexes, where they are missing: on all rows at once
        that takes a third of the time.
        """
        return [
            f"CREATE INDEX IF NOT EXISTS {self.table}_{number} ON {self.table} ({', '.join(index)})"
            for number, index in enumerate(self.indexes, start=1)
        ]

    def _type(self, name: str) -> str:
        return _INTEGER if name in self._ids else _TEXT if name not in _UNTYPED else ""

    @cached_property
    def _ids(self) -> frozenset[str]:
        return self.family.ids | {"context_id"} if self.context else self.family.ids

    @cached_property
    def insert(self) -> str:
        """The statement that adds a row."""
        return (
            f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES "
            f"({', '.join('?' * len(self.columns))})"
        )

    @cached_property
    def delete(self) -> str:
        """The statement that removes the row of a key."""
        return f"DELETE FROM {self.table} WHERE {self._by_key}"

    @cached_property
    def select(self) -> str:
        """The statement that gives the row of a key."""
        return f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {self._by_key}"

    @cached_property
    def _by_key(self) -> str:
        return " AND ".join(f"{name} = ?" for name in self.key)

    def key_of(self, record_key: bytes | None) -> Key:
        """What a record's key says.

        Raises:
            UnusableRecordError: it is not a key of this relation.
        """
        try:
            parts = (record_key or b"").decode("ascii").split("/")
        except UnicodeDecodeError:
            parts = []
        kind: tuple[str, ...] = ()
        if self.context and parts:
            kind = ("Account",) if parts[0].startswith(ACCOUNT_PREFIX) else ("Course",)
            parts[0] = parts[0].removeprefix(ACCOUNT_PREFIX)
        ids = [whole_number(part) for part in parts]
        if len(kind) + len(ids) != len(self.key) or any(
            identity is None or str(identity) != part
            for identity, part in zip(ids, parts, strict=True)
        ):
            raise UnusableRecordError(f"the key is not of the form of rosters.{self.name}")
        return (*kind, *ids)

    def columns_of(self, key: Key, value: bytes) -> Columns:
        """A record as a row of the table.

        Raises:
            UnusableRecordError: the value is no row.
        """
        try:
            row = orjson.loads(value)
            for name in _SHOWN:
                if type(row[name]) is not str:
                    raise TypeError(name)
            for name, compute in self.computed.items():
                row[name] = compute(row)
            ids = self._ids
            for name, of_key in zip(self.key, key, strict=True):
                row[name] = of_key
            if self.context:
                row["context_id"] = key[1]
            return tuple(_stored(name, row.get(name), name in ids) for name in self.columns)
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError, AttributeError) as error:
            raise UnusableRecordError(
                f"the value is no row of rosters.{self.name} ({type(error).__name__})"
            ) from None


_UNTYPED = frozenset(
    {
        "limit_privileges_to_course_section",
        "default_section",
        "accepting_enrollments",
        "restrict_enrollments_to_section_dates",
        "can_manually_enroll",
        "max_membership",
    }
)
"""Columns of truth values and numbers."""


def _stored(name: str, value: Any, is_id: bool) -> Any:
    """A field as SQLite holds it, and gives it back. Raises ValueError for what no row has."""
    if value is None:
        return None
    if is_id:
        identity = whole_number(value)
        if identity is None:
            raise ValueError(name)
        return identity
    kind = type(value)
    if kind is str:
        return _utc(value) if name.endswith("_at") else value
    if kind is list:
        return orjson.dumps(value).decode()
    if kind not in (int, float, bool):
        raise ValueError(name)
    # Canvas has text there, and SQLite whole numbers of 64 bits.
    return (
        value
        if name in _UNTYPED and (kind is not int or _LEAST <= value <= _GREATEST)
        else str(value)
    )


@lru_cache(maxsize=65_536)
def _utc(text: str) -> str:
    """A written time as Canvas's API writes it: UTC, whole seconds. As it stands when it is no
    time.
    """
    time = parse_microseconds(text)
    return text if time is None else as_of(time)[:19] + "Z"


RELATIONS = (
    Relation("courses", COURSE, ("course_id",), indexes=(("name",),)),
    Relation(
        "sections",
        SECTION,
        ("course_id", "course_section_id"),
        indexes=(("course_section_id",), ("sis_source_id",)),
    ),
    Relation(
        "enrollments",
        ENROLLMENT,
        ("course_id", "enrollment_id"),
        listed=("enrollment_state", "state", "type", "user_id"),
        indexes=(
            ("course_section_id", "enrollment_id"),
            ("user_id", "enrollment_id"),
            ("enrollment_id",),
        ),
        computed={
            "enrollment_state": lambda row: canvas_state(
                row["workflow_state"], row["state"], row["state_reason"]
            )
        },
    ),
    Relation(
        "groups",
        GROUP,
        ("context_type", "context_id", "group_id"),
        indexes=(("group_id",),),
        context=True,
    ),
    Relation(
        "memberships",
        MEMBERSHIP,
        ("context_type", "context_id", "group_membership_id"),
        indexes=(("group_id", "group_membership_id"), ("user_id", "group_id")),
        context=True,
    ),
    Relation(
        "users",
        USER,
        ("user_id",),
        indexes=(("user_sis_id",), ("user_login",)),
        computed={"sortable_name": lambda row: sortable_name(row.get("name"))},
    ),
)
"""All of them."""
