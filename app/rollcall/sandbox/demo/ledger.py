"""Counts of records by event type and by error code, and their differences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rollcall.sandbox.canvas.traffic import Destination, Expectation, TrafficRecord


@dataclass(slots=True)
class Ledger:
    """Counts of records by outcome, of one observer: the sender, a reader of the topics, or the
    router.
    """

    routed: Counter[str] = field(default_factory=Counter)
    """By event_name."""
    unknown: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    """By code."""

    def add(self, expected: Expectation) -> None:
        """Count a record by its expected outcome."""
        if expected.destination is Destination.ROUTED:
            assert expected.event_name is not None
            self.routed[expected.event_name] += 1
        elif expected.destination is Destination.UNKNOWN:
            self.unknown += 1
        else:
            assert expected.code is not None
            self.dead[expected.code] += 1

    @property
    def total_routed(self) -> int:
        """Records on all typed topics."""
        return self.routed.total()

    @property
    def total_dead(self) -> int:
        """Dead letters of all codes."""
        return self.dead.total()

    @property
    def total(self) -> int:
        """All records."""
        return self.total_routed + self.unknown + self.total_dead


class Difference(NamedTuple):
    """A wrong count."""

    label: str
    sent: int
    found: int


def differences(sent: Ledger, found: Ledger) -> list[Difference]:
    """The differences of two ledgers, by event type and by code."""
    pairs = [
        *(
            (f"routed {name}", sent.routed[name], found.routed[name])
            for name in sorted(sent.routed | found.routed)
        ),
        ("unknown", sent.unknown, found.unknown),
        *(
            (f"dead letters {code}", sent.dead[code], found.dead[code])
            for code in sorted(sent.dead | found.dead)
        ),
    ]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def count_records(records: Iterable[TrafficRecord], ledger: Ledger) -> Iterator[TrafficRecord]:
    """The records. Each is counted in the ledger when it passes."""
    for record in records:
        ledger.add(record.expected)
        yield record
