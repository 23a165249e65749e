"""The actual rows of a simulated institution, in the fields of snapshot events."""

from __future__ import annotations

from typing import Any

from rollcall.sandbox.canvas.simulation.world import (
    Account,
    Course,
    Enrollment,
    Group,
    Membership,
    Section,
    User,
    World,
)
from rollcall.sandbox.canvas.simulation.writing import zoned_time

Row = dict[str, Any]
Tables = dict[str, dict[str, Row]]


def world_tables(world: World) -> Tables:
    """All rows by relation and id, deleted ones too.

    The relations are ``courses``, ``sections``, ``enrollments``, ``groups``, ``memberships`` and
    ``users``. Ids are global; ``workflow_state`` is the raw one of the row; times have seconds.
    """
    return {
        "courses": {row.gid: _course(row) for row in list(world.courses)},
        "sections": {row.gid: _section(row) for row in list(world.sections)},
        "enrollments": {row.gid: _enrollment(row) for row in list(world.enrollments)},
        "groups": {row.gid: _group(row) for row in list(world.groups)},
        "memberships": {row.gid: _membership(row) for row in list(world.memberships)},
        "users": {row.gid: _user(row) for row in list(world.users)},
    }


def time_text(ms: int | None) -> str | None:
    """A time as answers show it: UTC with seconds."""
    return None if ms is None else zoned_time(ms, 0)


def section_dates(section: Section) -> tuple[str | None, str | None]:
    """A section's own dates; None if it has none."""
    if not section.restricted:
        return None, None
    return time_text(section.start_ms), time_text(section.end_ms)


def _course(course: Course) -> Row:
    return {
        "course_id": course.gid,
        "workflow_state": course.state,
        "uuid": course.uuid,
        "account_id": course.account.gid,
        "name": course.name,
        "created_at": time_text(course.created_ms),
    }


def _section(section: Section) -> Row:
    start, end = section_dates(section)
    return {
        "course_section_id": section.gid,
        "course_id": section.course.gid,
        "workflow_state": section.state,
        "name": section.name,
        "nonxlist_course_id": section.own_course.gid if section.own_course else None,
        "sis_source_id": section.sis_id,
        "integration_id": None,
        "start_at": start,
        "end_at": end,
        "restrict_enrollments_to_section_dates": True if section.restricted else None,
    }


def _enrollment(enrollment: Enrollment) -> Row:
    return {
        "enrollment_id": enrollment.gid,
        "course_id": enrollment.section.course.gid,
        "course_section_id": enrollment.section.gid,
        "user_id": enrollment.user.gid,
        "type": enrollment.kind,
        "workflow_state": enrollment.workflow_state,
        "user_name": enrollment.user.name,
        "limit_privileges_to_course_section": enrollment.limited,
        "created_at": time_text(enrollment.created_ms),
        "updated_at": time_text(enrollment.updated_ms),
        "associated_user_id": enrollment.observed.gid if enrollment.observed else None,
    }


def _group(group: Group) -> Row:
    context = group.category.context
    return {
        "group_id": group.gid,
        "context_type": "Account" if isinstance(context, Account) else "Course",
        "context_id": context.gid,
        "workflow_state": group.state,
        "group_name": group.name,
        "group_category_id": group.category.gid,
        "max_membership": group.max_members,
    }


def _membership(membership: Membership) -> Row:
    return {
        "group_membership_id": membership.gid,
        "group_id": membership.group.gid,
        "user_id": membership.user.gid,
        "workflow_state": membership.state,
    }


def _user(user: User) -> Row:
    return {
        "user_id": user.gid,
        "workflow_state": user.state,
        "name": user.name,
        "short_name": user.name,
        "created_at": time_text(user.created_ms),
        "user_login": user.login,
        "user_sis_id": user.sis_id,
    }
