"""Expected rosters, and their differences from the found ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

import orjson

from rollcall.events.redaction import REPLACEMENT
from rollcall.sandbox.canvas.simulation.truth import Rosters, Row, Truth
from rollcall.sandbox.canvas.traffic import CREDENTIAL, Destination, TrafficRecord

_CREDENTIAL = CREDENTIAL.encode()


class Effect(NamedTuple):
    """Rosters before and after one event, from the roster topics."""

    event_name: str
    seconds: float
    """From sending to the expected rosters, or to the last change."""
    before: Rosters
    """Rows of the affected courses."""
    after: Rosters


def record_truth(records: Iterable[TrafficRecord], truth: Truth) -> Iterator[TrafficRecord]:
    """The records. Each valid event is added to the truth when it passes."""
    for record in records:
        if record.expected.destination is Destination.ROUTED:
            assert record.value is not None
            # Redacted like the output: the order of two events with the same time depends on all
            # of their bytes.
            event = orjson.loads(record.value.replace(_CREDENTIAL, REPLACEMENT))
            truth.add_event(
                event["metadata"] if "metadata" in event else event["attributes"], event["body"]
            )
        yield record


def rows_of_courses(rosters: Rosters, courses: Set[str]) -> Rosters:
    """The rows of some courses, without users: a user's id can equal a course's."""
    return {
        relation: {
            key: row
            for key, row in rows.items()
            if relation != "users" and key.partition("/")[0] in courses
        }
        for relation, rows in rosters.items()
    }


def mistakes(truth: Rosters, found: Rosters) -> dict[str, list[str]]:
    """Descriptions of wrong rows by relation, in the order of record keys."""
    return {relation: list(_mistakes(rows, found[relation])) for relation, rows in truth.items()}


def _mistakes(truth: dict[str, Row], found: dict[str, Row]) -> Iterator[str]:
    if truth == found:
        return
    for key in sorted(truth.keys() | found.keys()):
        if key not in found:
            yield f"{key} is missing"
        elif key not in truth:
            yield f"{key} should not be there"
        elif truth[key] != found[key]:
            wrong, right = found[key], truth[key]
            field = next(
                field
                for field in sorted(right.keys() | wrong.keys())
                if right.get(field) != wrong.get(field)
            )
            yield (
                f"{key}: {field} is {_json(wrong.get(field))}, and should be "
                f"{_json(right.get(field))}"
            )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
