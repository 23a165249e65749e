"""What a keyed stage is: a declaration, made of pure functions.

A stage reads records that say something about a key, keeps rows, and publishes what follows from
them. Its rows are of several kinds, each row of one unit that moves on its own. Of each key there
may be one *lead row*, on which what follows from all the other rows of the key depends.

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
"""A JSON array or object. Never altered in place."""


class UnusableError(RollcallError):
    """A record says nothing that a stage can use. ``path`` is a JSON pointer to the fault, if there
    is a place.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


class Change(NamedTuple):
    """What one record says."""

    key: str
    """Of the stage. Without ``/``."""
    unit: str
    """Which row of the key: ``<kind>/<id>``; empty for the lead row."""
    said: Any
    """What the input's ``merge`` takes."""
    time: float | None
    """When it was said at the source, seconds since the epoch; None: the record comes from another
    stage.
    """


@dataclass(frozen=True, slots=True)
class Input:
    """A topic that a stage reads."""

    read: Callable[[Record], Change]
    """Raises :class:`UnusableError`, and nothing else, whatever the record."""
    merge: Callable[[Row | None, Any], Row | None]
    """From a row (None: there is none) and what was said to the new row. The same object when
    nothing changes; None when the row goes. May raise :class:`UnusableError`: what was said cannot
    be taken in.
    """
    trusted: bool = False
    """The records were written by another stage, which chose their partition."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rows."""

    output: str
    """The topic to which what follows from a row goes."""
    derive: Callable[[str, str, Row, Row | None], Mapping[str, Any]]
    """From key, id, row and lead row to output records: JSON values by record key. The part of a
    record key before the first ``/`` decides on the partition.
    """


@dataclass(frozen=True, slots=True)
class Stage:
    """A declaration. Topics are named as in :mod:`rollcall.process.topics`, without prefix."""

    name: str
    inputs: Mapping[str, Input]
    """By topic."""
    kinds: Mapping[str, Kind]
    """By name; the lead row's is :data:`rollcall.streaming.rows.LEAD`. The others have no ``/``."""
    influence: Callable[[Row | None], Any] = lambda lead: None
    """What of the lead row the key's other rows depend on. When it is equal before and after a
    change, they are left alone.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics that the stage writes."""
        return tuple(dict.fromkeys(kind.output for kind in self.kinds.values()))
