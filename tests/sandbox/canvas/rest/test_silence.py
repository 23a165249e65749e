"""What only the API can tell: rows that are older than the subscription, and silent changes."""

from __future__ import annotations

import pytest

from rollcall.sandbox.canvas.rest import world_tables
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.enrollments import delete_by_import
from tests.sandbox.canvas.rest.institution import Institution, ids, living


def test_an_institution_is_older_than_its_subscription() -> None:
    """The beginning and the silent steps have no events; the rows are as with events."""
    simulation = Simulation(SimulationPlan(courses=3, steps=400, seed=5, silent_steps=300))
    events = list(simulation.events())
    tables, rosters = world_tables(simulation.canvas.world), simulation.truth()
    assert events
    assert 0 < len(rosters["enrollments"]) < len(tables["enrollments"])
    assert len(rosters["courses"]) < len(tables["courses"])
    started = [row for row in simulation.canvas.world.enrollments if row.has_event]
    assert len(started) == len({row["enrollment_id"] for row in rosters["enrollments"].values()})


@pytest.mark.parametrize("steps", [50, 60, 1_000])
def test_an_institution_that_never_had_events(steps: int) -> None:
    """Also if it would subscribe later than its history ends."""
    simulation = Simulation(SimulationPlan(courses=1, steps=50, silent_steps=steps))
    assert list(simulation.events()) == []
    assert simulation.canvas.world.enrollments
    delete_by_import(simulation.canvas, simulation.canvas.world.sections[0], 1.0)
    assert simulation.take_events() == []


def test_silent_steps_must_not_be_negative() -> None:
    """As the other numbers."""
    with pytest.raises(ValueError, match="silent_steps"):
        SimulationPlan(silent_steps=-1)


def test_an_import_deletes_enrollments_silently(institution: Institution) -> None:
    """No event and no roster tells of it: only the API, with the time of the import."""
    simulation, course = institution.simulation, institution.largest_course()
    before, members = simulation.truth(), living(course)
    for section in course.sections:
        delete_by_import(simulation.canvas, section, 0.5)
    assert simulation.take_events() == []
    assert simulation.truth() == before
    gone = [row for row in members if row.workflow_state == "deleted"]
    assert 0 < len(gone) < len(members)
    found = institution.rows(f"/courses/{course.id}/enrollments", state=["deleted"], per_page=100)
    assert set(ids(found)) == set(ids(gone))
    assert all(row["updated_at"] > row["created_at"] for row in found)
