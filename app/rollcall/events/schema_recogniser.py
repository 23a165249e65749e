"""Recognises events by parser and schema: any bytes in, :class:`Recognised` or
:class:`Unrecognised` out.

    parse -> type -> schema -> time -> id -> canonical form, or else what is wrong

An event is judged as it was received. Its canonical form is without the members of its metadata
that are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import orjson

from rollcall.events.dropping import MetadataDropper
from rollcall.events.event_type import EventType, Key
from rollcall.events.ids import text_key, whole_number
from rollcall.events.outcomes import ErrorCode
from rollcall.events.recognised import Dropped, Fault, Recognised, Unrecognised
from rollcall.events.schemas.validation import EventValidator
from rollcall.events.times import parse_time, read_valid_time

MOST_NAME_CHARACTERS = 255
"""A longer event_name is not usable: the registry could never hold it, and no producer writes it.
"""

_CALIPER = "http://purl.imsglobal.org/ctx/caliper/"
"""The beginning of ``dataVersion`` in an envelope of IMS Caliper, of any version."""

_SORTED = orjson.OPT_SORT_KEYS

_loads = orjson.loads
_dumps = orjson.dumps


class _Type(NamedTuple):
    """What is needed of an event type for each event."""

    is_valid: Callable[[object], bool]
    event_type: EventType
    key: Key | None
    body_fields: frozenset[str]
    metadata_fields: frozenset[str]
    known_values: tuple[tuple[str, frozenset[str]], ...]


class SchemaRecogniser:
    """Recognises events by parser and schema.

    Args:
        validators: by event_name.
        dropper: None leaves all members of the metadata.
    """

    def __init__(
        self, validators: Mapping[str, EventValidator], dropper: MetadataDropper | None = None
    ) -> None:
        self._validators = validators
        self._dropper = dropper
        dropped = () if dropper is None else dropper.names
        self._types = {name: _type(validator, dropped) for name, validator in validators.items()}

    def __call__(self, value: bytes) -> Recognised | Unrecognised:
        """Recognise an event. Never raises."""
        try:
            event = _loads(value)
        except orjson.JSONDecodeError as error:
            return _not_json(
                f"not JSON in UTF-8: the fault is at character {error.pos}", None, None
            )
        dropped = () if self._dropper is None else _dropped(self._dropper, event, value)
        # A schema that holds says everything about the envelope too.
        try:
            metadata = event["metadata"] if "metadata" in event else event["attributes"]
            is_valid, event_type, key, body_fields, metadata_fields, known_values = self._types[
                metadata["event_name"]
            ]
        except (KeyError, TypeError):
            fault = self._fault(event)
            return Unrecognised(fault, dropped, "" if fault else _event_name(event))
        if not is_valid(event):
            return Unrecognised(self._fault(event), dropped)
        body = event["body"]
        instant = read_valid_time(metadata["event_time"])
        if instant is None:
            part = "valid by its pattern, but in a year that does not exist in UTC"
            fault = _no_event(
                f"required: must be a time that exists ({part})", "/metadata/event_time"
            )
            return Unrecognised(fault, dropped)
        entity_id = None if key is None else key.value(metadata, body)
        if entity_id is not None and key is not None:
            if not key.is_id:
                entity_id = text_key(entity_id)
            elif whole_number(entity_id) is None:
                return Unrecognised(self._inexact_id(event_type, key), dropped)
        try:
            published = metadata if self._dropper is None else self._dropper.without(metadata)
            canonical = _dumps({"metadata": published, "body": body}, None, _SORTED)
        except orjson.JSONEncodeError:
            return _not_json("nested deeper than 254 levels", event_type.name, dropped)
        unknown_fields = (
            0 if body_fields.issuperset(body) else len(body) - len(body_fields.intersection(body))
        )
        if not metadata_fields.issuperset(metadata):
            unknown_fields += len(metadata) - len(metadata_fields.intersection(metadata))
        unknown_values = 0
        for field, values in known_values:
            if (value_there := body.get(field)) is not None and value_there not in values:
                unknown_values += 1
        return Recognised(
            event_type=event_type,
            entity_id=_exact(entity_id),
            root_account_id=_exact(metadata.get("root_account_id")),
            epoch=instant.epoch,
            time=instant.rfc3339.encode(),
            canonical=canonical,
            unknown_fields=unknown_fields,
            unknown_values=unknown_values,
            dropped=dropped or (),
        )

    def _inexact_id(self, event_type: EventType, key: Key) -> Fault:
        """JSON Schema takes 1.0 for an integer, and 2.1070000000001533e16 too, which is no longer
        the id that was meant.
        """
        return Fault(
            ErrorCode.SCHEMA_VIOLATION,
            "type: an id must be a whole number up to 9223372036854775807, beyond 2^53 written "
            "without fraction or exponent",
            key.pointer,
            self._validators[event_type.name].schema_id,
            event_type.name,
        )

    def _fault(self, event: object) -> Fault | None:
        """What is wrong with an event that is of no known type, or not valid; None: nothing, it is
        of no known type. The envelope is looked at first: a fault there says nothing of a type.
        """
        if not isinstance(event, dict):
            return _no_event("type: must be an object", "")
        if _is_caliper(event):
            return Fault(
                ErrorCode.CALIPER,
                "format: the subscription in Canvas sends IMS Caliper; choose the format Canvas",
                "",
                "",
                None,
            )
        part = "metadata" if "metadata" in event else "attributes"
        metadata = event.get(part)
        if not isinstance(metadata, dict):
            return _no_event(
                "required: must be an object; a self-hosted Canvas may call it attributes",
                "/metadata" if metadata is None else f"/{part}",
            )
        if not isinstance(event.get("body"), dict):
            return _no_event("required: must be an object", "/body")
        name = metadata.get("event_name")
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME_CHARACTERS:
            return _no_event(
                f"required: must be a string of 1 to {MOST_NAME_CHARACTERS} characters",
                f"/{part}/event_name",
            )
        if parse_time(metadata.get("event_time")) is None:
            return _no_event(
                "required: must be a time that exists, as Canvas writes times",
                f"/{part}/event_time",
            )
        validator = self._validators.get(name)
        if validator is None:
            return None
        violation = validator.first_violation(event)
        return Fault(
            ErrorCode.SCHEMA_VIOLATION,
            f"{violation.rule}: {violation.message}",
            violation.path,
            validator.schema_id,
            name,
        )


def _event_name(event: Any) -> str:
    """The event_name of an event whose envelope is in order."""
    name: str = event["metadata" if "metadata" in event else "attributes"]["event_name"]
    return name


def _is_caliper(event: Mapping[str, Any]) -> bool:
    """Whether it is an envelope of IMS Caliper, the other format of subscriptions in Canvas."""
    version = event.get("dataVersion")
    return (
        not event.keys() & {"metadata", "attributes"}
        and isinstance(event.get("sensor"), str)
        and isinstance(version, str)
        and version.startswith(_CALIPER)
        and isinstance(event.get("data"), list)
    )


def _type(validator: EventValidator, dropped: Collection[str]) -> _Type:
    event_type = validator.event_type
    return _Type(
        validator.is_valid,
        event_type,
        event_type.published_key(dropped),
        validator.known_body_fields,
        validator.known_metadata_fields,
        tuple(validator.known_values.items()),
    )


def _exact(value: Any) -> Any:
    """An id that a schema has accepted; a float as the integer that it stands for."""
    return whole_number(value) if isinstance(value, float) else value


def _not_json(message: str, event_name: str | None, dropped: Dropped | None) -> Unrecognised:
    return Unrecognised(Fault(ErrorCode.NOT_JSON, message, "", "", event_name), dropped)


def _no_event(message: str, path: str) -> Fault:
    return Fault(ErrorCode.NOT_AN_EVENT, message, path, "", None)


def _dropped(dropper: MetadataDropper, event: object, value: bytes) -> Dropped | None:
    if not isinstance(event, dict):
        return None
    metadata = event.get("metadata" if "metadata" in event else "attributes")
    return dropper.places(value, metadata) if isinstance(metadata, dict) else None
