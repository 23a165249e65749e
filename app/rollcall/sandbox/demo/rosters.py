"""What the rosters must be, and how what is there differs from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

import orjson

from rollcall.events.redaction import REPLACEMENT
from rollcall.sandbox.canvas.simulation.truth import Rosters, Row, Truth
from rollcall.sandbox.canvas.traffic import CREDENTIAL, Kind, TrafficRecord

_CREDENTIAL = CREDENTIAL.encode()


class Scene(NamedTuple):
    """What one event did, as a reader of the roster topics sees it."""

    event_name: str
    seconds: float
    """From the sending of the event until the rosters were what they must be, or until nothing more
    came.
    """
    before: Rosters
    """The rows of the courses concerned."""
    after: Rosters


def witnessed(records: Iterable[TrafficRecord], truth: Truth) -> Iterator[TrafficRecord]:
    """The records, each told to the truth as it passes, if it is a valid event."""
    for record in records:
        if record.expected.kind is Kind.ROUTED:
            assert record.value is not None
            # As it comes out: which of two events of the same moment is the later one depends on
            # all of it.
            event = orjson.loads(record.value.replace(_CREDENTIAL, REPLACEMENT))
            truth.take_event(
                event["metadata"] if "metadata" in event else event["attributes"], event["body"]
            )
        yield record


def of_courses(rosters: Rosters, courses: Set[str]) -> Rosters:
    """The rows of some courses. Users are of none, and one may have the id of a course."""
    return {
        relation: {
            key: row
            for key, row in rows.items()
            if relation != "users" and key.partition("/")[0] in courses
        }
        for relation, rows in rosters.items()
    }


def mistakes(truth: Rosters, found: Rosters) -> dict[str, list[str]]:
    """By relation, what is wrong with its rows, a line each, by record key."""
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
