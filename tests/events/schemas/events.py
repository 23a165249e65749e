"""What the tests of the schemas share: events, and how to change them."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import read_schema_folder
from rollcall.events.schemas.reference import reference_validators
from rollcall.events.schemas.validation import load_validators

DOCUMENTED = Path(__file__).parents[2] / "fixtures" / "documented"
"""The examples of the documents, as they stand there."""

VALIDATORS = load_validators()
ORACLES = reference_validators(read_schema_folder())
NAMES = sorted(REGISTRY)

MISSING = object()
"""As the value of :func:`changed`: take the property away."""


@cache
def _examples() -> dict[str, Any]:
    return {
        name: file.document["examples"][0]
        for name, file in read_schema_folder().items()
        if file.is_event
    }


def example(name: str) -> Any:
    """The example in the schema of an event_name, the caller's to change."""
    return copy.deepcopy(_examples()[name])


def documented() -> dict[str, Any]:
    """The documented events by event_name."""
    return {
        path.stem: orjson.loads(path.read_bytes()) for path in sorted(DOCUMENTED.glob("*.json"))
    }


def changed(event: Any, *path: str, to: Any) -> Any:
    """A copy of an event with the property at the path set to another value, or taken away."""
    event = owner = dict(event)
    for key in path[:-1]:
        owner[key] = owner = dict(owner[key])
    if to is MISSING:
        del owner[path[-1]]
    else:
        owner[path[-1]] = to
    return event


def fields(name: str, section: str = "body") -> dict[str, Any]:
    """The fields that a schema declares for a section of its events, with their flat schemas."""
    declared: dict[str, Any] = VALIDATORS[name].schema["properties"][section]["properties"]
    return declared


def fields_titled(*titles: str, section: str = "body") -> list[tuple[str, str]]:
    """event_name and field of every field of some kinds, such as "Id" (the titles of the parts in
    schemas/common.json). There is at least one.
    """
    found = [
        (name, field)
        for name in NAMES
        for field, schema in fields(name, section).items()
        if schema.get("title") in titles
    ]
    assert found, f"no field has the title {' or '.join(titles)}"
    return found
