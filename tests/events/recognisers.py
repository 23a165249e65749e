"""Both recognisers on the same bytes: what the scanner finds, parser and schema find, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.events.dropping import MetadataDropper
from rollcall.events.outcomes import Outcome, Routed
from rollcall.events.recognised import Recognised
from rollcall.events.scan.scannable import new_scanner
from rollcall.events.schema_recogniser import SchemaRecogniser
from rollcall.events.schemas.validation import EventValidator


def contents(outcome: Outcome) -> dict[str, Any]:
    """All of a typed record."""
    assert isinstance(outcome, Routed)
    return {name: getattr(outcome, name) for name in Routed.__slots__}


class Recognisers:
    """A scanner, and the parser and the schemas that judge it.

    Args:
        validators: by event_name.
        dropped: members of the metadata that are not published.
        scanned: the validators that the scanner knows, where they are others.
    """

    def __init__(
        self,
        validators: Mapping[str, EventValidator],
        dropped: tuple[str, ...] = (),
        *,
        scanned: Mapping[str, EventValidator] | None = None,
    ) -> None:
        self._scanner = new_scanner(scanned or validators, dropped)
        self.by_schema = SchemaRecogniser(validators, MetadataDropper(dropped) if dropped else None)

    def scan(self, value: bytes) -> Recognised | None:
        """What the scanner finds; None where it was not compiled."""
        return None if self._scanner is None else self._scanner.read(value)

    def taken(self, value: bytes) -> bool:
        """Whether the scanner takes an event. Then parser and schema must find the same."""
        found = self.scan(value)
        if found is None:
            return False
        judged = self.by_schema(value)
        assert isinstance(judged, Recognised), "the scanner takes what the schema refuses"
        for field in Recognised.__slots__:
            one, other = getattr(found, field), getattr(judged, field)
            assert (type(one), one) == (type(other), other), field
        return True
