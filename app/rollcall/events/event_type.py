"""An event type, and the place of its records' key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

BODY, METADATA = "body", "metadata"


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
    """The origin of the knowledge about the type: see ``KNOWN_SOURCES`` in
    app/rollcall/events/schemas/annotations.py."""

    cause: str
    """A sentence on what causes the event."""

    @property
    def is_of_canvas(self) -> bool:
        """Whether Canvas sends such events. Otherwise only Rollcall writes them."""
        return self.sources != ("rollcall",)

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
