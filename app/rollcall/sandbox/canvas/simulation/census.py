"""Actual states in the simulated Canvas, to compare with the rosters that events give."""

from __future__ import annotations

from typing import NamedTuple

from rollcall.sandbox.canvas.simulation.world import LIVE_STATES, Account, Course, Enrollment, World


class WorldRow(NamedTuple):
    """Actual state of an enrollment, group or membership."""

    place: str
    """The id of its course, or ``account:`` and the id of its account."""
    state: str
    has_event: bool
    """Whether the row had an event. A membership needs one of its group, too."""
    divergence: str | None
    """Reason why rosters may have another state; None: they must have this state.

    ``bulk``: an import changed it without an event. ``came_back``: it was deleted or completed in
    bulk with its course or section, and stayed so when that was restored or moved. ``rejected``:
    it was rejected before it was deleted in bulk with its course or section. ``late``: it is in a
    concluded course but not completed, because it was moved there or reactivated after the
    conclusion, or was pending creation, which a conclusion does not change.
    """


def take_census(world: World) -> dict[str, dict[str, WorldRow]]:
    """All enrollments, groups and memberships by id."""
    return {
        "enrollments": {
            row.gid: WorldRow(row.section.course.gid, row.state, row.has_event, _divergence(row))
            for row in world.enrollments
        },
        "groups": {
            row.gid: WorldRow(
                _place(row.category.context),
                _context_state(row.category.context) or row.state,
                row.has_event,
                None,
            )
            for row in world.groups
        },
        "memberships": {
            row.gid: WorldRow(
                _place(row.group.category.context),
                _context_state(row.group.category.context)
                or ("deleted" if row.group.state == "deleted" else row.state),
                row.has_event and row.group.has_event,
                None,
            )
            for row in world.memberships
        },
    }


def _place(context: Course | Account) -> str:
    return f"account:{context.gid}" if isinstance(context, Account) else context.gid


def _context_state(context: Course | Account) -> str | None:
    """State of all groups and memberships in a deleted context; None for other contexts. Only an
    account without groups can be deleted.
    """
    return "deleted" if isinstance(context, Course) and context.state == "deleted" else None


def _divergence(row: Enrollment) -> str | None:
    """The value of :attr:`WorldRow.divergence` for an enrollment."""
    section = row.section
    course = section.course
    if row.silent_change == "import":
        return "bulk"
    if row.silent_change is not None:
        explained = (
            section.state == "deleted"
            or course.state == "deleted"
            or (course.state == "completed" and row.workflow_state == "completed")
        )
        if not explained:
            return "came_back"
        return "rejected" if row.silent_change == "rejected" else None
    if (
        course.state == "completed"
        and section.state == "active"
        and row.workflow_state in (*LIVE_STATES, "creation_pending")
    ):
        return "late"
    return None
