"""What a dead letter says of itself, and what of it may be shown. Pure; takes any bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from rollcall.dead_letters.outline import METADATA, Outline, outline, shown_event_name
from rollcall.events.pipeline import DROPPED_HEADER, ERROR_PREFIX, WHOLE_VALUE
from rollcall.record import Header, Record

_MOST_CHARACTERS = 500
"""Of a header that is shown."""

_TYPE_HEADER = "ce_type"

_WITHHELD = Outline("withheld: it may hold what ROLLCALL_DROP_METADATA names", (), None)


class StoredRecord(Record, Protocol):
    """A record, and where it is."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is shown."""

    place: tuple[int, int]
    """Partition and offset on the dead-letter topic."""
    timestamp_ms: int
    said: Mapping[str, str]
    """Headers, by what follows ``rollcall.error.``."""
    event_name: str | None
    size: int
    """Bytes of the value."""
    outline: Outline

    def shown(self) -> dict[str, Any]:
        """As JSON values."""
        said = self.said
        return {
            "id": f"{self.place[0]}-{self.place[1]}",
            "at": written_time(self.timestamp_ms),
            "code": said.get("code", ""),
            "message": said.get("message", ""),
            "path": said.get("path", ""),
            "schema": said.get("schema", ""),
            "attempt": said.get("attempt", ""),
            "from": {
                "topic": said.get("topic", ""),
                "partition": said.get("partition", ""),
                "offset": said.get("offset", ""),
            },
            "partition": self.place[0],
            "offset": str(self.place[1]),
            "event_name": self.event_name,
            "size": said.get("size") or str(self.size),
            "kind": self.outline.kind,
            "lines": [[*line] for line in self.outline.lines],
        }


def letter_of(record: StoredRecord, words: frozenset[str]) -> Letter:
    """A record as it is shown.

    Args:
        words: texts that are shown as they are (:func:`rollcall.dead_letters.outline.known_words`).
    """
    view = _WITHHELD if is_withheld(record.headers) else outline(record.value, words)
    event_name = view.event_name or shown_event_name(
        header_text(record.headers, _TYPE_HEADER), words
    )
    timestamp = -1 if record.timestamp is None else record.timestamp
    return Letter(
        (record.partition, record.offset),
        timestamp,
        said_of(record.headers),
        event_name,
        len(record.value or b""),
        view,
    )


def said_of(headers: Sequence[Header]) -> dict[str, str]:
    """Why a record is a dead letter: the texts of its headers, by what follows ``rollcall.error.``.
    Long ones are cut.
    """
    return {
        name.removeprefix(ERROR_PREFIX): _text(content)
        for name, content in headers
        if name.startswith(ERROR_PREFIX)
    }


def is_withheld(headers: Sequence[Header]) -> bool:
    """Whether the value was left out, as nothing of it could be published."""
    return header_text(headers, DROPPED_HEADER) == WHOLE_VALUE.decode()


def header_text(headers: Sequence[Header], name: str) -> str | None:
    """The text of the last header of this name; None: there is none."""
    return next((_text(content) for header, content in reversed(headers) if header == name), None)


def event_name_of(record: Record) -> str | None:
    """What event a record says to be, whatever that is; None: nothing can be told. To be shown only
    by way of :func:`shown_event_name`.
    """
    try:
        content = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        content = None
    if isinstance(content, dict):
        for part in METADATA:
            if isinstance(content.get(part), dict):
                name = content[part].get("event_name")
                return name if isinstance(name, str) else None
    return header_text(record.headers, _TYPE_HEADER)


def written_time(timestamp_ms: int) -> str | None:
    """A record's timestamp as RFC 3339 writes it, in UTC; None: it is no time that can be
    written.
    """
    try:
        return (
            datetime.fromtimestamp(timestamp_ms / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
    except (ValueError, OverflowError, OSError):
        return None


def _text(content: bytes | None) -> str:
    return (content or b"")[: _MOST_CHARACTERS * 4].decode(errors="replace")[:_MOST_CHARACTERS]
