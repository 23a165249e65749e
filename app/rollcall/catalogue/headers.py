"""The headers that Rollcall writes, and what they mean. Who writes them:
:mod:`rollcall.events.pipeline` and :mod:`rollcall.process.dead_letter_records`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollcall.events.outcomes import ErrorCode
from rollcall.events.pipeline import (
    DROPPED_HEADER,
    ERROR_PREFIX,
    EVENT_ID_DIGITS,
    REDACTED_HEADER,
    WHOLE_VALUE,
)
from rollcall.process.dead_letter_records import ATTEMPT_HEADER, MAX_KEPT_BYTES, SIZE_HEADER

Schema = dict[str, Any]

ID_PATTERN = "[1-9][0-9]{0,18}"
"""Of an id in normal form."""

PASSED_ON = "The raw record's own headers go along, those of a trace (`traceparent`) among them"
"""Of all that the router writes."""


@dataclass(frozen=True, slots=True)
class HeaderField:
    """A header. Its value is text in UTF-8."""

    name: str
    means: str
    schema: Mapping[str, Any]
    """JSON Schema of the value, beyond that it is text."""
    always: bool = True

    def being(self, value: str) -> HeaderField:
        """The same where it always has one value."""
        return replace(self, schema={"const": value})


TYPE = HeaderField("ce_type", "`event_name`", {})
DATASCHEMA = HeaderField(
    "ce_dataschema", "`$id` of the schema by which the event is valid, with its version", {}
)

CLOUD_EVENTS = (
    HeaderField("ce_specversion", "the version of CloudEvents", {"const": "1.0"}),
    TYPE,
    DATASCHEMA,
    HeaderField("content-type", "what the value is", {"const": "application/json"}),
    HeaderField(
        "ce_id",
        "identifies the event: a hash of its metadata and body, the same when it is delivered "
        "again",
        {"pattern": f"^[0-9a-f]{{{EVENT_ID_DIGITS}}}$"},
    ),
    HeaderField("ce_time", "`event_time`, in UTC, as RFC 3339 writes it", {"format": "date-time"}),
    HeaderField(
        "ce_source",
        "`canvas/` and the root account's id in normal form; `canvas` when the event names none",
        {"pattern": f"^canvas(/{ID_PATTERN})?$"},
    ),
)
"""Of typed records: CloudEvents 1.0, binary mode of the Kafka binding."""

REDACTED = HeaderField(
    REDACTED_HEADER,
    "the credential parameters whose values were replaced, separated by commas",
    {"minLength": 1},
    always=False,
)

DROPPED = HeaderField(
    DROPPED_HEADER,
    f"the fields of metadata that were cut out, separated by commas; `{WHOLE_VALUE.decode()}`: "
    "the whole value, as nothing of it could be published",
    {"minLength": 1},
    always=False,
)

ALTERED = (REDACTED, DROPPED)
"""What tells that a value is not the raw record's, byte for byte."""
"""Of any record that the router writes."""

ERRORS = (
    HeaderField(
        f"{ERROR_PREFIX}code",
        "why the record is here",
        {"enum": [code.value for code in ErrorCode]},
    ),
    HeaderField(
        f"{ERROR_PREFIX}message",
        "the rule that is broken, in words; never a value of the event",
        {"minLength": 1},
    ),
    HeaderField(
        f"{ERROR_PREFIX}path", "JSON pointer to the first fault; empty: the record as a whole", {}
    ),
    HeaderField(
        f"{ERROR_PREFIX}schema", "`$id` of the schema that was applied; empty: none was", {}
    ),
    HeaderField(f"{ERROR_PREFIX}topic", "the topic from which the record came", {"minLength": 1}),
    HeaderField(f"{ERROR_PREFIX}partition", "its partition there", {"pattern": "^[0-9]+$"}),
    HeaderField(f"{ERROR_PREFIX}offset", "its offset there", {"pattern": "^[0-9]+$"}),
    HeaderField(
        ATTEMPT_HEADER,
        "1; one more each time that the dead letter was put on raw again and has failed again",
        {"pattern": "^[1-9][0-9]*$"},
    ),
    HeaderField(
        SIZE_HEADER,
        f"with `{ErrorCode.TOO_LARGE.value}` only: bytes of the raw value, of which the first "
        f"{MAX_KEPT_BYTES:,} are kept at most",
        {"pattern": "^[0-9]+$"},
        always=False,
    ),
)
"""Of dead letters."""


def headers_schema(fields: Iterable[HeaderField], description: str) -> Schema:
    """JSON Schema of all headers of a record. Others may stand beside these."""
    fields = tuple(fields)
    schema: Schema = {"type": "object", "description": description}
    if required := [field.name for field in fields if field.always]:
        schema["required"] = required
    return {
        **schema,
        "properties": {
            field.name: {"type": "string", "description": _sentence(field.means), **field.schema}
            for field in fields
        },
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
