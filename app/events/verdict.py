"""What a parsed JSON value is, as an event: valid, of an unknown name, or faulty. For people who look at files; the router has its own pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.events.validation import EventValidator
from app.events.violations import Violation


class Valid(NamedTuple):
    """A valid event."""

    event_name: str
    schema_id: str


class Unknown(NamedTuple):
    """An event whose name has no schema: the router would send it to the topic of unknown events."""

    event_name: str


class Invalid(NamedTuple):
    """No valid event."""

    event_name: str | None
    """None: it cannot be told what event it means to be."""

    violations: list[Violation]
    """At least one."""


def judge(value: Any, validators: Mapping[str, EventValidator]) -> Valid | Unknown | Invalid:
    """The verdict on one parsed value. Never raises for what ``orjson.loads`` can return."""
    section = "attributes" if isinstance(value, dict) and "metadata" not in value and "attributes" in value else "metadata"
    fault = _envelope_fault(value, section)
    if fault is not None:
        return Invalid(None, [fault])
    event_name = value[section]["event_name"]
    validator = validators.get(event_name)
    if validator is None:
        return Unknown(event_name)
    if validator.is_valid(value):
        return Valid(event_name, validator.schema_id)
    return Invalid(event_name, validator.violations(value))


def _envelope_fault(value: Any, section: str) -> Violation | None:
    """What keeps a value from being an event at all: without a name nothing else can be said of it."""
    if not isinstance(value, dict):
        return Violation("", "type", "must be an object")
    for name in (section, "body"):
        if name not in value:
            return Violation(f"/{name}", "required", f'required property "{name}" is missing')
        if not isinstance(value[name], dict):
            return Violation(f"/{name}", "type", "must be an object")
    for name in ("event_name", "event_time"):
        place = f"/{section}/{name}"
        if name not in value[section]:
            return Violation(place, "required", f'required property "{name}" is missing')
        if not isinstance(value[section][name], str):
            return Violation(place, "type", "must be a string")
        if not value[section][name]:
            return Violation(place, "minLength", "must not be empty")
    return None
