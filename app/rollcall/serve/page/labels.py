"""Labels of codes, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

ROLE_LABELS: Mapping[str, str] = {
    "StudentEnrollment": "Student",
    "TeacherEnrollment": "Teacher",
    "TaEnrollment": "TA",
    "DesignerEnrollment": "Designer",
    "ObserverEnrollment": "Observer",
    "StudentViewEnrollment": "Test student",
}
"""Labels of enrollment types, as on Canvas's own pages. Other types are shown as they are."""

REASON_LABELS: Mapping[str, str] = {
    "enrollment": "set in Canvas",
    "dates": "by dates",
    "section_deleted": "section deleted",
    "course_deleted": "course deleted",
    "course_completed": "course concluded",
    "group_deleted": "group deleted",
    "membership": "set in Canvas",
    "section": "set in Canvas",
    "group": "set in Canvas",
    "course": "set in Canvas",
    "snapshot": "as Canvas has it",
    "absent": "Canvas has it no more",
}
"""Labels of state reasons, short enough for a column. docs/rosters.md explains the reasons."""


def history_text(history: str | None) -> str | None:
    """The states of an enrollment by its event and by its snapshot, in a line; None: it has no
    snapshot.

    Args:
        history: of the row, JSON.
    """
    if history is None:
        return None
    latest = orjson.loads(history)
    snapshot, event = latest["snapshot"], latest.get("event")
    state = snapshot["workflow_state"] if snapshot["present"] else "gone"
    return "; ".join(
        (
            f"event, {_second(event)}: {event['workflow_state']}" if event else "no event",
            f"Canvas, seen {_second(snapshot)}: {state}",
        )
    )


def _second(register: dict[str, Any]) -> str:
    return f"{register['event_time'][:19]}Z"
