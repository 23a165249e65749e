"""Facts against rows: what a difference is, and when it counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.reconcile import comparison
from rollcall.reconcile.comparison import Outcome, compare, is_older
from rollcall.reconcile.facts import Entity, Fact, absence
from rollcall.rosters.registers import as_of
from rollcall.serve.replica.tables import COLUMNS
from tests.reconcile.test_facts import STATED, T

SECOND = 1_000_000


def row_of(entity: Entity, time: int = T - SECOND, **changed: Any) -> dict[str, Any]:
    """A row of the replica that is equal to what Canvas has."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS[entity.relation.name])
    for name, value in STATED[entity].items():
        if name in row:
            is_id = name.endswith("_id") and name != "user_sis_id"
            row[name] = int(value) if is_id and value and name in ID_COLUMNS else value
    row |= {"state": "x", "state_reason": "x", "as_of": as_of(time)}
    if entity is Entity.USER:
        row["workflow_state"] = "registered"
    return row | changed


ID_COLUMNS = {
    *("course_id", "account_id", "course_section_id", "nonxlist_course_id", "enrollment_id"),
    *("user_id", "associated_user_id", "group_id", "context_id", "group_category_id"),
    "group_membership_id",
}


def fact_of(entity: Entity, **changed: Any) -> Fact:
    """What Canvas has."""
    stated = STATED[entity] | changed
    return Fact(entity, next(iter(STATED[entity].values())), stated, T)


@pytest.mark.parametrize("entity", Entity)
def test_equal_rows_are_equal(entity: Entity) -> None:
    row = row_of(entity, workflow_state="created") if entity is Entity.COURSE else row_of(entity)
    assert compare(fact_of(entity), row).outcome is Outcome.EQUAL


@pytest.mark.parametrize("entity", Entity)
def test_any_stated_field_can_differ(entity: Entity) -> None:
    for name in STATED[entity]:
        if name == "updated_at":
            continue
        row = row_of(entity)
        row[name] = 1 if name in ID_COLUMNS else "other"
        found = compare(fact_of(entity), row)
        if entity is Entity.COURSE and name != "workflow_state":
            assert set(found.fields) >= {name}
            continue
        assert (found.outcome, name in found.fields) == (Outcome.DIFFERENT, True), name


def test_null_differs_from_a_value_and_what_is_not_shown_does_not() -> None:
    row = row_of(Entity.SECTION, name="Monday", start_at="2026-01-01T00:00:00Z")
    assert compare(fact_of(Entity.SECTION), row).fields == ("start_at",)
    stated = {name: value for name, value in STATED[Entity.SECTION].items() if name != "start_at"}
    fact = Fact(Entity.SECTION, stated["course_section_id"], stated, T)
    assert compare(fact, row).outcome is Outcome.EQUAL


@pytest.mark.parametrize(
    ("of_row", "shown", "outcome", "written"),
    [
        ("created", "unpublished", Outcome.EQUAL, "created"),
        ("claimed", "unpublished", Outcome.EQUAL, "claimed"),
        ("available", "unpublished", Outcome.DIFFERENT, "claimed"),
        ("created", "available", Outcome.DIFFERENT, "available"),
        ("completed", "completed", Outcome.EQUAL, "completed"),
        (None, "unpublished", Outcome.NEW, "claimed"),
    ],
)
def test_a_course_before_it_is_published(
    of_row: str | None, shown: str, outcome: Outcome, written: str
) -> None:
    row = None if of_row is None else row_of(Entity.COURSE, workflow_state=of_row)
    found = compare(fact_of(Entity.COURSE, workflow_state=shown), row)
    assert (found.outcome, found.fact.stated["workflow_state"]) == (outcome, written)


@pytest.mark.parametrize(
    ("of_event", "is_equal"),
    [
        ("2026-01-02T03:04:05Z", True),
        ("2026-01-02 03:04:05 UTC", True),
        ("2026-01-01T20:04:05.999-07:00", True),
        ("2026-01-02T03:04:06Z", False),
    ],
)
def test_times_are_compared_as_times(of_event: str, is_equal: bool) -> None:
    row = row_of(Entity.ENROLLMENT, created_at=of_event)
    assert (compare(fact_of(Entity.ENROLLMENT), row).outcome is Outcome.EQUAL) is is_equal


def test_a_modification_time_alone_is_no_difference() -> None:
    row = row_of(Entity.ENROLLMENT, updated_at="2020-01-01T00:00:00Z")
    assert compare(fact_of(Entity.ENROLLMENT), row).outcome is Outcome.EQUAL


def test_a_user_whom_canvas_lists_is_not_deleted() -> None:
    assert compare(fact_of(Entity.USER), row_of(Entity.USER, workflow_state="deleted")).fields == (
        "workflow_state",
    )
    row = row_of(Entity.USER, workflow_state="pre_registered")
    assert compare(fact_of(Entity.USER), row).outcome is Outcome.EQUAL


def test_an_absence_against_its_row() -> None:
    row = row_of(Entity.MEMBERSHIP)
    found = compare(absence(Entity.MEMBERSHIP, row, T), row)
    assert (found.outcome, found.fields) == (Outcome.DIFFERENT, ("workflow_state",))
    row = row_of(Entity.MEMBERSHIP, workflow_state="deleted")
    assert compare(absence(Entity.MEMBERSHIP, row, T), row).outcome is Outcome.EQUAL


@pytest.mark.parametrize(
    ("as_of_row", "snapshot_at", "is_recent"),
    [
        (T - SECOND, None, False),
        (T - 1_000, None, False),
        (T, None, True),
        (T + SECOND, None, True),
        (T - SECOND, T - SECOND, False),
        (T - SECOND, T, True),
    ],
)
def test_a_difference_in_a_row_that_is_not_older_is_left_to_the_next_run(
    as_of_row: int, snapshot_at: int | None, is_recent: bool
) -> None:
    shown = None if snapshot_at is None else as_of(snapshot_at)
    row = row_of(Entity.SECTION, as_of_row, name="other", snapshot_at=shown)
    expected = Outcome.RECENT if is_recent else Outcome.DIFFERENT
    assert compare(fact_of(Entity.SECTION), row).outcome is expected
    equal = row_of(Entity.SECTION, as_of_row, snapshot_at=shown)
    assert compare(fact_of(Entity.SECTION), equal).outcome is Outcome.EQUAL


@given(st.integers(0, 3_000), st.integers(-3, 3))
def test_a_fact_never_counts_against_an_event_that_may_be_later(offset: int, millis: int) -> None:
    """Rows show milliseconds, events have microseconds: the event's time is cut."""
    event_time, fact_time = T + offset, T + millis * 1_000
    if is_older(row_of(Entity.SECTION, event_time), fact_time):
        assert event_time < fact_time


def test_without_the_milliseconds_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above."""

    def careless(row: Any, time: int) -> bool:
        return bool(row["as_of"] <= as_of(time))

    monkeypatch.setattr(comparison, "is_older", careless)
    assert comparison.is_older(row_of(Entity.SECTION, T + 999), T)


def test_a_comparison_changes_nothing() -> None:
    row = row_of(Entity.COURSE, name="other")
    fact, before = fact_of(Entity.COURSE), dict(row)
    compare(fact, row)
    assert row == before
    assert fact.stated["workflow_state"] == "unpublished"


@pytest.mark.parametrize(
    ("of_event", "by_dates", "of_canvas", "outcome"),
    [
        ("active", "pending_active", "active", Outcome.EQUAL),
        ("active", "completed", "active", Outcome.EQUAL),
        ("invited", "pending_invited", "invited", Outcome.EQUAL),
        ("active", "active", "active", Outcome.EQUAL),
        ("completed", "completed", "completed", Outcome.EQUAL),
        ("deleted", "deleted", "deleted", Outcome.EQUAL),
        ("completed", "invited", "completed", Outcome.DIFFERENT),
        ("completed", "active", "completed", Outcome.DIFFERENT),
        ("inactive", "active", "inactive", Outcome.DIFFERENT),
        ("deleted", "active", "deleted", Outcome.DIFFERENT),
        ("rejected", "pending_invited", "rejected", Outcome.DIFFERENT),
        ("active", "deleted", "active", Outcome.DIFFERENT),
    ],
)
def test_a_state_by_dates_that_does_not_go_with_canvas(
    of_event: str, by_dates: str, of_canvas: str, outcome: Outcome
) -> None:
    """Someone who has left is not current because an event was lost."""
    row = row_of(Entity.ENROLLMENT, workflow_state=of_event, state=by_dates, state_reason="dates")
    found = compare(fact_of(Entity.ENROLLMENT, workflow_state=of_canvas), row)
    assert found.outcome is outcome
    for reason in ("enrollment", "snapshot", "course_completed", "section_deleted"):
        same = compare(found.fact, {**row, "state_reason": reason})
        assert same.outcome is Outcome.EQUAL
