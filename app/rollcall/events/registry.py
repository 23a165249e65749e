"""The table of event types.

A new event type is one schema file, ``schemas/<event_name>.json``, and one line in
:data:`EVENT_TYPES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event with a schema and a topic."""

    name: str
    """The event_name, and the name of the schema file."""

    key: str
    """The body field with the entity's id, which becomes the record's key. The schema requires
    it.
    """

    def topic(self, prefix: str) -> str:
        """The typed topic, for a topic prefix such as ``canvas``."""
        return f"{prefix}.events.{self.name}"


EVENT_TYPES: tuple[EventType, ...] = (
    EventType("enrollment_created", "enrollment_id"),
    EventType("enrollment_updated", "enrollment_id"),
    EventType("enrollment_state_created", "enrollment_id"),
    EventType("enrollment_state_updated", "enrollment_id"),
    EventType("group_category_created", "group_category_id"),
    EventType("group_category_updated", "group_category_id"),
    EventType("group_created", "group_id"),
    EventType("group_updated", "group_id"),
    EventType("group_membership_created", "group_id"),
    EventType("group_membership_updated", "group_id"),
    EventType("account_created", "account_id"),
    EventType("account_updated", "account_id"),
    EventType("account_notification_created", "account_notification_id"),
    EventType("user_created", "user_id"),
    EventType("user_updated", "user_id"),
    EventType("user_account_association_created", "user_id"),
    EventType("course_created", "course_id"),
    EventType("course_updated", "course_id"),
    EventType("course_section_created", "course_section_id"),
    EventType("course_section_updated", "course_section_id"),
)

REGISTRY: Mapping[str, EventType] = MappingProxyType(
    {event_type.name: event_type for event_type in EVENT_TYPES}
)
"""Event types by event_name."""
