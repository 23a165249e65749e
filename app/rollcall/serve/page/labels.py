"""Labels of codes, for people."""

from __future__ import annotations

from collections.abc import Mapping

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
    """What event and snapshot said of an enrollment, in a line; None: it has no snapshot.

    Args:
        history: of the row, JSON.
    """
    if history is None:
        return None
    said = orjson.loads(history)
    snapshot = said["snapshot"]
    state = snapshot["workflow_state"] if snapshot["present"] else "gone"
    seen = f"Canvas, seen {snapshot['event_time'][:19]}Z: {state}"
    event = said.get("event")
    told = f"event, {event['event_time'][:19]}Z: {event['workflow_state']}" if event else "no event"
    return f"{told}; {seen}"
