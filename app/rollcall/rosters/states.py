"""Rules for the state of an enrollment, and its reason."""

from __future__ import annotations

from collections.abc import Mapping

FINAL = frozenset({"rejected", "deleted"})
"""Workflow states that dates do not change: a user or an import sets them."""

BY_DATES = frozenset(
    {
        ("active", "pending_active"),
        ("active", "completed"),
        ("invited", "pending_invited"),
        ("invited", "completed"),
    }
)
"""Pairs of workflow_state and state in which the dates only restrict the workflow_state. They hold
even if the state is older.
"""

CURRENT = frozenset({"active", "invited", "creation_pending", "pending_active", "pending_invited"})
"""States that end when the course is concluded."""

COURSE_DELETED: Mapping[str, str] = {"course_deleted": "the course is deleted"}
"""A state_reason of several relations, with its meaning."""


def enrollment_state(
    workflow_state: str, set_at: int, state: str | None, dated_at: int | None
) -> tuple[str, str]:
    """State of an enrollment apart from section and course, and its reason: ``enrollment`` or
    ``dates``.

    Args:
        workflow_state: from the latest enrollment_* event.
        set_at: time of this event, microseconds since the epoch.
        state: from the latest enrollment_state_* event; None: no such event, or no state in it.
        dated_at: time of this event, microseconds since the epoch; None: no such event.
    """
    if state is None or dated_at is None or (workflow_state in FINAL and dated_at <= set_at):
        return workflow_state, "enrollment"
    if dated_at >= set_at or (workflow_state, state) in BY_DATES:
        return state, "dates"
    return workflow_state, "enrollment"


def enrollment_state_within(
    state: str, reason: str, *, section_deleted: bool, course_state: str | None
) -> tuple[str, str]:
    """State of an enrollment with its section and course, and its reason. Their changes have no
    event for the enrollment.

    Args:
        state: the enrollment's state by :func:`enrollment_state`.
        reason: the reason of ``state``.
        section_deleted: whether the section is deleted.
        course_state: the course's workflow_state; None: unknown.
    """
    if section_deleted:
        return "deleted", "section_deleted"
    if course_state == "deleted":
        return "deleted", "course_deleted"
    if course_state == "completed" and state in CURRENT:
        return "completed", "course_completed"
    return state, reason
