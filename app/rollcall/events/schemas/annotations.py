"""The annotations by which a schema file describes its event type: ``x-family``, ``x-key`` and
``x-sources``. The file ``schemas/<event_name>.json`` is all that an event type is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rollcall.events.event_type import BODY, METADATA, EventType, Key
from rollcall.events.schemas.files import Schema, SchemaError, SchemaFile

FAMILY = "x-family"
"""Annotation with the family of an event type: the entity that its events are about."""

KEY = "x-key"
"""Annotation with the JSON pointer into the event to the record's key, or null."""

SOURCES = "x-sources"
"""Annotation with the origin of the knowledge about an event type."""

KNOWN_SOURCES = ("documents", "code", "observed", "rollcall")
"""Canvas's documents, Canvas's source code, events that consumers have received. ``rollcall``:
Rollcall itself writes the events.
"""

_ID_PARTS = frozenset({"id", "nullable_id"})
"""The parts of common.json for ids of Canvas. A key with another type is text."""

_FAMILY = re.compile(r"[a-z][a-z0-9_]*")
_MOST_REFERENCES = 8


class AnnotationError(SchemaError):
    """An annotation of a schema file is missing or not usable."""

    def __init__(self, file: SchemaFile, annotation: str, fault: str, remedy: str) -> None:
        super().__init__(f"schema file {file.name}.json: {annotation} {fault}; {remedy}")
        self.annotation = annotation
        self.fault = fault
        self.remedy = remedy


def read_event_types(files: Mapping[str, SchemaFile]) -> dict[str, EventType]:
    """The event types of a folder by event_name, in order of family and name.

    Raises:
        SchemaError: a schema file has no usable annotations.
    """
    read = EventTypeReader(files)
    types = [read(file) for file in files.values() if file.is_event]
    return {each.name: each for each in sorted(types, key=lambda each: (each.family, each.name))}


class EventTypeReader:
    """Reads the event types of schema files.

    Args:
        files: all files of the folder, by name.
    """

    def __init__(self, files: Mapping[str, SchemaFile]) -> None:
        self._documents = {file.id: file.document for file in files.values()}
        common = files["common"].id if "common" in files else ""
        self._ids = frozenset(f"{common}#/$defs/{part}" for part in _ID_PARTS)

    def __call__(self, file: SchemaFile) -> EventType:
        """The event type of a file.

        Raises:
            SchemaError: an annotation is missing or not usable.
        """
        document = file.document
        family, sources = document.get(FAMILY), document.get(SOURCES)
        if not isinstance(family, str) or not _FAMILY.fullmatch(family):
            raise AnnotationError(
                file, FAMILY, "is not a family", "write small letters, digits and underscores"
            )
        if (
            not isinstance(sources, list)
            or not sources
            or not all(source in KNOWN_SOURCES for source in sources)
        ):
            raise AnnotationError(
                file, SOURCES, "is not a list of sources", f"write {', '.join(KNOWN_SOURCES)}"
            )
        if KEY not in document:
            raise AnnotationError(
                file, KEY, "is missing", "write a JSON pointer such as /body/course_id, or null"
            )
        pointer = document[KEY]
        return EventType(
            name=file.name,
            family=family,
            key=None if pointer is None else self._key(file, pointer),
            sources=tuple(sources),
            cause=str(document.get("description", "")),
        )

    def _key(self, file: SchemaFile, pointer: object) -> Key:
        path = tuple(str(pointer).split("/"))[1:]
        if len(path) < 2 or path[0] not in (BODY, METADATA):
            raise AnnotationError(
                file, KEY, "leads neither into body nor into metadata", "begin with one of them"
            )
        schemas = [file.document]
        for name in path:
            schemas = [
                member
                for schema in schemas
                for part in self._with_references(schema)
                if isinstance(member := part.get("properties", {}).get(name), dict)
            ]
        if not schemas:
            raise AnnotationError(
                file, KEY, "leads to a field that the schema does not describe", "describe it"
            )
        return Key(path, any(schema.get("$ref") in self._ids for schema in schemas))

    def _with_references(self, schema: Schema) -> Iterator[Schema]:
        """The schema, and those to which its references lead."""
        for _ in range(_MOST_REFERENCES):
            yield schema
            identity, _, pointer = str(schema.get("$ref", "")).partition("#")
            target: Any = self._documents.get(identity)
            for token in pointer.split("/")[1:]:
                target = target.get(token) if isinstance(target, dict) else None
            if not isinstance(target, dict):
                return
            schema = target
