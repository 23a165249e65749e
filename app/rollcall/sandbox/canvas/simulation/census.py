"""What is really in the simulated Canvas, read from its rows: the measure for what events can tell,
and for the rules of rosters.
"""

from __future__ import annotations

from typing import NamedTuple

from rollcall.sandbox.canvas.simulation.world import LIVE, Account, Course, Enrollment, World


class WorldRow(NamedTuple):
    """An enrollment, group or membership as it really is."""

    place: str
    """The id of its course, or ``account:`` and the id of its account."""
    state: str
    has_event: bool
    """Whether there were events for a row: its own, and for a membership also its group's."""
    beyond: str | None
    """Reason why rosters cannot derive the state from events; None: they must have it.

    ``bulk``: an import changed it without an event. ``came_back``: it was deleted or completed in
    bulk with its course or section, and stayed so when that was restored or when it moved.
    ``rejected``: it was rejected before it was deleted in bulk with its course or section.
    ``late``: it is in a concluded course and not completed, because it was moved there or
    reactivated after the conclusion, or was pending creation, which a conclusion does not change.
    """


def take_census(world: World) -> dict[str, dict[str, WorldRow]]:
    """All enrollments, groups and memberships by id."""
    return {
        "enrollments": {
            row.gid: WorldRow(row.section.course.gid, row.state, row.has_event, _beyond(row))
            for row in world.enrollments
        },
        "groups": {
            row.gid: WorldRow(
                _place(row.category.context),
                _alive(row.category.context) or row.state,
                row.has_event,
                None,
            )
            for row in world.groups
        },
        "memberships": {
            row.gid: WorldRow(
                _place(row.group.category.context),
                _alive(row.group.category.context)
                or ("deleted" if row.group.state == "deleted" else row.state),
                row.has_event and row.group.has_event,
                None,
            )
            for row in world.memberships
        },
    }


def _place(context: Course | Account) -> str:
    return f"account:{context.gid}" if isinstance(context, Account) else context.gid


def _alive(context: Course | Account) -> str | None:
    """The state of everything in a context that is gone; None while it is there. What an account
    loses, it has lost before it can be deleted.
    """
    return "deleted" if isinstance(context, Course) and context.state == "deleted" else None


def _beyond(row: Enrollment) -> str | None:
    section = row.section
    course = section.course
    if row.silent == "import":
        return "bulk"
    if row.silent is not None:
        explained = (
            section.state == "deleted"
            or course.state == "deleted"
            or (course.state == "completed" and row.workflow_state == "completed")
        )
        return "came_back" if not explained else "rejected" if row.silent == "rejected" else None
    if (
        course.state == "completed"
        and section.state == "active"
        and row.workflow_state in (*LIVE, "creation_pending")
    ):
        return "late"
    return None
