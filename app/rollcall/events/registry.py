"""The event types of Rollcall. A new event type is one schema file,
``schemas/<event_name>.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rollcall.events.event_type import EventType
from rollcall.events.schemas.annotations import read_event_types
from rollcall.events.schemas.files import own_schema_files

REGISTRY: Mapping[str, EventType] = MappingProxyType(read_event_types(own_schema_files()))
"""Event types by event_name, in order of family and name. Made at the import of this module, which
takes a few milliseconds.
"""
