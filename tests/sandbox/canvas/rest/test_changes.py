"""Rows change in another thread while they are listed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from rollcall.sandbox.canvas.simulation.steps import run_step
from tests.sandbox.canvas.rest.institution import ALL_STATES, Institution
from tests.waiting import result_of


def test_rows_change_while_they_are_listed(institution: Institution) -> None:
    """Every request is answered. Only what is deleted meanwhile is not found."""
    canvas, world, ended = institution.simulation.canvas, institution.world, Event()

    def change() -> int:
        count = 0
        while not ended.is_set():
            run_step(canvas)
            ended.wait(0.001)
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        changes = pool.submit(change)
        try:
            for course, group in zip(world.courses[:3] * 5, world.groups[:15], strict=False):
                for path in (
                    f"/courses/{course.id}/enrollments",
                    f"/courses/{course.id}/sections",
                    f"/courses/{course.id}/groups",
                    f"/groups/{group.gid}/memberships",
                    "/accounts/1/users",
                    "/accounts/1/courses",
                ):
                    response = institution.get(path, state=ALL_STATES)
                    assert response.status_code == 200 or (
                        response.status_code == 404 and path.startswith("/groups")
                    )
        finally:
            ended.set()
    assert result_of(changes, what="the changes") > 0
