"""Names, meanings and schemas of the headers that :mod:`rollcall.events.publishing`,
:mod:`rollcall.events.pipeline`, :mod:`rollcall.process.dead_letter_records` and
:mod:`rollcall.ingest.raw_records` write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollcall.events.outcomes import ErrorCode, UnknownReason
from rollcall.events.pipeline import DROPPED_HEADER, REDACTED_HEADER, WHOLE_VALUE
from rollcall.events.publishing import ERROR_PREFIX, EVENT_ID_DIGITS, REASON_HEADER
from rollcall.ingest.raw_records import (
    FILE,
    HTTPS,
    MESSAGE_ID_HEADER,
    RECEIVES_HEADER,
    SENT_HEADER,
    SOURCE_HEADER,
    SQS,
)
from rollcall.process.dead_letter_records import ATTEMPT_HEADER, MAX_KEPT_BYTES, SIZE_HEADER

Schema = dict[str, Any]

ID_PATTERN = "[1-9][0-9]{0,18}"
"""Pattern of an id in normal form."""

OTHER_HEADERS = "The raw record's own headers are kept, with those of a trace (`traceparent`)"
"""Applies to all records that the router writes."""


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A header. Its value is text in UTF-8."""

    name: str
    meaning: str
    schema: Mapping[str, Any]
    """JSON Schema of the value, without its type."""
    always: bool = True

    def with_value(self, value: str) -> HeaderField:
        """The same header with a constant value."""
        return replace(self, schema={"const": value})


TYPE = HeaderField("ce_type", "`event_name`", {})
DATASCHEMA = HeaderField("ce_dataschema", "`$id` of the event's schema, with its version", {})

CLOUD_EVENTS = (
    HeaderField("ce_specversion", "the version of CloudEvents", {"const": "1.0"}),
    TYPE,
    DATASCHEMA,
    HeaderField("content-type", "the media type of the value", {"const": "application/json"}),
    HeaderField(
        "ce_id",
        "id of the event: a hash of its metadata and body, the same for each delivery",
        {"pattern": f"^[0-9a-f]{{{EVENT_ID_DIGITS}}}$"},
    ),
    HeaderField(
        "ce_time",
        "`event_time` in UTC, always in the format of RFC 3339",
        {"format": "date-time"},
    ),
    HeaderField(
        "ce_source",
        "`canvas/` and the root account's id in normal form; `canvas` if the event has none",
        {"pattern": f"^canvas(/{ID_PATTERN})?$"},
    ),
)
"""Headers of typed records: CloudEvents 1.0, binary mode of the Kafka binding."""

REDACTED = HeaderField(
    REDACTED_HEADER,
    "the credential parameters whose values were replaced, separated by commas",
    {"minLength": 1},
    always=False,
)

DROPPED = HeaderField(
    DROPPED_HEADER,
    f"the fields of metadata that were dropped, separated by commas; `{WHOLE_VALUE.decode()}`: "
    "the whole value, because no part of it was safe to publish",
    {"minLength": 1},
    always=False,
)

ALTERED = (REDACTED, DROPPED)
"""Headers of any record of the router whose value differs from the raw record's."""

REASON = HeaderField(
    REASON_HEADER,
    "; ".join(f"`{reason.value}`: {reason.meaning}" for reason in UnknownReason),
    {"enum": [reason.value for reason in UnknownReason]},
)
"""The header of unknown events."""

ERRORS = (
    HeaderField(
        f"{ERROR_PREFIX}code",
        "the reason, as a code",
        {"enum": [code.value for code in ErrorCode]},
    ),
    HeaderField(
        f"{ERROR_PREFIX}message",
        "the broken rule, in words; never a value of the event",
        {"minLength": 1},
    ),
    HeaderField(
        f"{ERROR_PREFIX}path", "JSON pointer to the first fault; empty: the whole record", {}
    ),
    HeaderField(f"{ERROR_PREFIX}schema", "`$id` of the applied schema; empty: none", {}),
    HeaderField(f"{ERROR_PREFIX}topic", "the record's source topic", {"minLength": 1}),
    HeaderField(f"{ERROR_PREFIX}partition", "its partition there", {"pattern": "^[0-9]+$"}),
    HeaderField(f"{ERROR_PREFIX}offset", "its offset there", {"pattern": "^[0-9]+$"}),
    HeaderField(
        ATTEMPT_HEADER,
        "the number of failed attempts: 1, and one more for each failed replay",
        {"pattern": "^[1-9][0-9]*$"},
    ),
    HeaderField(
        SIZE_HEADER,
        f"with `{ErrorCode.TOO_LARGE.value}` only: bytes of the raw value; at most the first "
        f"{MAX_KEPT_BYTES:,} are kept",
        {"pattern": "^[0-9]+$"},
        always=False,
    ),
)
"""Headers of dead letters."""


SOURCES = (
    HeaderField(
        SOURCE_HEADER,
        "the way by which Rollcall got the event",
        {"enum": [SQS, HTTPS, FILE]},
        False,
    ),
    HeaderField(MESSAGE_ID_HEADER, "the id of the message in the queue", {}, False),
    HeaderField(
        SENT_HEADER,
        "when the queue took the message, in milliseconds since the epoch",
        {"pattern": "^[0-9]+$"},
        False,
    ),
    HeaderField(
        RECEIVES_HEADER,
        "how often the queue had delivered the message",
        {"pattern": "^[0-9]+$"},
        False,
    ),
)
"""Headers of raw records that ``rollcall ingest`` writes."""


def headers_schema(fields: Iterable[HeaderField], description: str) -> Schema:
    """JSON Schema of the headers of a record. Other headers are allowed."""
    fields = tuple(fields)
    schema: Schema = {"type": "object", "description": description}
    if required := [field.name for field in fields if field.always]:
        schema["required"] = required
    return {
        **schema,
        "properties": {
            field.name: {"type": "string", "description": _sentence(field.meaning), **field.schema}
            for field in fields
        },
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
