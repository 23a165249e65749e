"""A redacted view of a stored dead letter, and readers of its headers. Pure; accepts any bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from rollcall.dead_letters.outline import METADATA, Outline, outline, safe_event_name
from rollcall.events.pipeline import DROPPED_HEADER, WHOLE_VALUE
from rollcall.events.publishing import ERROR_PREFIX, OUTCOME_PREFIXES, REASON_HEADER
from rollcall.record import Header, Record

_MAX_CHARACTERS = 500
"""Limit for the text of a header."""

_TYPE_HEADER = "ce_type"

_WITHHELD = Outline("withheld: it may hold what ROLLCALL_DROP_METADATA names", (), None)


class StoredRecord(Record, Protocol):
    """A record with its topic and partition."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """The parts of a dead letter that may be shown."""

    place: tuple[int, int]
    """Partition and offset on the dead-letter topic."""
    timestamp_ms: int
    error: Mapping[str, str]
    """Texts of the headers ``rollcall.error.<field>``, by field."""
    event_name: str | None
    size: int
    """Bytes of the value."""
    outline: Outline

    def as_json(self) -> dict[str, Any]:
        """The view as a JSON object."""
        error = self.error
        return {
            "id": f"{self.place[0]}-{self.place[1]}",
            "at": format_time(self.timestamp_ms),
            "code": error.get("code", ""),
            "message": error.get("message", ""),
            "path": error.get("path", ""),
            "schema": error.get("schema", ""),
            "attempt": error.get("attempt", ""),
            "from": {
                "topic": error.get("topic", ""),
                "partition": error.get("partition", ""),
                "offset": error.get("offset", ""),
            },
            "partition": self.place[0],
            "offset": str(self.place[1]),
            "event_name": self.event_name,
            "size": error.get("size") or str(self.size),
            "kind": self.outline.kind,
            "lines": [[*line] for line in self.outline.lines],
        }


def view_of(record: StoredRecord, words: frozenset[str]) -> DeadLetterView:
    """The view of a stored dead letter.

    Args:
        words: texts that may be shown (:func:`rollcall.dead_letters.outline.known_words`).
    """
    value_outline = _WITHHELD if is_withheld(record.headers) else outline(record.value, words)
    event_name = value_outline.event_name or safe_event_name(
        header_text(record.headers, _TYPE_HEADER), words
    )
    timestamp = -1 if record.timestamp is None else record.timestamp
    return DeadLetterView(
        (record.partition, record.offset),
        timestamp,
        error_fields(record.headers),
        event_name,
        len(record.value or b""),
        value_outline,
    )


def error_fields(headers: Sequence[Header]) -> dict[str, str]:
    """Texts of the headers ``rollcall.error.<field>``, by field. Long texts are cut. The reason of
    an unknown event is its code.
    """
    return {
        "code" if name == REASON_HEADER else name.removeprefix(ERROR_PREFIX): _text(content)
        for name, content in headers
        if name.startswith(OUTCOME_PREFIXES)
    }


def is_withheld(headers: Sequence[Header]) -> bool:
    """Whether the router left the value out because no part of it was safe to publish."""
    return header_text(headers, DROPPED_HEADER) == WHOLE_VALUE.decode()


def header_text(headers: Sequence[Header], name: str) -> str | None:
    """The text of the last header with this name, or None."""
    return next((_text(content) for header, content in reversed(headers) if header == name), None)


def event_name_of(record: Record) -> str | None:
    """The event_name in a record's metadata, else in its ``ce_type`` header; None: neither.

    Untrusted text: show it only through :func:`safe_event_name`.
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


def format_time(timestamp_ms: int) -> str | None:
    """A record's timestamp in RFC 3339, UTC; None if it is out of range."""
    try:
        return (
            datetime.fromtimestamp(timestamp_ms / 1000, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
    except (ValueError, OverflowError, OSError):
        return None


def _text(content: bytes | None) -> str:
    return (content or b"")[: _MAX_CHARACTERS * 4].decode(errors="replace")[:_MAX_CHARACTERS]
