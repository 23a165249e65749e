"""Values in flight to Kafka, in the order of their file. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rollcall.ingest.file.splitting import Place


@dataclass(slots=True)
class Entry:
    """A value that was handed over to Kafka."""

    place: Place
    size: int
    is_done: bool = False


class Window:
    """Bounds the values in flight, and knows the place before which all are acknowledged.

    Args:
        place: where reading begins.
    """

    def __init__(self, place: Place, *, most_records: int, most_bytes: int) -> None:
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._entries: deque[Entry] = deque()
        self._in_flight = self._bytes = 0
        self._place = place
        self._handed_over = place

    def __len__(self) -> int:
        """Number of values in flight."""
        return self._in_flight

    def has_room(self, size: int) -> bool:
        """Whether a value of so many bytes may be added. An empty window has room for any."""
        return not self._in_flight or (
            self._in_flight < self._most_records and self._bytes + size <= self._most_bytes
        )

    def add(self, place: Place, size: int) -> Entry:
        """A value is handed over."""
        entry = Entry(place, size)
        self._entries.append(entry)
        self._in_flight += 1
        self._bytes += size
        return entry

    def done(self, entry: Entry) -> None:
        """Kafka has acknowledged a value, or refused it for ever."""
        entry.is_done = True
        self._in_flight -= 1
        self._bytes -= entry.size
        while self._entries and self._entries[0].is_done:
            self._place = self._entries.popleft().place

    def pass_to(self, place: Place) -> None:
        """All values before a place were handed over."""
        self._handed_over = place

    @property
    def place(self) -> Place:
        """All values before this place are done."""
        if self._entries:
            return self._entries[0].place
        return max(self._place, self._handed_over, key=lambda place: place.offset)
