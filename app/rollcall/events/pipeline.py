"""The meaning of a raw record: bytes and headers in, :class:`Routed`, :class:`Unknown` or
:class:`DeadLetter` out.

Pure: no Kafka, no clock, no environment. It never raises, whatever the bytes.

    redact -> parse -> drop -> envelope -> type -> schema -> key -> headers

An event is judged as it was received, and published, and identified by ``ce_id``, without the
fields of its metadata that are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from rollcall.events.dropping import MetadataDropper
from rollcall.events.ids import normal_id, shard_of
from rollcall.events.outcomes import DeadLetter, ErrorCode, Outcome, Routed, Unknown
from rollcall.events.redaction import Redactor
from rollcall.events.registry import EventType
from rollcall.events.schemas.validation import EventValidator
from rollcall.events.times import parse_time, read_valid_time
from rollcall.record import Header

REDACTED_HEADER = "rollcall.redacted"
DROPPED_HEADER = "rollcall.dropped"
WHOLE_VALUE = b"*"
"""In :data:`DROPPED_HEADER`: nothing of the value could be published."""

ERROR_PREFIX = "rollcall.error."

MOST_NAME_CHARACTERS = 255
"""A longer event_name is not usable: the registry could never hold it, and no producer writes it.
"""

EVENT_ID_DIGITS = 32
"""Hexadecimal digits of ce_id: 128 bits of SHA-256, so that two different events of one institution
never share one.
"""

OWN_HEADERS = frozenset(
    {"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_dataschema", "content-type"}
)
"""What every typed record has."""

_SORTED = orjson.OPT_SORT_KEYS

_loads = orjson.loads
_dumps = orjson.dumps
_sha256 = hashlib.sha256


class _Type(NamedTuple):
    """What the hot path needs of an event type."""

    is_valid: Callable[[object], bool]
    event_type: EventType
    key: str
    headers: tuple[Header, ...]
    body_fields: frozenset[str]
    metadata_fields: frozenset[str]
    known_values: tuple[tuple[str, frozenset[str]], ...]


class Origin(NamedTuple):
    """What an event's root account says: :meth:`Pipeline.origin`."""

    shard: int | None
    source: Header


class Pipeline:
    """Judges records one by one.

    Args:
        validators: by event_name.
        shard: of local ids in events that do not tell their shard; None: unknown.
        redactor: None leaves credentials as they are.
        dropper: None leaves all fields of the metadata.
    """

    def __init__(
        self,
        validators: Mapping[str, EventValidator],
        *,
        shard: int | None = None,
        redactor: Redactor | None = None,
        dropper: MetadataDropper | None = None,
    ) -> None:
        self.validators = validators
        self.redactor = redactor
        self._dropper = dropper
        self._types = {name: _hot(validator) for name, validator in validators.items()}

        @lru_cache(maxsize=1024, typed=True)
        def origin(root_account_id: str | int | float | None) -> Origin:
            its_shard = shard_of(root_account_id) or shard
            root = normal_id(root_account_id, its_shard)
            return Origin(
                its_shard, ("ce_source", b"canvas" if root is None else b"canvas/" + root.encode())
            )

        self.origin = origin

    def __call__(self, value: bytes | None, headers: Sequence[Header] = ()) -> Outcome:
        """Judge one record. ``headers`` are the raw record's own."""
        # Nearly every event goes this way from top to bottom; it is one function because calls cost
        # more than what they would do.
        raw = list(headers)
        redacted = False
        if (redactor := self.redactor) is not None and (
            raw or (value and redactor.names_any(value))
        ):
            value, raw, redacted = self.redact(value, raw)
        if not value:
            return DeadLetter(
                ErrorCode.EMPTY, "the record has no value", "", "", None, value, raw, redacted
            )
        try:
            event = _loads(value)
        except orjson.JSONDecodeError as error:
            if self._dropper is not None:
                value, raw = _withhold(raw)
            return DeadLetter(
                ErrorCode.NOT_JSON,
                f"not JSON in UTF-8: the fault is at character {error.pos}",
                "",
                "",
                None,
                value,
                raw,
                redacted,
            )
        if self._dropper is not None:
            value, raw = _drop(self._dropper, event, value, raw)
        # A schema that holds says everything about the envelope too.
        try:
            metadata = event["metadata"] if "metadata" in event else event["attributes"]
            (
                is_valid,
                event_type,
                key_field,
                known_headers,
                body_fields,
                metadata_fields,
                known_values,
            ) = self._types[metadata["event_name"]]
        except (KeyError, TypeError):
            return self._judge_envelope(event, value, raw, redacted)
        if not is_valid(event):
            return self._judge_envelope(event, value, raw, redacted)
        body = event["body"]
        instant = read_valid_time(metadata["event_time"])
        if instant is None:
            part = "valid by its pattern, but in a year that does not exist in UTC"
            return DeadLetter(
                ErrorCode.NOT_AN_EVENT,
                f"required: must be a time that exists ({part})",
                "/metadata/event_time",
                "",
                None,
                value,
                raw,
                redacted,
            )
        epoch, rfc3339 = instant
        shard, source = self.origin(metadata.get("root_account_id"))
        key = normal_id(body[key_field], shard)
        if key is None:
            # JSON Schema takes 1.0 for an integer, and 2.1070000000001533e16 too, which is no
            # longer the id that was meant.
            message = (
                "type: an id must be a whole number up to 9223372036854775807, beyond 2^53 "
                "written without fraction or exponent"
            )
            schema_id = self.validators[event_type.name].schema_id
            return DeadLetter(
                ErrorCode.SCHEMA_VIOLATION,
                message,
                f"/body/{key_field}",
                schema_id,
                event_type.name,
                value,
                raw,
                redacted,
            )
        try:
            published = metadata if self._dropper is None else self._dropper.without(metadata)
            canonical = _dumps({"metadata": published, "body": body}, None, _SORTED)
        except orjson.JSONEncodeError:
            return DeadLetter(
                ErrorCode.NOT_JSON,
                "nested deeper than 254 levels",
                "",
                "",
                event_type.name,
                value,
                raw,
                redacted,
            )
        its_headers = [
            *known_headers,
            ("ce_id", _sha256(canonical).hexdigest()[:EVENT_ID_DIGITS].encode()),
            ("ce_time", rfc3339.encode()),
            source,
        ]
        if raw:
            its_headers += [
                header
                for header in raw
                if header[0] not in OWN_HEADERS and not header[0].startswith(ERROR_PREFIX)
            ]
        unknown_fields = (
            0 if body_fields.issuperset(body) else len(body) - len(body_fields.intersection(body))
        )
        if not metadata_fields.issuperset(metadata):
            unknown_fields += len(metadata) - len(metadata_fields.intersection(metadata))
        unknown_values = 0
        for field, values in known_values:
            if (said := body.get(field)) is not None and said not in values:
                unknown_values += 1
        # In half the time of its own ``__new__``, which is Python.
        return tuple.__new__(
            Routed,
            (
                event_type,
                key.encode(),
                value,
                its_headers,
                epoch,
                unknown_fields,
                unknown_values,
                redacted,
                raw,
            ),
        )

    def _judge_envelope(
        self, event: object, value: bytes, raw: list[Header], redacted: bool
    ) -> Unknown | DeadLetter:
        """What becomes of an event that is of no known type, or not valid. The envelope is looked
        at first: a fault there says nothing of a type.
        """
        if not isinstance(event, dict):
            return _no_event("type: must be an object", "", value, raw, redacted)
        part = "metadata" if "metadata" in event else "attributes"
        metadata = event.get(part)
        if not isinstance(metadata, dict):
            place = "/metadata" if metadata is None else f"/{part}"
            return _no_event(
                "required: must be an object; a self-hosted Canvas may call it attributes",
                place,
                value,
                raw,
                redacted,
            )
        if not isinstance(event.get("body"), dict):
            return _no_event("required: must be an object", "/body", value, raw, redacted)
        name = metadata.get("event_name")
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME_CHARACTERS:
            return _no_event(
                f"required: must be a string of 1 to {MOST_NAME_CHARACTERS} characters",
                f"/{part}/event_name",
                value,
                raw,
                redacted,
            )
        if parse_time(metadata.get("event_time")) is None:
            return _no_event(
                "required: must be a time that exists, as Canvas writes times",
                f"/{part}/event_time",
                value,
                raw,
                redacted,
            )
        validator = self.validators.get(name)
        if validator is None:
            return Unknown(
                value,
                [header for header in raw if not header[0].startswith(ERROR_PREFIX)],
                redacted,
            )
        violation = validator.first_violation(event)
        schema_id = validator.schema_id
        return DeadLetter(
            ErrorCode.SCHEMA_VIOLATION,
            f"{violation.rule}: {violation.message}",
            violation.path,
            schema_id,
            name,
            value,
            raw,
            redacted,
        )

    @property
    def drops_fields(self) -> bool:
        """Whether fields of the metadata are cut out of events."""
        return self._dropper is not None

    def known_headers(self, name: str) -> tuple[Header, ...]:
        """The headers with which those of all events of one type begin."""
        return self._types[name].headers

    def redact(
        self, value: bytes | None, raw: list[Header]
    ) -> tuple[bytes | None, list[Header], bool]:
        """The value and the raw headers without credentials, and whether there were any. A header
        tells which parameters were found.
        """
        redactor = self.redactor
        if redactor is None:
            return value, raw, False
        found: frozenset[bytes] = frozenset()
        if value:
            value, found = redactor(value)
        if raw:
            clean: list[Header] = []
            for name, content in raw:
                if content:
                    content, more = redactor(content)
                    found |= more
                clean.append((name, content))
            raw = clean
        if found:
            raw = _with_header(raw, REDACTED_HEADER, b",".join(sorted(found)))
        return value, raw, bool(found)

    def clean_key(self, key: bytes | None) -> bytes | None:
        """The raw record's key, redacted, for the topics on which it stays the key."""
        return self.redactor(key)[0] if key and self.redactor is not None else key


def _hot(validator: EventValidator) -> _Type:
    event_type = validator.event_type
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.name.encode()),
        ("ce_dataschema", validator.schema_id.encode()),
        ("content-type", b"application/json"),
    )
    values = tuple(validator.known_values.items())
    return _Type(
        validator.is_valid,
        event_type,
        event_type.key,
        headers,
        validator.known_body_fields,
        validator.known_metadata_fields,
        values,
    )


def _no_event(
    message: str, path: str, value: bytes, raw: list[Header], redacted: bool
) -> DeadLetter:
    return DeadLetter(ErrorCode.NOT_AN_EVENT, message, path, "", None, value, raw, redacted)


def _drop(
    dropper: MetadataDropper, event: object, value: bytes, raw: list[Header]
) -> tuple[bytes, list[Header]]:
    """The value without fields that must go. A header tells which were found."""
    metadata = (
        event.get("metadata" if "metadata" in event else "attributes")
        if isinstance(event, dict)
        else None
    )
    if not isinstance(metadata, dict):
        return _withhold(raw)
    value, found = dropper(value, metadata)
    return value, _with_header(raw, DROPPED_HEADER, ",".join(found).encode()) if found else raw


def _withhold(raw: list[Header]) -> tuple[bytes, list[Header]]:
    """No value. Where no metadata can be read, the fields that must go may stand anywhere: in half
    an event, in a text within a text, in another encoding.
    """
    return b"", _with_header(raw, DROPPED_HEADER, WHOLE_VALUE)


def _with_header(raw: list[Header], name: str, content: bytes) -> list[Header]:
    """The headers with one of Rollcall's own, in place of any that an earlier attempt left."""
    return [*(header for header in raw if header[0] != name), (name, content)]
