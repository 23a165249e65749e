from collections.abc import Sequence

from rollcall.events.scan.plain import PlainType

class Scanner:
    """Reads valid events in plain form (app/rollcall/events/scan/plain.py).

    Args:
        types: what a valid event of each type is made of; None: events of this type are left to
            others.
    """

    def __init__(self, types: Sequence[PlainType | None]) -> None: ...
    def read(
        self, value: bytes
    ) -> tuple[int, str | int, str | int | None, str, float | None, bytes, int, int] | None:
        """What a valid event in plain form says; None for anything else, which may be valid all the
        same.

        Returns:
            the number of its type; the entity's id; root_account_id; event_time, and as seconds
                since the epoch if it ends with Z and a float of them is
            exact to the microsecond; the canonical JSON of ``{metadata, body}``; how many fields
                the schema does not name; how many values are not known.
        """
