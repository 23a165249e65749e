"""What codes mean to a person."""

from __future__ import annotations

from collections.abc import Mapping

ROLES: Mapping[str, str] = {
    "StudentEnrollment": "Student",
    "TeacherEnrollment": "Teacher",
    "TaEnrollment": "TA",
    "DesignerEnrollment": "Designer",
    "ObserverEnrollment": "Observer",
    "StudentViewEnrollment": "Test student",
}
"""Types of enrollments, as Canvas's own pages call them. One that is not here stands as it is."""

WHY: Mapping[str, str] = {
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
"""Where a state comes from, in a column's width; docs/rosters.md has it at length."""
