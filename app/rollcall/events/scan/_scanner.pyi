from collections.abc import Mapping, Sequence

from rollcall.events.event_type import EventType
from rollcall.events.recognised import Recognised
from rollcall.events.scan.scannable import Rule, ScannableType

class Scanner:
    """Reads valid events of scannable types (app/rollcall/events/scan/scannable.py).

    Args:
        types: the requirements of each type. Events of other types go to the other recogniser.
        dropped: the members of the metadata that are not published, by name.
    """

    def __init__(
        self, types: Mapping[EventType, ScannableType], dropped: Sequence[Rule]
    ) -> None: ...
    def read(self, value: bytes) -> Recognised | None:
        """A valid event; None for anything else, which may be valid, too."""
