"""Counting records by what they say of themselves, in bounded memory. Pure."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, TypeVar

from rollcall.dead_letters.letter import event_name_of, said_of, written_time
from rollcall.dead_letters.outline import shown_event_name
from rollcall.record import Record

MOST_GROUPS = 50_000
"""Groups that are told apart: a reason in every hour of a month is some 700. With more, what is new
is counted together.
"""

HOUR_MS = 3_600_000

OTHERS = "(others)"
NOT_SHOWN = "(not shown)"
"""Stands for a name that could be personal data."""


class Group(NamedTuple):
    """What is counted together."""

    code: str
    event_name: str
    """Empty: none can be told. Or :data:`NOT_SHOWN`."""
    schema: str
    path: str
    hour: str | None
    """In which the record's timestamp lies, in UTC, RFC 3339. None: it has no timestamp."""

    @property
    def reason(self) -> Reason:
        """The same at any time."""
        return Reason(*self[:4])


class Reason(NamedTuple):
    """Why records are where they are."""

    code: str
    event_name: str
    schema: str
    path: str


_OTHERS = Group(OTHERS, "", "", "", None)

G = TypeVar("G", bound=tuple[object, ...])


def count_one(counts: Counter[G], group: G, others: G) -> None:
    """Count one more of a group; of ``others``, if there are :data:`MOST_GROUPS` and this is not
    one of them.
    """
    counts[group if group in counts or len(counts) < MOST_GROUPS else others] += 1


class Tally:
    """How many records there are of each group.

    Args:
        words: texts that are shown as they are (:func:`rollcall.dead_letters.outline.known_words`).
    """

    def __init__(self, words: frozenset[str]) -> None:
        self.counts = Counter[Group]()
        self._words = words

    def add(self, record: Record) -> None:
        """Count a record."""
        said = said_of(record.headers)
        name = event_name_to_show(record, self._words)
        group = Group(
            said.get("code", ""),
            name,
            said.get("schema", ""),
            said.get("path", ""),
            _hour(record.timestamp),
        )
        count_one(self.counts, group, _OTHERS)

    def by_reason(self) -> Counter[Reason]:
        """At any time."""
        counts = Counter[Reason]()
        for group, count in self.counts.items():
            counts[group.reason] += count
        return counts

    def by_hour(self) -> Counter[str | None]:
        """For whatever reason."""
        counts = Counter[str | None]()
        for group, count in self.counts.items():
            counts[group.hour] += count
        return counts


def event_name_to_show(record: Record, words: frozenset[str]) -> str:
    """The event_name of a record; empty when none can be told, :data:`NOT_SHOWN` when it may not be
    shown.
    """
    name = event_name_of(record)
    return "" if name is None else shown_event_name(name, words) or NOT_SHOWN


def _hour(timestamp_ms: int | None) -> str | None:
    if timestamp_ms is None or timestamp_ms < 0:
        return None
    written = written_time(timestamp_ms - timestamp_ms % HOUR_MS)
    return None if written is None else written.replace(".000Z", "Z")
