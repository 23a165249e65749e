"""A relation: the declaration of a roster topic and its rows.

The topic, the replica's table and view, the JSON Schema of rows, the documents and the API's
columns are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from rollcall.rosters.fields import Field, Sort, fields_of

ACCOUNT_PREFIX = "account:"
"""Prefix of keys of rows that belong to an account and to no course."""

CONTEXT = (
    Field(
        "context_type",
        Sort.TEXT,
        is_required=True,
        meaning="Type of the group's context: `Course` or `Account`.",
    ),
    Field(
        "context_id",
        Sort.ID,
        is_required=True,
        meaning="Id of the course or account to which the group belongs.",
    ),
)
"""Fields of rows whose key begins with a course or an account."""

STATE = (
    Field(
        "state",
        Sort.TEXT,
        is_required=True,
        meaning="The current state. Use it instead of `workflow_state`.",
    ),
    Field("state_reason", Sort.TEXT, is_required=True, meaning="The reason for the state."),
    Field(
        "as_of",
        Sort.TEXT,
        is_required=True,
        meaning="`event_time` of the latest event or snapshot that affected the row: UTC, "
        "milliseconds.",
    ),
    Field(
        "snapshot_at",
        Sort.TEXT,
        meaning="`event_time` of the latest snapshot of Canvas: UTC, milliseconds. Only in rows "
        "that have one.",
    ),
    Field(
        "history",
        Sort.OBJECT,
        meaning="What the latest event said, and what the latest snapshot said: `event` and "
        "`snapshot`. Only in rows that have a snapshot.",
    ),
)
"""Fields at the end of all rows."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A roster topic and its rows."""

    name: str
    register: type[Struct]
    """The class that declares the fields of a row: a register, or for a derived relation any Struct
    with such fields. The stage adds :data:`CONTEXT` and :data:`STATE`.
    """
    key: tuple[str, ...]
    """Fields of the record's key: ids with ``/`` between them, unique together. If the first field
    is ``context_type``, the key begins with a course, or with :data:`ACCOUNT_PREFIX` and an
    account.
    """
    rows: str
    """Description of the rows, in one line."""
    bodies: tuple[str, ...]
    """Names of the events' bodies, in ``schemas/bodies/``. The first one has the fields of the row.
    The row's state may be a state of any of them.
    """
    reasons: Mapping[str, str]
    """Values of state_reason, and their meanings."""
    lookups: tuple[tuple[str, ...], ...] = ()
    """Indexes of the replica besides the key: fields of each."""

    @property
    def topic(self) -> str:
        """The topic, without prefix."""
        return f"rosters.{self.name}"

    @property
    def has_context(self) -> bool:
        """Whether rows belong to a course or to an account."""
        return self.key[0] == CONTEXT[0].name

    @property
    def is_of_course(self) -> bool:
        """Whether rows are part of the roster of a course."""
        return self.has_context or self.key[0] == "course_id"

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields of a row, in order."""
        of_register = fields_of(self.register)
        names = {field.name for field in of_register}
        of_context = CONTEXT if self.has_context else ()
        return (
            *of_register,
            *(field for field in of_context if field.name not in names),
            *STATE,
        )
