"""The validators of all event types, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonschema_rs import Draft202012Validator

from rollcall.events.registry import REGISTRY, EventType
from rollcall.events.schemas.files import (
    KNOWN_VALUES,
    Schema,
    SchemaError,
    read_schema_folder,
    reference_registry,
)
from rollcall.events.schemas.flatten import Targets, flatten
from rollcall.events.schemas.violations import Violation, describe

__all__ = ["EventValidator", "Violation", "load_validators"]

_DEPTH_OF_DETAIL = 64
"""How deep an event is looked at to say what is wrong with it: far deeper than any schema goes, and
less than jsonschema-rs can (254).
"""


@dataclass(frozen=True, slots=True)
class EventValidator:
    """Judges events of one type. Made by :func:`load_validators`."""

    event_type: EventType

    schema_id: str
    """The ``$id`` of the schema, with its version."""

    schema: Schema
    """The schema, flat: without references."""

    is_valid: Callable[[object], bool]
    """The verdict on a parsed event, for the hot path: about a microsecond. Looks as deep as the
    schema does, whatever the depth of the event.
    """

    compiled: Draft202012Validator

    known_body_fields: frozenset[str]
    known_metadata_fields: frozenset[str]

    known_values: Mapping[str, frozenset[str]]
    """By body field, the values that Canvas is known to write there."""

    def violations(self, event: object) -> list[Violation]:
        """Every rule that the event breaks, in a fixed order; none if it is valid. Never raises for
        what ``orjson.loads`` can return.
        """
        try:
            errors = list(self.compiled.iter_errors(event))
        except ValueError:  # nested deeper than jsonschema-rs can report on
            errors = list(self.compiled.iter_errors(_cut(event, _DEPTH_OF_DETAIL)))
        return describe(errors, self.schema)

    def first_violation(self, event: object) -> Violation:
        """The first of :meth:`violations`.

        Raises:
            ValueError: the event is valid.
        """
        violations = self.violations(event)
        if not violations:
            raise ValueError("the event is valid")
        return violations[0]


def load_validators(
    folder: Path | None = None, event_types: Mapping[str, EventType] = REGISTRY
) -> Mapping[str, EventValidator]:
    """The validators by event_name, in the order of the registry; ``folder`` defaults to the
    project's schemas. Takes about 20 milliseconds.

    Raises:
        SchemaError: a schema file is missing or cannot be used.
    """
    files = read_schema_folder(folder)
    references = reference_registry(file.document for file in files.values())
    targets: Targets = {}
    validators = {}
    for name, event_type in event_types.items():
        if name not in files:
            raise SchemaError(
                f"event type {name} has no schema file; it should be schemas/{name}.json"
            )
        document = files[name].document
        schema = flatten(document, references.resolver(files[name].id), targets)
        validators[name] = _validator(event_type, files[name].id, schema)
    return MappingProxyType(validators)


def _validator(event_type: EventType, schema_id: str, schema: Schema) -> EventValidator:
    try:
        compiled = Draft202012Validator(schema)
    except ValueError as error:
        raise SchemaError(f"schema {schema_id} cannot be compiled: {error}") from None
    body, metadata = (
        schema.get("properties", {}).get(part, {}).get("properties", {})
        for part in ("body", "metadata")
    )
    return EventValidator(
        event_type=event_type,
        schema_id=schema_id,
        schema=schema,
        is_valid=compiled.is_valid,
        compiled=compiled,
        known_body_fields=frozenset(body),
        known_metadata_fields=frozenset(metadata),
        known_values=MappingProxyType(
            {
                field: frozenset(part[KNOWN_VALUES])
                for field, part in body.items()
                if KNOWN_VALUES in part
            }
        ),
    )


def _cut(value: Any, depth: int) -> Any:
    """A copy whose objects and arrays below the given depth are empty."""
    if isinstance(value, dict):
        return {key: _cut(part, depth - 1) for key, part in value.items()} if depth else {}
    if isinstance(value, list):
        return [_cut(part, depth - 1) for part in value] if depth else []
    return value
