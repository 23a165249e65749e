"""Event types, as their schema files describe them.

The file ``schemas/<event_name>.json`` is all that an event type is. Besides the schema it has
annotations: ``x-family``, ``x-key`` and ``x-sources``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollcall.events.schemas.files import Schema, SchemaError, SchemaFile

FAMILY = "x-family"
"""Annotation with the family of an event type: the entity that its events are about."""

KEY = "x-key"
"""Annotation with the JSON pointer into the event to the record's key, or null."""

SOURCES = "x-sources"
"""Annotation with the origin of the knowledge about an event type."""

BODY, METADATA = "body", "metadata"

KNOWN_SOURCES = ("documents", "code", "observed")
"""Canvas's documents, Canvas's source code, events that consumers have received."""

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


@dataclass(frozen=True, slots=True)
class Key:
    """The place of a record's key in the event."""

    path: tuple[str, ...]
    """Names of members, from the event to the key: ``body`` or ``metadata`` (which also stands for
    ``attributes``), then the field, or the fields of nested objects.
    """

    is_id: bool
    """Whether it is the id of a Canvas entity, which is published in normal form. Any other key is
    a text, which is published unchanged.
    """

    @property
    def pointer(self) -> str:
        """The JSON pointer."""
        return "".join(f"/{name}" for name in self.path)

    @property
    def is_in_body(self) -> bool:
        """Whether the key is in the body, not in the metadata."""
        return self.path[0] == BODY

    def __str__(self) -> str:
        """The field with its place: ``user_id``, ``user.id``, ``metadata.user_id``."""
        return ".".join(self.path[1:] if self.is_in_body else self.path)

    def value(self, metadata: Mapping[str, Any], body: Mapping[str, Any]) -> Any:
        """The key in an event; None if it is absent or null."""
        value: Any = body if self.path[0] == BODY else metadata
        for name in self.path[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event with a schema and a topic."""

    name: str
    """The event_name, and the name of the schema file."""

    family: str
    """The entity that the events are about. Several types share it."""

    key: Key | None
    """None: records have no key."""

    sources: tuple[str, ...]
    """The origin of the knowledge about the type: see :data:`KNOWN_SOURCES`."""

    cause: str
    """A sentence on what causes the event."""

    def topic(self, prefix: str) -> str:
        """The typed topic, for a topic prefix such as ``canvas``."""
        return f"{prefix}.events.{self.name}"

    def published_key(self, dropped: Collection[str]) -> Key | None:
        """The key of the published record: none if it is a dropped field of the metadata.

        Args:
            dropped: names of members of the metadata that are not published.
        """
        key = self.key
        return None if key and not key.is_in_body and key.path[1] in dropped else key


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
