"""The outcomes of a raw record. Each is exactly one output record on exactly one topic."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Self

from rollcall.events.event_type import EventType
from rollcall.record import EncodedHeaders, Header, decode_headers


class _Explained(StrEnum):
    """Words with meanings."""

    meaning: str
    """One clause for the documents, in Markdown."""

    def __new__(cls, value: str, meaning: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class UnknownReason(_Explained):
    """Why an event is on the topic of unknown events."""

    NO_SCHEMA = "no_schema", "no schema has the `event_name`"
    NOT_SELECTED = "not_selected", "the event type is known, and `ROLLCALL_EVENTS` leaves it out"


class ErrorCode(_Explained):
    """Why a record is on the dead-letter topic."""

    EMPTY = "empty", "the value is null, or has no bytes"
    NOT_JSON = (
        "not_json",
        "the value is not JSON in UTF-8: a truncated event, or an error page of another program",
    )
    NOT_AN_EVENT = (
        "not_an_event",
        "JSON, but not an object with `metadata` (or `attributes`) and `body`, or without a usable "
        "`event_name` or `event_time`",
    )
    CALIPER = (
        "caliper",
        "an IMS Caliper envelope: the subscription in Canvas has the wrong format",
    )
    SCHEMA_VIOLATION = (
        "schema_violation",
        "an event with a known name that violates its schema; `path` points at the first fault",
    )
    TOO_LARGE = (
        "too_large",
        "value and headers exceed the topic's limit; the value is cut to 64 KiB, and "
        "`rollcall.error.size` holds its full length",
    )
    NOT_APPLICABLE = (
        "not_applicable",
        "a valid event that the rosters cannot use: for example, a group that belongs to neither a "
        "course nor an account",
    )


class Routed:
    """A valid event of a known type, as it is published. Made by
    :class:`rollcall.events.publishing.Publisher`.
    """

    __slots__ = (
        "encoded_headers",
        "event_time",
        "event_type",
        "key",
        "raw_headers",
        "redacted",
        "unknown_fields",
        "unknown_values",
        "value",
    )

    event_type: EventType
    key: bytes | None
    """The entity's id in normal form, or another text. None: the event has no key."""
    value: bytes
    encoded_headers: EncodedHeaders
    event_time: float
    """Seconds since the epoch."""
    unknown_fields: int
    """Number of fields in metadata and body that are not in the schema."""
    unknown_values: int
    """Number of values, such as states, that are not in ``x-known-values``. They are valid."""
    redacted: bool
    raw_headers: list[Header]
    """The raw record's headers, for a dead letter that replaces this record."""

    @property
    def headers(self) -> list[Header]:
        """Decoded."""
        return decode_headers(self.encoded_headers)


class Unknown(NamedTuple):
    """An event without a typed topic for its name. One of ``headers`` has the reason."""

    value: bytes
    headers: list[Header]
    redacted: bool
    reason: UnknownReason


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
