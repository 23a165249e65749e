"""Counts of records by error, event and hour, in bounded memory. Pure."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, TypeVar

from rollcall.dead_letters.outline import safe_event_name
from rollcall.dead_letters.view import error_fields, event_name_of, format_time
from rollcall.record import Record

MAX_GROUPS = 50_000
"""Limit for groups; later groups are counted as one. One reason in every hour of a month makes some
700 groups.
"""

HOUR_MS = 3_600_000

OTHERS = "(others)"
NOT_SHOWN = "(not shown)"
"""Replaces a name that could be personal data."""


class Group(NamedTuple):
    """Records with one reason and hour."""

    code: str
    event_name: str
    """Empty if there is none, or :data:`NOT_SHOWN`."""
    schema: str
    path: str
    hour: str | None
    """The hour of the record's timestamp, RFC 3339 in UTC. None: no timestamp."""

    @property
    def reason(self) -> Reason:
        """The group without its hour."""
        return Reason(*self[:4])


class Reason(NamedTuple):
    """Error and event of records. Of an error, unknown events have only the code: their reason."""

    code: str
    event_name: str
    schema: str
    path: str


_OTHERS = Group(OTHERS, "", "", "", None)

G = TypeVar("G", bound=tuple[object, ...])


def count_bounded(counts: Counter[G], group: G, others: G) -> None:
    """Add one to a group, or to ``others`` if the group is new and there are :data:`MAX_GROUPS`."""
    counts[group if group in counts or len(counts) < MAX_GROUPS else others] += 1


class Tally:
    """The number of records in each group.

    Args:
        words: texts that may be shown (:func:`rollcall.dead_letters.outline.known_words`).
    """

    def __init__(self, words: frozenset[str]) -> None:
        self.counts = Counter[Group]()
        self._words = words

    def add(self, record: Record) -> None:
        """Count a record."""
        error = error_fields(record.headers)
        name = event_name_label(record, self._words)
        group = Group(
            error.get("code", ""),
            name,
            error.get("schema", ""),
            error.get("path", ""),
            _hour(record.timestamp),
        )
        count_bounded(self.counts, group, _OTHERS)

    def by_reason(self) -> Counter[Reason]:
        """Counts over all hours."""
        counts = Counter[Reason]()
        for group, count in self.counts.items():
            counts[group.reason] += count
        return counts

    def by_hour(self) -> Counter[str | None]:
        """Counts over all reasons."""
        counts = Counter[str | None]()
        for group, count in self.counts.items():
            counts[group.hour] += count
        return counts


def event_name_label(record: Record, words: frozenset[str]) -> str:
    """The event_name of a record; empty if there is none, :data:`NOT_SHOWN` if it is not safe."""
    name = event_name_of(record)
    return "" if name is None else safe_event_name(name, words) or NOT_SHOWN


def _hour(timestamp_ms: int | None) -> str | None:
    if timestamp_ms is None or timestamp_ms < 0:
        return None
    time = format_time(timestamp_ms - timestamp_ms % HOUR_MS)
    return None if time is None else time.replace(".000Z", "Z")
