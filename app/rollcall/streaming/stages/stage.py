"""Declaration of a keyed stage, made of pure functions.

A stage reads records about a key, keeps rows, and publishes records derived from the rows. Rows are
of several kinds, and each row changes on its own. A key may have one *lead row*; the derived
records of all other rows of the key depend on it.

    records --read--> changes --merge--> rows --derive--> output records

:mod:`rollcall.streaming.stages.keyed` runs stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from rollcall.errors import RollcallError
from rollcall.record import Record

Row: TypeAlias = Any
"""A JSON array or object. Never modified in place."""


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


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rows."""

    output: str
    """Topic of the derived records."""
    derive: Callable[[str, str, Row, Row | None], Mapping[str, Any]]
    """Makes output records from key, id, row and lead row: JSON values by record key. The part of a
    record key before the first ``/`` decides the partition.
    """


@dataclass(frozen=True, slots=True)
class Stage:
    """Declaration of a stage. Topic names are those of :mod:`rollcall.process.topics`, without
    prefix.
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
        return tuple(dict.fromkeys(kind.output for kind in self.kinds.values()))
