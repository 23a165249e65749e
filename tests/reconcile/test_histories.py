"""Random institutions: older than their subscription, with lost, late and repeated events. After a
run, rosters are as Canvas has it. What counts as such is in
:mod:`rollcall.sandbox.canvas.rest.equality`.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.reconcile.absences import AbsenceProofs
from rollcall.reconcile.checkpoint import Candidate
from rollcall.reconcile.comparison import Row
from rollcall.reconcile.course import CourseReading
from rollcall.reconcile.facts import Fact, absence
from rollcall.reconcile.guards import ALL
from rollcall.reconcile.summary import Outcome
from rollcall.sandbox.canvas.simulation import SimulationPlan
from rollcall.sandbox.canvas.simulation.steps import run_step
from tests.examples import examples
from tests.reconcile.institution import Institution, institution


@st.composite
def plans(draw: st.DrawFn) -> SimulationPlan:
    """Institutions."""
    return SimulationPlan(
        courses=draw(st.integers(1, 4)),
        steps=draw(st.integers(0, 250)),
        seed=draw(st.integers(0, 10**6)),
        lost=draw(st.sampled_from([0.0, 0.2, 1.0])),
        duplicates=0.1,
        disorder=draw(st.sampled_from([0, 50])),
        class_size=draw(st.integers(1, 12)),
        silent_steps=draw(st.sampled_from([None, 0, 100])),
    )


def change(school: Institution, steps: int, *, is_told: bool) -> None:
    """Things happen in Canvas."""
    school.canvas.subscribed = is_told
    for _ in range(steps):
        run_step(school.canvas)
    school.canvas.subscribed = True


@settings(max_examples=examples(45))
@given(plans(), st.integers(0, 60), st.integers(0, 40))
async def test_rosters_become_as_canvas_has_it(
    plan: SimulationPlan, silent: int, told: int
) -> None:
    """After any history; after silent changes; and after events that come meanwhile or later."""
    with TemporaryDirectory() as folder, institution(Path(folder), plan) as school:
        for steps, is_told in ((0, False), (silent, False), (told, True)):
            change(school, steps, is_told=is_told)
            school.later()
            summary = await school.reconcile(permitted=[ALL])
            assert summary.outcome is Outcome.COMPLETE or "absence is not judged" in " ".join(
                summary.reasons()
            )
            if summary.outcome is Outcome.COMPLETE:
                assert school.wrong_rows() == []
            school.written.clear()
            school.later()
            again = await school.reconcile(permitted=[ALL])
            assert again.outcome is not Outcome.COMPLETE or school.written == []
            # An event that was late may be older than a silent change that brought its row back to
            # what the rosters had.
            school.deliver()
            school.later()
            last = await school.reconcile(permitted=[ALL])
            assert last.outcome is not Outcome.COMPLETE or school.wrong_rows() == []


async def believe_at_once(
    proofs: AbsenceProofs, candidate: Candidate, row: Row, *, has_moved: bool
) -> Fact:
    """Without asking Canvas."""
    return absence(candidate.entity, row, int(time.time() * 1_000_000))


CARELESS: dict[str, tuple[tuple[type, str, object], ...]] = {
    "absence from incomplete lists": (
        (CourseReading, "_is_complete", lambda _self, _found: True),
        (AbsenceProofs, "_ask", believe_at_once),
    ),
    "displayed states are believed": ((CourseReading, "_is_believed", lambda *_arguments: True),),
}


@pytest.mark.parametrize("rule", CARELESS)
@pytest.mark.parametrize("is_careless", [True, False])
async def test_without_a_rule_rosters_become_wrong(
    tmp_path: Path, rule: str, is_careless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative controls. Two rules protect against incomplete lists."""
    if is_careless:
        for owner, name, value in CARELESS[rule]:
            monkeypatch.setattr(owner, name, value)
    plan = SimulationPlan(courses=4, steps=60, seed=4, class_size=40)
    with institution(tmp_path, plan) as school:
        await school.reconcile(permitted=[ALL])
        assert school.wrong_rows() == []
        course = max(
            (each for each in school.world.courses if each.state == "available"),
            key=lambda each: sum(len(section.enrollments) for section in each.sections),
        )
        if rule.startswith("displayed"):
            for section in course.sections:
                section.state = "deleted"
        else:
            school.server.faults.max_per_page = 3
            school.server.faults.expired_bookmarks = True
        school.later()
        await school.reconcile(permitted=[ALL])
        for section in course.sections:
            section.state = "active"
        rows = school.rows("enrollments")
        wrongly = [
            row.gid
            for row in school.world.enrollments
            if row.gid in rows
            and rows[row.gid]["workflow_state"] == "deleted"
            and row.workflow_state != "deleted"
        ]
        assert bool(wrongly) is is_careless
