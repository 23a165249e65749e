"""The one table of event types: what a name means to Rollcall.

A new event type is one schema file, ``schemas/<event_name>.json``, and one line in :data:`EVENT_TYPES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Stage = Literal["enrollment", "section", "group", "course", "user"]
"""The stages of the roster application that read typed events."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event that has a schema and a topic."""

    name: str
    """The event_name, also the name of the schema file."""

    key: str
    """The body field that holds the id of the entity, which becomes the record's key. Its schema requires it."""

    stage: Stage | None
    """The roster stage that reads the topic; None: no roster depends on it."""

    def topic(self, prefix: str) -> str:
        """The typed topic, for a topic prefix such as ``canvas``."""
        return f"{prefix}.events.{self.name}"


EVENT_TYPES: tuple[EventType, ...] = (
    EventType("enrollment_created", "enrollment_id", "enrollment"),
    EventType("enrollment_updated", "enrollment_id", "enrollment"),
    EventType("enrollment_state_created", "enrollment_id", "enrollment"),
    EventType("enrollment_state_updated", "enrollment_id", "enrollment"),
    EventType("group_category_created", "group_category_id", None),
    EventType("group_category_updated", "group_category_id", None),
    EventType("group_created", "group_id", "group"),
    EventType("group_updated", "group_id", "group"),
    EventType("group_membership_created", "group_id", "group"),
    EventType("group_membership_updated", "group_id", "group"),
    EventType("account_created", "account_id", None),
    EventType("account_updated", "account_id", None),
    EventType("account_notification_created", "account_notification_id", None),
    EventType("user_created", "user_id", "user"),
    EventType("user_updated", "user_id", "user"),
    EventType("user_account_association_created", "user_id", None),
    EventType("course_created", "course_id", "course"),
    EventType("course_updated", "course_id", "course"),
    EventType("course_section_created", "course_section_id", "section"),
    EventType("course_section_updated", "course_section_id", "section"),
)

REGISTRY: Mapping[str, EventType] = MappingProxyType({event_type.name: event_type for event_type in EVENT_TYPES})
"""Event types by event_name."""
