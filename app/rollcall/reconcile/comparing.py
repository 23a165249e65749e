"""Compares what Canvas shows with the rosters, counts it, and writes what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from rollcall.events.times import parse_microseconds
from rollcall.reconcile.comparison import Outcome, Row, compare
from rollcall.reconcile.facts import Entity, Fact
from rollcall.reconcile.rows import RosterRows
from rollcall.reconcile.summary import Kind, Summary

AHEAD = 3_600 * 1_000_000
"""An event that is later than the request by so many microseconds is of a wrong clock."""

_KINDS = {
    Outcome.EQUAL: Kind.EQUAL,
    Outcome.NEW: Kind.NEW,
    Outcome.DIFFERENT: Kind.DIFFERENT,
    Outcome.RECENT: Kind.RECENT,
}


class Writer(Protocol):
    """Takes snapshots."""

    def begin(self, fact: Fact) -> None:
        """Begin to write a fact."""

    async def flush(self) -> None:
        """Return when Kafka has acknowledged all facts.

        Raises:
            RollcallError: it has not, and will not.
        """

    async def make_room(self) -> None:
        """Wait while too many facts are not acknowledged."""


class Difference(NamedTuple):
    """A fact that is not in the rosters."""

    course: str
    kind: Kind
    fact: Fact
    fields: tuple[str, ...]
    row: Row | None


class Comparer:
    """Compares facts of one run.

    Args:
        margin: of :attr:`rollcall.reconcile.facts.Fact.time` to the request, microseconds.
        report: takes each difference that is written.
        on_lag: takes the age, in seconds at the request, of each event that Canvas did not show.
    """

    def __init__(
        self,
        *,
        rows: RosterRows,
        writer: Writer,
        summary: Summary,
        margin: int,
        report: Callable[[Difference], object],
        on_lag: Callable[[float], object],
    ) -> None:
        self.rows = rows
        self.summary = summary
        self.writer = writer
        self._margin = margin
        self._report = report
        self._on_lag = on_lag

    async def take(
        self, course: str, facts: Sequence[Fact], group: str | None = None
    ) -> dict[str, Row]:
        """Compare facts of one kind, and write what differs. Returns the rows by id.

        Args:
            course: whose list has them.
            group: of memberships.
        """
        if not facts:
            return {}
        rows = self.rows.by_id(facts[0].entity, [fact.id for fact in facts], group)
        for fact in facts:
            self.judge(course, fact, rows.get(fact.id))
        await self.writer.make_room()
        return rows

    def judge(self, course: str, fact: Fact, row: Row | None) -> Kind:
        """Compare a fact with its row, and write it if it differs and can count."""
        found = compare(fact, row)
        kind = _KINDS[found.outcome]
        if kind is Kind.RECENT and row is not None:
            kind = self._recent(fact, row)
        elif kind is Kind.DIFFERENT and not fact.is_present:
            kind = Kind.ABSENT
        self.summary.count(fact.entity, kind)
        if kind in (Kind.NEW, Kind.DIFFERENT, Kind.ABSENT):
            self._report(Difference(course, kind, found.fact, found.fields, row))
            self.writer.begin(found.fact)
        return kind

    def _recent(self, fact: Fact, row: Row) -> Kind:
        asked_at, event_time = fact.time + self._margin, parse_microseconds(row["as_of"])
        if event_time is None or event_time > asked_at + AHEAD:
            return Kind.AHEAD
        if event_time < asked_at and fact.entity is not Entity.USER:
            self._on_lag((asked_at - event_time) / 1_000_000)
        return Kind.RECENT
