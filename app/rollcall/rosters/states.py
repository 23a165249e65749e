"""What state an enrollment, a group or a membership is in, and why."""

from __future__ import annotations

from collections.abc import Mapping

FINAL = frozenset({"rejected", "deleted"})
"""Set by a person or an import, these are so whatever the dates say."""

BY_DATES = frozenset(
    {
        ("active", "pending_active"),
        ("active", "completed"),
        ("invited", "pending_invited"),
        ("invited", "completed"),
    }
)
"""(workflow_state, state) in which the dates only narrow what was set: so also when they were
looked at earlier.
"""

CURRENT = frozenset({"active", "invited", "creation_pending", "pending_active", "pending_invited"})
"""States that end when the course is concluded."""

COURSE_DELETED: Mapping[str, str] = {"course_deleted": "the course is deleted"}
"""A value of state_reason that several relations have, and its meaning."""


def enrollment_state(
    workflow_state: str, set_at: int, state: str | None, dated_at: int | None
) -> tuple[str, str]:
    """The state of an enrollment by itself, and the reason: ``enrollment`` or ``dates``.

    Args:
        workflow_state: what was set, as of ``set_at`` (microseconds).
        state: what it comes to by the dates, as of ``dated_at``; None: not known.
    """
    if state is None or dated_at is None or (workflow_state in FINAL and dated_at <= set_at):
        return workflow_state, "enrollment"
    if dated_at >= set_at or (workflow_state, state) in BY_DATES:
        return state, "dates"
    return workflow_state, "enrollment"


def enrollment_state_within(
    state: str, reason: str, *, section_deleted: bool, course_state: str | None
) -> tuple[str, str]:
    """The state of an enrollment within its section and course, which Canvas changes without an
    event for it.
    """
    if section_deleted:
        return "deleted", "section_deleted"
    if course_state == "deleted":
        return "deleted", "course_deleted"
    if course_state == "completed" and state in CURRENT:
        return "completed", "course_completed"
    return state, reason
