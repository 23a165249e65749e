"""Bodies of events, built from rows. Ids are local where Canvas writes local ids."""

from __future__ import annotations

from typing import Any

from rollcall.sandbox.canvas.simulation.world import (
    Account,
    Category,
    Course,
    Enrollment,
    Group,
    Membership,
    Section,
    User,
)
from rollcall.sandbox.canvas.simulation.writing import exact_time, rails_time, zoned_time

Body = dict[str, Any]


def account_body(account: Account, root: Account, domain: str) -> Body:
    """Body of account_*: all ids are local, and JSON integers."""
    return {
        "name": account.name,
        "account_id": account.id,
        "root_account_id": 0 if account is root else root.id,
        "root_account_uuid": root.uuid,
        "parent_account_id": account.parent.id if account.parent else None,
        "external_status": "paid",
        "workflow_state": account.state,
        "domain": domain,
        "default_time_zone": "America/Chicago",
        "default_locale": "en",
    }


def user_body(user: User, offset: int) -> Body:
    """Body of user_*."""
    return {
        "created_at": zoned_time(user.created_ms, offset),
        "name": user.name,
        "short_name": user.name,
        "updated_at": zoned_time(user.updated_ms, offset),
        "user_id": user.gid,
        "user_login": user.login,
        "user_sis_id": user.sis_id,
        "uuid": user.uuid,
        "workflow_state": user.state,
    }


def association_body(user: User, account: Account, now_ms: int, is_admin: bool) -> Body:
    """Body of user_account_association_created."""
    time = exact_time(now_ms)
    return {
        "account_id": account.gid,
        "account_uuid": account.uuid,
        "created_at": time,
        "is_admin": is_admin,
        "updated_at": time,
        "user_id": user.gid,
    }


def notification_body(
    gid: str, subject: str, message: str, icon: str | None, start_ms: int, end_ms: int
) -> Body:
    """Body of account_notification_created."""
    return {
        "account_notification_id": gid,
        "end_at": zoned_time(end_ms, 0),
        "icon": icon,
        "message": message,
        "start_at": zoned_time(start_ms, 0),
        "subject": subject,
    }


def course_body(course: Course, offset: int) -> Body:
    """Body of course_*."""
    return {
        "account_id": course.account.gid,
        "account_uuid": course.account.uuid,
        "course_id": course.gid,
        "created_at": zoned_time(course.created_ms, offset),
        "name": course.name,
        "updated_at": zoned_time(course.updated_ms, offset),
        "uuid": course.uuid,
        "workflow_state": course.state,
    }


def section_body(section: Section, root_account_id: int, offset: int) -> Body:
    """Body of course_section_*: all ids are local."""
    restricted = section.restricted
    return {
        "accepting_enrollments": True if restricted else None,
        "can_manually_enroll": None,
        "course_id": str(section.course.id),
        "course_section_id": str(section.id),
        "default_section": section.default,
        "end_at": zoned_time(section.end_ms, offset) if restricted else None,
        "enrollment_term_id": "12",
        "integration_id": None,
        "name": section.name,
        "nonxlist_course_id": str(section.own_course.id) if section.own_course else None,
        "restrict_enrollments_to_section_dates": True if restricted else None,
        "root_account_id": str(root_account_id),
        "sis_batch_id": "733" if section.sis_id else None,
        "sis_source_id": section.sis_id,
        "start_at": zoned_time(section.start_ms, offset) if restricted else None,
        "stuck_sis_fields": list(section.stuck),
        "workflow_state": section.state,
    }


def enrollment_body(enrollment: Enrollment, offset: int, with_uuids: bool) -> Body:
    """Body of enrollment_*. Only some versions of Canvas write the uuids."""
    course, user = enrollment.section.course, enrollment.user
    body = {
        "associated_user_id": enrollment.observed.gid if enrollment.observed else None,
        "course_id": course.gid,
        "course_section_id": enrollment.section.gid,
        "created_at": zoned_time(enrollment.created_ms, offset),
        "enrollment_id": enrollment.gid,
        "limit_privileges_to_course_section": enrollment.limited,
        "type": enrollment.kind,
        "updated_at": zoned_time(enrollment.updated_ms, offset),
        "user_id": user.gid,
        "user_name": user.name,
        "workflow_state": enrollment.workflow_state,
    }
    if with_uuids:
        body["course_uuid"], body["user_uuid"] = course.uuid, user.uuid
    return body


def state_body(enrollment: Enrollment) -> Body:
    """Body of enrollment_state_*: the enrollment's id is the only id."""
    state, started, until = enrollment.state, enrollment.started_ms, enrollment.until_ms
    return {
        "access_is_current": True,
        "enrollment_id": enrollment.gid,
        "restricted_access": state.startswith("pending_") or state == "inactive",
        "state": state,
        "state_is_current": True,
        "state_started_at": None if started is None else rails_time(started, -8 * 3600),
        "state_valid_until": None if until is None else exact_time(until),
    }


def _context_type(context: Course | Account) -> str:
    return "Account" if isinstance(context, Account) else "Course"


def category_body(category: Category) -> Body:
    """Body of group_category_*: the context's id is local."""
    context = category.context
    return {
        "context_id": str(context.id),
        "context_type": _context_type(context),
        "group_category_id": category.gid,
        "group_category_name": category.name,
        "group_limit": category.limit,
    }


def group_body(group: Group) -> Body:
    """Body of group_*."""
    category, context = group.category, group.category.context
    return {
        "account_id": context.gid if isinstance(context, Account) else context.account.gid,
        "context_id": context.gid,
        "context_type": _context_type(context),
        "group_category_id": category.gid,
        "group_category_name": category.name,
        "group_id": group.gid,
        "group_name": group.name,
        "max_membership": group.max_members,
        "uuid": group.uuid,
        "workflow_state": group.state,
    }


def membership_body(membership: Membership) -> Body:
    """Body of group_membership_*: it has neither course nor time."""
    group = membership.group
    return {
        "group_category_id": group.category.gid,
        "group_category_name": group.category.name,
        "group_id": group.gid,
        "group_membership_id": membership.gid,
        "group_name": group.name,
        "user_id": membership.user.gid,
        "workflow_state": membership.state,
    }
