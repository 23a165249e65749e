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
    "dates": "by the dates of course, section or term",
    "section_deleted": "the section was deleted",
    "course_deleted": "the course was deleted",
    "course_completed": "the course was concluded",
    "group_deleted": "the group was deleted",
    "membership": "set in Canvas",
    "section": "set in Canvas",
    "group": "set in Canvas",
    "course": "set in Canvas",
}
"""Where a state comes from (docs/rosters.md)."""
