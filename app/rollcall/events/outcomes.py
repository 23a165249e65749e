"""What a raw record can become. Each is exactly one output record on exactly one topic."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from rollcall.events.registry import EventType
from rollcall.record import Header


class ErrorCode(StrEnum):
    """Why a record is on the dead-letter topic."""

    EMPTY = "empty"
    """Null, or zero bytes."""
    NOT_JSON = "not_json"
    NOT_AN_EVENT = "not_an_event"
    """No object, no metadata and body objects, no usable event_name or event_time."""
    SCHEMA_VIOLATION = "schema_violation"
    TOO_LARGE = "too_large"
    """Larger than the topic takes."""
    NOT_APPLICABLE = "not_applicable"
    """On a topic that a roster stage reads, and of no use to it."""


class Routed(NamedTuple):
    """A valid event of a known type."""

    event_type: EventType
    key: bytes
    """The entity's id in normal form."""
    value: bytes
    headers: list[Header]
    event_time: float
    """Seconds since the epoch."""
    unknown_fields: int
    """Fields of metadata and body that the schema does not name."""
    unknown_values: int
    """States and the like that Canvas is not known to write; they are valid."""
    redacted: bool
    raw_headers: list[Header]
    """The raw record's own, as a dead letter would bear them."""


class Unknown(NamedTuple):
    """An event whose name has no schema."""

    value: bytes
    headers: list[Header]
    redacted: bool


class DeadLetter(NamedTuple):
    """No valid event. ``message`` names the rule and never quotes a value."""

    code: ErrorCode
    message: str
    path: str
    """JSON pointer to the first fault; an empty string is the record as a whole."""
    schema: str
    """``$id`` of the schema that was applied, or an empty string."""
    event_name: str | None
    """A name from the registry, or None."""
    value: bytes | None
    headers: list[Header]
    redacted: bool


Outcome = Routed | Unknown | DeadLetter
