"""Labels of codes, for people."""

from __future__ import annotations

from collections.abc import Mapping

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
}
"""Labels of state reasons, short enough for a column. docs/rosters.md explains the reasons."""
