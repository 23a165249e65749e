"""Answers that are none of Canvas's, or not all of them: nobody is removed, and a run that was not
told everything is not complete.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rollcall.reconcile.canvas_client import CanvasRefusesError
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.summary import Kind, Outcome
from rollcall.sandbox.canvas.simulation import groups as change_groups
from rollcall.sandbox.canvas.simulation.world import local_id
from tests.reconcile.institution import Between, Institution
from tests.reconcile.test_failures import active, is_deleted_by_run, largest, set_silently, state


async def test_a_proxy_that_removes_links(school: Institution) -> None:
    """All lists end after their first page, and look complete."""
    school.server.faults.max_per_page = 10

    def change(_path: str, headers: httpx.Headers, _content: Any) -> None:
        headers.pop("link", None)

    school.transport = Between(change)
    summary = await school.reconcile(largest(school))
    assert summary.outcome is Outcome.PARTIAL
    assert "Link" in " ".join(summary.reasons())
    assert is_deleted_by_run(school) == []


async def test_a_404_that_is_not_of_canvas(school: Institution) -> None:
    """A firewall blocks one address, and the list lacks the row."""
    student = active(school)[0]
    identity = int(local_id(student.gid))

    def change(path: str, _headers: httpx.Headers, content: Any) -> tuple[int, Any] | None:
        if path.endswith("/enrollments") and isinstance(content, list):
            return 200, [row for row in content if row["id"] != identity]
        if path.endswith((f"/enrollments/{identity}", f"/enrollments/{student.gid}")):
            return 404, b"<html>blocked</html>"
        return None

    school.transport = Between(change)
    summary = await school.reconcile()
    assert state(school, student) == "active"
    assert summary.outcome is Outcome.PARTIAL
    assert "the answer is no JSON" in " ".join(summary.reasons())


async def test_a_known_course_that_the_list_of_the_account_lacks(school: Institution) -> None:
    """It is asked for."""
    course = largest(school)
    student = active(school, course)[0]
    set_silently(school, student, "completed")

    def change(path: str, _headers: httpx.Headers, content: Any) -> tuple[int, Any] | None:
        if not path.startswith("/accounts/") or not path.endswith("/courses"):
            return None
        return 200, [each for each in content if each["id"] != course.id]

    school.later()
    school.transport = Between(change)
    summary = await school.reconcile()
    assert summary.outcome is Outcome.COMPLETE
    assert state(school, student) == "completed"
    school.server.faults.hidden |= {f"/courses/{course.gid}", f"/courses/{course.id}"}
    school.transport = Between(change)
    summary = await school.reconcile()
    assert (summary.outcome, [*summary.skipped]) == (Outcome.PARTIAL, [course.gid])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sis_user_id", 77),
        ("created_at", "yesterday"),
        ("short_name", "x" * 1_001),
        ("id", None),
    ],
)
async def test_users_that_cannot_be_used(school: Institution, name: str, value: object) -> None:
    def change(path: str, _headers: httpx.Headers, content: Any) -> tuple[int, Any] | None:
        if not path.endswith("/enrollments") or not isinstance(content, list):
            return None
        return 200, [row | {"user": row["user"] | {name: value}} for row in content]

    school.transport = Between(change)
    summary = await school.reconcile(largest(school))
    assert summary.counts[Entity.USER, Kind.UNUSABLE]
    assert summary.outcome is Outcome.PARTIAL
    assert "a user cannot be used" in " ".join(summary.reasons())


async def test_a_membership_that_is_answered_as_deleted(school: Institution) -> None:
    """And not by 404."""
    course = largest(school)
    category = change_groups.create_category(school.canvas, course, "Labs", 1)
    for row in active(school, course)[:3]:
        change_groups.join(school.canvas, category.groups[0], row.user, "accepted")
    school.deliver()
    gone = category.groups[0].memberships[0]
    with school.silence() as canvas:
        change_groups.set_membership(canvas, gone, "deleted")

    def change(path: str, _headers: httpx.Headers, _content: Any) -> tuple[int, Any] | None:
        if not path.endswith((f"/memberships/{gone.gid}", f"/memberships/{local_id(gone.gid)}")):
            return None
        return 200, {
            "id": int(local_id(gone.gid)),
            "group_id": int(gone.group.gid),
            "user_id": int(gone.user.gid),
            "workflow_state": "deleted",
        }

    school.later()
    school.transport = Between(change)
    summary = await school.reconcile()
    assert summary.outcome is Outcome.COMPLETE
    assert school.rows("memberships")[gone.gid]["state"] == "deleted"


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": "self"}, {"id": -1}, {"id": {}}])
async def test_a_root_account_without_an_id(school: Institution, answer: object) -> None:
    def change(path: str, _headers: httpx.Headers, _content: Any) -> tuple[int, Any] | None:
        return (200, answer) if path == "/accounts/self" else None

    school.transport = Between(change)
    with pytest.raises(CanvasRefusesError, match="has no id"):
        await school.reconcile()
