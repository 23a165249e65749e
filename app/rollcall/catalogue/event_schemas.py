"""The schema files as component schemas of an AsyncAPI document.

AsyncAPI's own schemas are JSON Schema draft 07; support for other drafts depends on the tool. The
files are draft 2020-12. Of their keywords only ``$ref`` differs: draft 07 ignores its siblings.
Therefore a reference is alone or within ``allOf``. Referenced objects become component schemas;
other referenced schemas, such as an id or a time, are written out in place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rollcall.events.schema_recogniser import MOST_NAME_CHARACTERS
from rollcall.events.schemas.files import Resolver, Schema, SchemaFile, reference_registry
from rollcall.events.schemas.flatten import (
    LISTS_OF_SCHEMAS,
    MAPS_OF_SCHEMAS,
    SCHEMAS,
    conjunction,
    flatten,
    is_annotation,
)

EVENT = "event"
"""Name of the component schema for an event of any name."""

_LEFT_OUT = frozenset({"$defs", "$id", "$ref", "$schema", "examples"})


def part(name: str) -> Schema:
    """A reference to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def field_types(files: Mapping[str, SchemaFile]) -> dict[str, Schema]:
    """Flat schemas of the field types (id, time, word, …), by title."""
    common = files["common"]
    resolver = reference_registry(file.document for file in files.values()).resolver(common.id)
    types: dict[str, Schema] = {}
    for schema in common.document["$defs"].values():
        if "title" in schema:
            types.setdefault(non_null_title(schema["title"]), flatten(schema, resolver))
    return types


def non_null_title(title: str) -> str:
    """The title of the same field type without null."""
    return title.removesuffix(", if any")


def event_parts(files: Mapping[str, SchemaFile], event_names: Collection[str]) -> dict[str, Schema]:
    """All component schemas by name: events by event_name, shared schemas by file name, and
    :data:`EVENT`.

    Args:
        event_names: of the events.
    """
    converter = _Converter(files)
    for file in files.values():
        if file.name in event_names:
            converter.add(file.name, file.document, converter.references.resolver(file.id))
    return {EVENT: _any_event(), **converter.parts}


class _Converter:
    def __init__(self, files: Mapping[str, SchemaFile]) -> None:
        self.references = reference_registry(file.document for file in files.values())
        self.parts: dict[str, Schema] = {}
        self._names = {file.id: name.replace("/", ".") for name, file in files.items()}

    def add(self, name: str, schema: Schema, resolver: Resolver) -> None:
        if name not in self.parts:
            self.parts[name] = {}  # keeps its place before the schemas that it refers to
            self.parts[name] = self._convert(schema, resolver)

    def _convert(self, schema: Any, resolver: Resolver) -> Schema:
        own: Schema = {}
        for keyword, value in schema.items():
            if keyword in MAPS_OF_SCHEMAS:
                own[keyword] = {
                    name: self._convert(inner, resolver) for name, inner in value.items()
                }
            elif keyword in LISTS_OF_SCHEMAS:
                own[keyword] = [self._convert(inner, resolver) for inner in value]
            elif keyword in SCHEMAS:
                own[keyword] = self._convert(value, resolver)
            elif keyword not in _LEFT_OUT:
                own[keyword] = value
        if "$ref" not in schema:
            return own
        target = resolver.lookup(schema["$ref"])
        if "properties" not in target.contents:
            return conjunction(own, flatten(target.contents, target.resolver))
        name = self._name(schema["$ref"])
        self.add(name, target.contents, target.resolver)
        if not own:
            return part(name)
        annotations = {keyword: value for keyword, value in own.items() if is_annotation(keyword)}
        assertions = {keyword: own[keyword] for keyword in own if keyword not in annotations}
        return {**annotations, "allOf": [part(name), assertions] if assertions else [part(name)]}

    def _name(self, reference: str) -> str:
        identity, _, pointer = reference.partition("#")
        return self._names[identity] + (f".{pointer.rpartition('/')[2]}" if pointer else "")


def _any_event() -> Schema:
    """The schema of an event with any name, as :mod:`rollcall.events.pipeline` accepts it."""
    metadata = {
        "type": "object",
        "required": ["event_name", "event_time"],
        "properties": {
            "event_name": {
                "type": "string",
                "minLength": 1,
                "maxLength": MOST_NAME_CHARACTERS,
                "description": "The name of the event; it decides the topic.",
            },
            "event_time": {
                "type": "string",
                "description": "The time of the event, in one of Canvas's formats.",
            },
        },
    }
    return {
        "title": "Event",
        "description": "An event of any name: an object with a body and metadata. A self-hosted "
        "Canvas calls the metadata attributes.",
        "type": "object",
        "required": ["body"],
        "properties": {
            "body": {"type": "object", "description": "The entity that the event is about."}
        },
        "anyOf": [
            {"required": [name], "properties": {name: metadata}}
            for name in ("metadata", "attributes")
        ],
    }
