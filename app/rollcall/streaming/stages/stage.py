"""Declaration of a keyed stage, made of pure functions.

A stage reads records about a key, keeps rows, and publishes records derived from the rows. Rows are
of several kinds, and each row changes on its own. A key may have one *lead row*; the derived
records of all other rows of the key depend on it.

    records --read--> changes --merge--> rows --derive--> output records

:mod:`rollcall.streaming.stages.keyed` runs stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from rollcall.errors import RollcallError
from rollcall.record import Record
from rollcall.streaming.rows import RowDecoder, row_decoder

Row: TypeAlias = Any
"""A ``msgspec.Struct`` that is stored as a JSON array, or a dict of such. Never modified in place.
"""

Derive: TypeAlias = Callable[[str, str, Row, Row | None], Mapping[str, Any]]
"""Makes output records from key, id, row and lead row: values by record key. A value is a row or
JSON. The part of a record key before the first ``/`` decides the partition.
"""


class UnusableError(RollcallError):
    """A record that a stage cannot use. ``path`` is a JSON pointer to the fault, or empty."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


class Change(NamedTuple):
    """Content of one record."""

    key: str
    """Key of the stage. Without ``/``."""
    row_id: str
    """Row within the key: ``<kind>/<id>``; empty for the lead row."""
    update: Any
    """Argument of the input's ``merge``."""
    time: float | None
    """Event time at the source, seconds since the epoch; None: the record comes from another stage.
    """


@dataclass(frozen=True, slots=True)
class Input:
    """A topic that a stage reads."""

    read: Callable[[Record], Change]
    """Raises :class:`UnusableError` for an unusable record, and nothing else for any record."""
    merge: Callable[[Row | None, Any], Row | None]
    """Makes the new row from the row (None: there is none) and an update.

    Returns the same object if nothing changes, and None if the row goes. May raise
    :class:`UnusableError`.
    """
    trusted: bool = False
    """The records come from another stage, which chose their partition."""


@dataclass(frozen=True)
class Kind:
    """A kind of rows."""

    row: Any
    """Type of the rows, for msgspec. Stored rows are checked against it. New fields go to the end,
    with a default.
    """
    outputs: Mapping[str, Derive]
    """By topic of the derived records. New outputs go to the end, and the first one stays the
    first: a stored row has the record keys of the first output as they are, and those of the others
    with the topic before them.
    """

    @cached_property
    def decode(self) -> RowDecoder[Row]:
        """Decode a stored row. Raises :class:`rollcall.streaming.rows.ChangelogError`."""
        return row_decoder(self.row)

    def records(
        self, key: str, row_id: str, row: Row, lead: Row | None
    ) -> Iterator[tuple[str, str, Any]]:
        """Derive all output records of a row: topic, record key and value."""
        for topic, derive in self.outputs.items():
            for record_key, value in derive(key, row_id, row, lead).items():
                yield topic, record_key, value

    def also(self, topic: str, derive: Derive) -> Kind:
        """The same rows with one more output."""
        return Kind(self.row, {**self.outputs, topic: derive})


@dataclass(frozen=True, slots=True)
class Stage:
    """Declaration of a stage. Topic names have no prefix:
    :class:`rollcall.streaming.stages.keyed.StageContext` has the full names.
    """

    name: str
    inputs: Mapping[str, Input]
    """By topic."""
    kinds: Mapping[str, Kind]
    """By name; the lead row's is :data:`rollcall.streaming.rows.LEAD`. Names have no ``/``."""
    lead_fingerprint: Callable[[Row | None], Any] = lambda lead: None
    """The part of the lead row on which other rows of the key depend. If it is equal before and
    after a change, they are not derived again.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics that the stage writes."""
        return tuple(dict.fromkeys(topic for kind in self.kinds.values() for topic in kind.outputs))
