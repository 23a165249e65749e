"""After a run, Canvas and serve answer the same questions in the same way, through Canvas's own
client library.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import canvasapi
import pytest

from rollcall.reconcile.guards import ALL
from rollcall.reconcile.summary import Outcome
from rollcall.sandbox.canvas.rest import ADMIN_TOKEN
from rollcall.sandbox.canvas.simulation import SimulationPlan
from rollcall.serve.tokens import add_token
from tests.reconcile.institution import institution
from tests.serve.served import serving

STATES = ["active", "invited", "creation_pending", "deleted", "rejected", "completed", "inactive"]

IDS = ("id", "course_id", "user_id", "workflow_state")
SAME: dict[str, tuple[str, ...]] = {
    "course": (*IDS[::3], "name", "uuid", "account_id", "created_at"),
    "section": (
        *("id", "course_id", "name", "nonxlist_course_id", "sis_section_id", "integration_id"),
        *("start_at", "end_at", "restrict_enrollments_to_section_dates"),
    ),
    "enrollment": (
        *("id", "course_id", "course_section_id", "user_id", "associated_user_id", "type"),
        *("enrollment_state", "role", "limit_privileges_to_course_section"),
        *("created_at", "sis_section_id", "sis_user_id", "root_account_id"),
    ),
    "user": ("id", "name", "short_name", "sortable_name", "login_id", "sis_user_id", "created_at"),
    "group": (
        *("id", "name", "context_type", "course_id", "group_category_id", "max_membership"),
        *("members_count",),
    ),
    "membership": ("id", "group_id", "user_id", "workflow_state"),
}
"""Fields that Canvas's API and the rosters share."""

Answers = dict[tuple[str, int], dict[str, Any]]


def shared(kind: str, found: Any) -> dict[str, Any]:
    """The shared fields of an object."""
    values = found if isinstance(found, dict) else vars(found)
    return {name: values[name] for name in SAME[kind]}


def answers(url: str, token: str, courses: list[int]) -> Answers:
    """All objects of courses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about http
        canvas = canvasapi.Canvas(url, token)
    return {(kind, found["id"]): found for kind, found in _objects(canvas, courses)}


def _objects(canvas: canvasapi.Canvas, courses: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    for course in (canvas.get_course(identity) for identity in courses):
        yield "course", shared("course", course)
        for section in course.get_sections():
            yield "section", shared("section", section)
        for enrollment in course.get_enrollments(state=STATES):
            yield "enrollment", shared("enrollment", enrollment)
            # of deleted enrollments, Canvas shows deleted users, too: they are not read there
            if enrollment.enrollment_state not in ("deleted", "rejected"):
                yield "user", shared("user", enrollment.user)
        for group in course.get_groups(collaboration_state="all"):
            yield "group", shared("group", group)
            for membership in group.get_memberships():
                yield "membership", shared("membership", membership)


@pytest.mark.parametrize("silent_steps", [150, None])
async def test_canvas_and_serve_give_the_same_objects(
    tmp_path: Path, silent_steps: int | None
) -> None:
    """Before, they do not: of an institution that is older, and of one whose events were lost."""
    plan = SimulationPlan(
        courses=5, steps=300, seed=11, silent_steps=silent_steps, lost=0.0 if silent_steps else 0.3
    )
    tokens = tmp_path / "tokens"
    token = add_token(tokens, "test")
    with institution(tmp_path, plan) as school:
        courses = [course.id for course in school.world.courses if course.state != "deleted"]
        summary = await school.reconcile(permitted=[ALL])
        assert summary.outcome is Outcome.COMPLETE
        with serving(tmp_path / "serve", school.cluster.rosters(), tokens_file=tokens) as served:
            of_canvas = answers(school.server.url, ADMIN_TOKEN, courses)
            of_serve = answers(served.url, token, courses)
    assert {kind for kind, _ in of_canvas} == set(SAME)
    assert of_serve.keys() == of_canvas.keys()
    assert [
        (key, found.items() ^ of_serve[key].items())
        for key, found in of_canvas.items()
        if of_serve[key] != found
    ] == []
