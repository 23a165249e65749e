"""The replica's tables: SQL and rows, from the declarations of the relations. Pure.

Ids are whole numbers, times are UTC as Canvas's API writes them, lists are JSON. The views, which
have the names of the relations, are an interface (docs/replica.md). The tables behind them, and
their indexes, may change with any version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import orjson

from rollcall.events.ids import whole_number
from rollcall.events.times import parse_microseconds
from rollcall.rosters.fields import Field, Sort
from rollcall.rosters.registers import as_of
from rollcall.rosters.registry import RELATIONS
from rollcall.rosters.relation import ACCOUNT_PREFIX, STATE, Relation
from rollcall.serve.replica.derived import canvas_state, sortable_name

SCHEMA_VERSION = 2
"""Version of the tables below. A file of another version is rebuilt."""

APPLICATION_ID = 0x526F_6C6C
"""``Roll``: the application_id of Rollcall's SQLite files."""

Key: TypeAlias = tuple[Any, ...]
"""A record's key, in the order of :attr:`rollcall.rosters.relation.Relation.key`."""

Columns: TypeAlias = tuple[Any, ...]
"""A row of a table, in the order of :attr:`Table.columns`."""

_SQL_TYPES = {Sort.ID: "INTEGER", Sort.FLAG: "", Sort.NUMBER: ""}
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class UnusableRecordError(ValueError):
    """A record of a roster topic that is no row."""


@dataclass(frozen=True)
class Computed:
    """A column that the topic does not have."""

    field: Field
    compute: Callable[[Mapping[str, Any]], Any]
    """From a whole row."""


@dataclass(frozen=True)
class Table:
    """The table and the view of a relation."""

    relation: Relation
    computed: tuple[Computed, ...] = ()
    listed: tuple[str, ...] = ()
    """Columns that the key's index contains, too: a long list then needs no rows."""

    @cached_property
    def name(self) -> str:
        """The view's name, which is the relation's."""
        return self.relation.name

    @cached_property
    def table(self) -> str:
        """The table's name."""
        return f"roster_{self.name}"

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The columns of table and view: first those of the key."""
        of_row = self.relation.fields[: -len(STATE)]
        by_name = {field.name: field for field in of_row}
        of_key = [by_name.pop(name) for name in self.relation.key]
        computed = (column.field for column in self.computed)
        return (*of_key, *by_name.values(), *computed, *STATE)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(field.name for field in self.fields)

    def ddl(self) -> list[str]:
        """The statements that create the table, the index for finding and replacing rows, and the
        view.
        """
        columns = ", ".join(f"{field.name} {sql_type(field)}" for field in self.fields)
        return [
            f"CREATE TABLE {self.table} ({columns})",
            f"CREATE INDEX {self.table}_key ON {self.table} "
            f"({', '.join((*self.relation.key, *self.listed))})",
            f"CREATE VIEW {self.name} AS SELECT {', '.join(self.columns)} FROM {self.table}",
        ]

    def index_ddl(self) -> list[str]:
        """The statements that create the other indexes if they are missing. With all rows in the
        table, this takes a third of the time.
        """
        return [
            f"CREATE INDEX IF NOT EXISTS {self.table}_{number} ON {self.table} ({', '.join(names)})"
            for number, names in enumerate(self.relation.lookups, start=1)
        ]

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
        """The statement that selects the row of a key."""
        return f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {self._by_key}"

    @cached_property
    def _by_key(self) -> str:
        return " AND ".join(f"{name} = ?" for name in self.relation.key)

    def key_of(self, record_key: bytes | None) -> Key:
        """The values of the key's columns, from a record's key.

        Raises:
            UnusableRecordError: it is not a key of this relation.
        """
        try:
            parts = (record_key or b"").decode("ascii").split("/")
        except UnicodeDecodeError:
            parts = []
        kind: tuple[str, ...] = ()
        if self.relation.has_context and parts:
            kind = ("Account",) if parts[0].startswith(ACCOUNT_PREFIX) else ("Course",)
            parts[0] = parts[0].removeprefix(ACCOUNT_PREFIX)
        ids = [whole_number(part) for part in parts]
        if len(kind) + len(ids) != len(self.relation.key) or any(
            identity is None or str(identity) != part
            for identity, part in zip(ids, parts, strict=True)
        ):
            raise UnusableRecordError(f"the key is not of the form of {self.relation.topic}")
        return (*kind, *ids)

    def columns_of(self, key: Key, value: bytes) -> Columns:
        """The row of the table, from a record.

        Raises:
            UnusableRecordError: the value is no row.
        """
        try:
            row = orjson.loads(value)
            for field in STATE:
                if field.is_required and type(row[field.name]) is not str:
                    raise TypeError(field.name)
            for column in self.computed:
                row[column.field.name] = column.compute(row)
            for name, of_key in zip(self.relation.key, key, strict=True):
                row[name] = of_key
            return tuple(_stored(name, sort, row.get(name)) for name, sort in self._sorts)
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError, AttributeError) as error:
            raise UnusableRecordError(
                f"the value is no row of {self.relation.topic} ({type(error).__name__})"
            ) from None

    @cached_property
    def _sorts(self) -> tuple[tuple[str, Sort], ...]:
        return tuple((field.name, field.sort) for field in self.fields)


def sql_type(field: Field) -> str:
    """A column's type in SQL; empty: none."""
    return _SQL_TYPES.get(field.sort, "TEXT")


def _stored(name: str, sort: Sort, value: Any) -> Any:
    """A field's value in SQLite. Raises ValueError for a value that no row has."""
    if value is None:
        return None
    if sort is Sort.ID:
        identity = whole_number(value)
        if identity is None:
            raise ValueError(name)
        return identity
    kind = type(value)
    if kind is str:
        return _utc(value) if sort is Sort.TIME else value
    if kind is list or (kind is dict and sort is Sort.OBJECT):
        return orjson.dumps(value).decode()
    if kind not in (int, float, bool):
        raise ValueError(name)
    # Other fields are text in Canvas, and SQLite's whole numbers have 64 bits.
    is_native = sort in (Sort.FLAG, Sort.NUMBER) and (
        kind is not int or _LEAST <= value <= _GREATEST
    )
    return value if is_native else str(value)


@lru_cache(maxsize=65_536)
def _utc(text: str) -> str:
    """A time in the format of Canvas's API: UTC, whole seconds. A text that is no time is not
    changed.
    """
    time = parse_microseconds(text)
    return text if time is None else as_of(time)[:19] + "Z"


_COMPUTED: Mapping[str, tuple[Computed, ...]] = {
    "enrollments": (
        Computed(
            Field(
                "enrollment_state",
                Sort.TEXT,
                is_required=True,
                meaning="Not of the topic: what [Canvas's API shows](api.md#states).",
            ),
            lambda row: canvas_state(row["workflow_state"], row["state"], row["state_reason"]),
        ),
    ),
    "users": (
        Computed(
            Field(
                "sortable_name",
                Sort.TEXT,
                meaning="Not of the topic: made of the name, surname first, as Canvas does it.",
            ),
            lambda row: sortable_name(row.get("name")),
        ),
    ),
}
_LISTED = {"enrollments": ("enrollment_state", "state", "type", "user_id")}

TABLES = tuple(
    Table(relation, _COMPUTED.get(relation.name, ()), _LISTED.get(relation.name, ()))
    for relation in RELATIONS
)
"""The tables of all relations."""

COLUMNS: Mapping[str, tuple[str, ...]] = {table.name: table.columns for table in TABLES}
"""The columns of each view."""
