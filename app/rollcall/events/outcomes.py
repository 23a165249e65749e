"""The outcomes of a raw record. Each is exactly one output record on exactly one topic."""

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
    """Not an object, or without metadata, body, or a usable event_name or event_time."""
    SCHEMA_VIOLATION = "schema_violation"
    TOO_LARGE = "too_large"
    """Larger than the topic's ``max.message.bytes``."""
    NOT_APPLICABLE = "not_applicable"
    """Not usable for the roster stage that reads the topic."""


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
    """Number of fields in metadata and body that are not in the schema."""
    unknown_values: int
    """Number of values, such as states, that are not in ``x-known-values``. They are valid."""
    redacted: bool
    raw_headers: list[Header]
    """The raw record's headers, for a dead letter that replaces this record."""


class Unknown(NamedTuple):
    """An event without a schema for its name."""

    value: bytes
    headers: list[Header]
    redacted: bool


class DeadLetter(NamedTuple):
    """A record that is not a valid event. ``message`` names the rule and never quotes a value."""

    code: ErrorCode
    message: str
    path: str
    """JSON pointer to the first fault; empty for the whole record."""
    schema: str
    """``$id`` of the applied schema, or empty."""
    event_name: str | None
    """An event_name from the registry, or None."""
    value: bytes | None
    headers: list[Header]
    redacted: bool


Outcome = Routed | Unknown | DeadLetter
