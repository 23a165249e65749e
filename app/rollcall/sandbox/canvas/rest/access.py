"""Tokens, and what their owners may see."""

from __future__ import annotations

from dataclasses import dataclass

from rollcall.sandbox.canvas.simulation.world import Course, Section

ADMIN_TOKEN = "admin"  # no secret: the server listens on loopback only  # noqa: S105

PERMISSIONS = (
    "read_roster",
    "read_course_list",
    "read_course_content",
    "read_sis",
    "view_group_pages",
    "manage_groups_manage",
    "manage_students",
    "manage_sections_edit",
    "read",
)
"""Permissions that are answered if a request names none."""


@dataclass
class Access:
    """Rights of a token's owner. The default is an administrator of the root account."""

    account: bool = True
    """Rights on accounts. Without them and without a section, requests are refused."""
    section: str | None = None
    """Id of the only section whose enrollments are seen: lists are shorter, without an error."""
    denied: frozenset[str] = frozenset()
    """Permissions that an administrator lacks. They change the answer about permissions only."""
    revoked: bool = False

    def has(self, permission: str) -> bool:
        """Whether the owner has a permission on accounts."""
        return self.account and permission not in self.denied

    def sees_course(self, course: Course) -> bool:
        """Whether the owner may read a course."""
        return self.account or any(map(self.is_own, list(course.sections)))

    def is_own(self, section: Section) -> bool:
        """Whether it is the owner's section."""
        return section.gid == self.section

    def sees_section(self, gid: str) -> bool:
        """Whether the owner sees the section and its enrollments in lists."""
        return self.section in (None, gid)
