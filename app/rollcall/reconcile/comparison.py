"""Compares facts with rows of the rosters. Pure.

A row is one of the replica: a mapping with the columns of
:mod:`rollcall.serve.replica.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from rollcall.events.ids import whole_number
from rollcall.events.times import parse_microseconds
from rollcall.reconcile.facts import CREATED, SORTS, UNPUBLISHED, Entity, Fact
from rollcall.rosters.fields import Sort
from rollcall.rosters.states import FINAL
from rollcall.serve.replica.derived import canvas_state

Row = Mapping[str, Any]

NOT_COMPARED = frozenset({"updated_at"})
"""Canvas changes rows without it, and it without the row."""


class Outcome(StrEnum):
    """What a comparison found."""

    EQUAL = "equal"
    NEW = "new"
    """The rosters have no row."""
    DIFFERENT = "different"
    RECENT = "recent"
    """It differs, but the row is not older than what Canvas showed: the next run looks again."""


class Comparison(NamedTuple):
    """A fact and what it says about its row."""

    outcome: Outcome
    fact: Fact
    """With the state that a snapshot event writes."""
    fields: tuple[str, ...] = ()
    """The fields that differ."""


def compare(fact: Fact, row: Row | None) -> Comparison:
    """Compare a fact with the row of its entity; None: there is no row."""
    fact = with_written_state(fact, row)
    if row is None:
        return Comparison(Outcome.NEW, fact)
    sorts = SORTS[fact.entity]
    fields = tuple(
        name
        for name, value in fact.stated.items()
        if name not in NOT_COMPARED
        and comparable(sorts[name], value) != comparable(sorts[name], row[name])
    )
    if not fields and is_dated_otherwise(row, fact.stated.get("workflow_state")):
        fields = ("state",)
    if fact.entity is Entity.USER and "workflow_state" not in fact.stated and _is_gone(row):
        fields = (*fields, "workflow_state")
    if not fields:
        return Comparison(Outcome.EQUAL, fact)
    is_recent = not is_older(row, fact.time)
    return Comparison(Outcome.RECENT if is_recent else Outcome.DIFFERENT, fact, fields)


def is_revived(row: Row) -> bool:
    """Whether an enrollment counts by its dates though its own event ended it: a state event is
    newer.
    """
    is_by_dates = row["state_reason"] == "dates"
    return is_by_dates and row["workflow_state"] in FINAL and row["state"] not in FINAL


def is_dated_otherwise(row: Row, workflow_state: str | None) -> bool:
    """Whether an enrollment has a state by dates that does not go with Canvas's workflow_state: an
    event was lost. What Canvas has now is the newest.
    """
    if workflow_state is None or row["state_reason"] != "dates":
        return False
    return canvas_state(row["workflow_state"], row["state"], "dates") != workflow_state


def is_older(row: Row, time: int) -> bool:
    """Whether all that a row stands for is older than a time: only then may a fact of that time
    count against it.

    Args:
        time: microseconds since the epoch.
    """
    times = (parse_microseconds(row[name]) for name in ("as_of", "snapshot_at") if row[name])
    # rows have milliseconds: an event of the same millisecond may be later
    return all(each is not None and each + 1_000 <= time for each in times)


def with_written_state(fact: Fact, row: Row | None) -> Fact:
    """The fact with the workflow_state of events: the API has one word for two states of a course
    before it is published. The row's own is kept if it is one of the two.
    """
    if fact.stated.get("workflow_state") != UNPUBLISHED:
        return fact
    known = None if row is None else row["workflow_state"]
    state = known if known in CREATED else "claimed"
    return fact._replace(stated={**fact.stated, "workflow_state": state})


def comparable(sort: Sort, value: Any) -> Any:
    """A value, in a form in which equal meanings are equal: ids as numbers, times in seconds, texts
    as such.
    """
    if value is None:
        return None
    if sort is Sort.ID:
        return whole_number(value)
    if sort is Sort.TIME:
        time = parse_microseconds(value)
        return value if time is None else time // 1_000_000
    if sort is Sort.FLAG:
        return bool(value)
    return value if sort is Sort.NUMBER else str(value)


def _is_gone(row: Row) -> bool:
    return bool(row["workflow_state"] == "deleted")
