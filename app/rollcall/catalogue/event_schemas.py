"""The schema files as an AsyncAPI document holds schemas: as parts that refer to each other.

AsyncAPI's own schemas are those of JSON Schema draft 07, and what a tool can do with others is up
to the tool. The files are draft 2020-12, but of the keywords they use only ``$ref`` means something
else there: what stands beside it is ignored. So a reference stands alone or within ``allOf``. Of
what the files refer to, objects become parts; everything else, such as an id or a time, is written
out, so that a field says all of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.events.pipeline import MOST_NAME_CHARACTERS
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
"""The part that is an event of any name."""

_LEFT_OUT = frozenset({"$defs", "$id", "$ref", "$schema", "examples"})


def part(name: str) -> Schema:
    """A reference to a part."""
    return {"$ref": f"#/components/schemas/{name}"}


def kinds_of_fields(files: Mapping[str, SchemaFile]) -> dict[str, Schema]:
    """What fields can be (an id, a time, a word), by title: flat schemas."""
    common = files["common"]
    resolver = reference_registry(file.document for file in files.values()).resolver(common.id)
    kinds: dict[str, Schema] = {}
    for kind in common.document["$defs"].values():
        if "title" in kind:
            kinds.setdefault(without_null(kind["title"]), flatten(kind, resolver))
    return kinds


def without_null(title: str) -> str:
    """The title of a field that may be null, as that of one that may not."""
    return title.removesuffix(", if any")


def event_parts(files: Mapping[str, SchemaFile]) -> dict[str, Schema]:
    """All parts by name: an event by its event_name, what events share by the name of its file.
    Also :data:`EVENT`.
    """
    converter = _Converter(files)
    for file in files.values():
        if file.is_event:
            converter.add(file.name, file.document, converter.references.resolver(file.id))
    return {EVENT: _any_event(), **converter.parts}


class _Converter:
    def __init__(self, files: Mapping[str, SchemaFile]) -> None:
        self.references = reference_registry(file.document for file in files.values())
        self.parts: dict[str, Schema] = {}
        self._names = {file.id: name.replace("/", ".") for name, file in files.items()}

    def add(self, name: str, schema: Schema, resolver: Resolver) -> None:
        if name not in self.parts:
            self.parts[name] = {}  # so that it stands before the parts that it refers to
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
        said = {keyword: value for keyword, value in own.items() if is_annotation(keyword)}
        asserted = {keyword: value for keyword, value in own.items() if keyword not in said}
        return {**said, "allOf": [part(name), asserted] if asserted else [part(name)]}

    def _name(self, reference: str) -> str:
        identity, _, pointer = reference.partition("#")
        return self._names[identity] + (f".{pointer.rpartition('/')[2]}" if pointer else "")


def _any_event() -> Schema:
    """What :mod:`rollcall.events.pipeline` takes for an event, whatever its name."""
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
                "description": "When it happened, as Canvas writes times.",
            },
        },
    }
    return {
        "title": "Event",
        "description": "An event of any name: an object with a body and with metadata, which a "
        "self-hosted Canvas calls attributes.",
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
