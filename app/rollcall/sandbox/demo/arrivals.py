"""Events that were sent to a queue or to the webhook, compared with the raw topic. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

CLAIMS = frozenset({"iss", "iat"})
"""Members that a signature adds to an event."""


class RawEvent(NamedTuple):
    """A record of the raw topic that came through a queue or the webhook."""

    source: str
    partition: int
    value: bytes

    @property
    def event_name(self) -> str:
        """Name of the event, which is valid."""
        name: str = orjson.loads(self.value)["metadata"]["event_name"]
        return name


@dataclass(slots=True)
class Arrivals:
    """The events of one way in."""

    sent: Counter[bytes] = field(default_factory=Counter)
    """Number of each event, in canonical form."""
    found: Counter[bytes] = field(default_factory=Counter)
    """The same on the raw topic."""
    partitions: dict[bytes, set[int]] = field(default_factory=dict)
    """Partitions of the raw topic in which an event is."""

    def add_sent(self, value: bytes) -> None:
        """Count an event that Canvas sends."""
        self.sent[canonical(value)] += 1

    def add_found(self, record: RawEvent) -> None:
        """Count a record of the raw topic."""
        event = canonical(record.value)
        self.found[event] += 1
        self.partitions.setdefault(event, set()).add(record.partition)

    @property
    def lost(self) -> int:
        """Sent events that are not on the raw topic."""
        return (self.sent - self.found).total()

    @property
    def repeated(self) -> int:
        """Records beyond the sent events: deliveries that were repeated."""
        return (self.found - self.sent).total()

    @property
    def twins(self) -> int:
        """Events that are more than once on the raw topic."""
        return sum(count > 1 for count in self.found.values())

    @property
    def parted(self) -> int:
        """Twins in different partitions. There should be none."""
        return sum(len(partitions) > 1 for partitions in self.partitions.values())


def canonical(value: bytes) -> bytes:
    """An event without what a signature adds: equal for equal events."""
    event = orjson.loads(value)
    return orjson.dumps(
        {name: part for name, part in event.items() if name not in CLAIMS},
        option=orjson.OPT_SORT_KEYS,
    )
