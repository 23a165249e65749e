from collections.abc import Mapping, Sequence

from rollcall.events.event_type import EventType
from rollcall.events.recognised import Recognised
from rollcall.events.scan.plain import PlainType, Rule

class Scanner:
    """Reads valid events in plain form (app/rollcall/events/scan/plain.py).

    Args:
        types: what a valid event of each type is made of. Events of other types are left to others.
        dropped: the members of the metadata that are not published, by name.
    """

    def __init__(self, types: Mapping[EventType, PlainType], dropped: Sequence[Rule]) -> None: ...
    def read(self, value: bytes) -> Recognised | None:
        """What a valid event in plain form says; None for anything else, which may be valid all the
        same.
        """
