"""What a recogniser finds in the bytes of an event. There are two: the scanner, which is compiled
and reads valid events only (app/rollcall/events/scan/), and parser and schema, which judge every
event (app/rollcall/events/schema_recogniser.py).
"""

from __future__ import annotations

from typing import NamedTuple

from rollcall.events.event_type import EventType
from rollcall.events.outcomes import ErrorCode

Dropped = tuple[tuple[int, str], ...]
"""Members of the metadata that must not be published: where each begins in the event's bytes, and
its name; in order.
"""


class Recognised:
    """A valid event of a known type. Its record follows from this alone: both recognisers find the
    same in the same bytes (tests/events/test_recognisers.py).
    """

    __slots__ = (
        "canonical",
        "dropped",
        "entity_id",
        "epoch",
        "event_type",
        "root_account_id",
        "time",
        "unknown_fields",
        "unknown_values",
    )

    event_type: EventType
    entity_id: str | int | bytes | None
    """The record's key: an id from 1 to 2^63 - 1, whose string of digits has no leading zero; or
    the bytes of another text; or None if the event has none.
    """
    root_account_id: str | int | None
    epoch: float
    """The event's time, seconds since 1970-01-01T00:00:00Z."""
    time: bytes
    """The same in UTC, as RFC 3339 writes it."""
    canonical: bytes
    """JSON of ``{body, metadata}`` as it is published: sorted, without blanks."""
    unknown_fields: int
    """Fields of metadata and body that the schema does not name."""
    unknown_values: int
    """States and the like that Canvas is not known to write; they are valid."""
    dropped: Dropped

    def __init__(
        self,
        *,
        event_type: EventType,
        entity_id: str | int | bytes | None,
        root_account_id: str | int | None,
        epoch: float,
        time: bytes,
        canonical: bytes,
        unknown_fields: int,
        unknown_values: int,
        dropped: Dropped,
    ) -> None:
        self.event_type = event_type
        self.entity_id = entity_id
        self.root_account_id = root_account_id
        self.epoch = epoch
        self.time = time
        self.canonical = canonical
        self.unknown_fields = unknown_fields
        self.unknown_values = unknown_values
        self.dropped = dropped


class Fault(NamedTuple):
    """Why an event is not valid."""

    code: ErrorCode
    message: str
    """Names the rule and never quotes a value."""
    path: str
    """JSON pointer to the first fault; an empty string is the record as a whole."""
    schema: str
    """``$id`` of the schema that was applied, or an empty string."""
    event_name: str | None
    """A name from the registry, or None."""


class Unrecognised(NamedTuple):
    """No valid event of a known type."""

    fault: Fault | None
    """None: the envelope is in order, and no schema has its event_name."""
    dropped: Dropped | None
    """None: no metadata can be read, so that members that must not be published may stand anywhere.
    """
    event_name: str = ""
    """Without a fault: the name that no schema has."""
