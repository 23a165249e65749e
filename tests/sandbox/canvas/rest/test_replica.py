"""Enrollments come from a replica, which may lag."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.sandbox.canvas.rest.replica import COPIES, Replica
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.courses import delete_course, delete_section
from rollcall.sandbox.canvas.simulation.enrollments import delete
from rollcall.sandbox.canvas.simulation.world import World
from tests.sandbox.canvas.rest.institution import ALL_STATES, Institution, ids, living

LAG_MS = 1_000


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    """A small institution. Only its first enrollment changes."""
    simulation = Simulation(SimulationPlan(courses=1, steps=0, class_size=1))
    for _ in simulation.events():
        pass
    return simulation


@given(
    steps=st.lists(
        st.one_of(st.just("change"), st.just("read"), st.integers(1, LAG_MS)), max_size=30
    )
)
def test_an_answer_is_never_older_than_the_lag(
    simulation: Simulation, steps: list[str | int]
) -> None:
    """In any order of changes and reads, in a list and for a single enrollment."""
    now, state = 0, 0
    enrollment = simulation.canvas.world.enrollments[0]
    enrollment.updated_ms = state
    replica = Replica(lambda: simulation.canvas.world, lambda: now)
    replica.lag = LAG_MS / 1_000
    changes = [(0, 0)]
    for step in steps:
        if step == "change":
            state += 1_000
            enrollment.updated_ms = state
            changes.append((now, state))
        elif isinstance(step, int):
            now += step
        else:
            (listed,) = [
                row
                for row in replica.enrollments(enrollment.section.course)
                if row.gid == enrollment.gid
            ]
            assert replica.enrollment(enrollment.gid) == listed
            found = listed.object["updated_at"]
            in_time = [value for time, value in changes if time < now - LAG_MS]
            values = [value for _, value in changes if value >= max(in_time, default=0)]
            assert found in [f"1970-01-01T00:{s // 60000:02}:{s // 1000 % 60:02}Z" for s in values]


def test_many_requests_need_few_copies(simulation: Simulation) -> None:
    """An answer is nearly as old as the lag, and copies do not grow with the requests."""
    enrollment = simulation.canvas.world.enrollments[0]
    copied = 0

    def world() -> World:
        nonlocal copied
        copied += 1
        return simulation.canvas.world

    now = 0
    replica = Replica(world, lambda: now)
    replica.lag = LAG_MS / 1_000
    for now in range(10 * LAG_MS):
        enrollment.updated_ms = now * 1_000  # answers have seconds
        record = replica.enrollment(enrollment.gid)
        assert record is not None
        age = now - datetime.fromisoformat(record.object["updated_at"]).timestamp()
        assert age <= LAG_MS
        assert age >= LAG_MS * 0.9 or now < LAG_MS
    assert copied <= 10 * COPIES + 1


def test_a_change_is_seen_after_the_lag(institution: Institution) -> None:
    """In lists and for a single enrollment."""
    canvas = institution.simulation.canvas
    course = institution.largest_course()
    enrollment = next(row for row in living(course) if row.workflow_state == "active")
    institution.server.replica.lag = 120
    delete(canvas, enrollment)

    def shown() -> tuple[str, bool]:
        single = institution.get(f"/accounts/self/enrollments/{enrollment.gid}").json()
        listed = institution.rows(f"/courses/{course.id}/enrollments", per_page=100)
        return single["enrollment_state"], ids([enrollment])[0] in ids(listed)

    assert shown() == ("active", True)
    canvas.now_ms += 121_000
    assert shown() == ("deleted", False)
    institution.server.replica.lag = 0
    assert shown() == ("deleted", False)


def test_sections_do_not_lag(institution: Institution) -> None:
    """A deleted section is not listed, while its enrollments are as before."""
    canvas, course = institution.simulation.canvas, institution.largest_course()
    section = max(course.sections, key=lambda section: len(section.enrollments))
    path = f"/courses/{course.id}/enrollments"
    before = institution.rows(path, state=ALL_STATES)
    institution.server.replica.lag = 60
    delete_section(canvas, section)
    assert section.id not in ids(institution.rows(f"/courses/{course.id}/sections"))
    assert institution.rows(path, state=ALL_STATES) == before
    institution.server.replica.lag = 0
    states = {
        row["enrollment_state"]
        for row in institution.rows(path, state=ALL_STATES)
        if row["course_section_id"] == section.id
    }
    assert states == {"deleted"}


def test_enrollments_of_a_deleted_course_or_section_are_displayed_as_deleted(
    institution: Institution,
) -> None:
    """But the raw state decides whether a list has them."""
    course = institution.largest_course()
    path = f"/courses/{course.id}/enrollments"
    section = course.sections[0]
    raw = {of: row.workflow_state for row in section.enrollments for of in ids([row])}
    section.state = "deleted"
    for state in ("active", "invited"):
        found = [
            row
            for row in institution.rows(path, state=[state], per_page=100)
            if row["course_section_id"] == section.id
        ]
        assert set(ids(found)) == {key for key, raw_state in raw.items() if raw_state == state}
        assert {row["enrollment_state"] for row in found} == {"deleted"}
    section.state = "active"
    delete_course(institution.simulation.canvas, course)
    found = institution.rows(path, state=ALL_STATES)
    assert set(raw) <= set(ids(found))
    assert {row["enrollment_state"] for row in found} == {"deleted"}
    assert institution.get(f"/courses/{course.id}").status_code == 404
