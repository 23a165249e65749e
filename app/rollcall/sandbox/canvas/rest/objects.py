"""JSON objects of Canvas's API, except enrollments. Ids are local integers; those of another shard
are global.
"""

from __future__ import annotations

from typing import Any

from rollcall.events.ids import SHARD_SIZE
from rollcall.sandbox.canvas.rest.tables import section_dates, time_text
from rollcall.sandbox.canvas.simulation.world import (
    Account,
    Course,
    Group,
    Membership,
    Section,
    Term,
    User,
    World,
)

Object = dict[str, Any]

_COURSE_STATES = {"created": "unpublished", "claimed": "unpublished"}


def shown_id(gid: str, world: World) -> int:
    """An id as answers show it."""
    shard, local = divmod(int(gid), SHARD_SIZE)
    return local if shard == world.shard else int(gid)


def sortable_name(user: User) -> str:
    """The name with the family name first."""
    given, _, family = user.name.rpartition(" ")
    return f"{family}, {given}" if given else family


def account_object(account: Account, world: World) -> Object:
    """An account."""
    root = world.accounts[0]
    return {
        "id": account.id,
        "name": account.name,
        "uuid": account.uuid,
        "parent_account_id": account.parent.id if account.parent else None,
        "root_account_id": None if account is root else root.id,
        "workflow_state": account.state,
        "default_time_zone": "America/Chicago",
        "sis_account_id": None,
    }


def term_object(term: Term) -> Object:
    """A term."""
    return {
        "id": term.id,
        "name": term.name,
        "start_at": time_text(term.start_ms),
        "end_at": time_text(term.end_ms),
        "created_at": None,
        "workflow_state": "active",
        "sis_term_id": None,
        "grading_period_group_id": None,
    }


def course_object(course: Course, world: World) -> Object:
    """A course: it has neither ``updated_at`` nor the difference between created and claimed."""
    return {
        "id": course.id,
        "name": course.name,
        "course_code": course.name[:16],
        "uuid": course.uuid,
        "account_id": course.account.id,
        "root_account_id": world.accounts[0].id,
        "enrollment_term_id": term_of(course, world).id,
        "workflow_state": _COURSE_STATES.get(course.state, course.state),
        "created_at": time_text(course.created_ms),
        "start_at": time_text(course.start_ms),
        "end_at": time_text(course.end_ms),
        "sis_course_id": course.sis_id,
        "integration_id": None,
        "default_view": "modules",
        "time_zone": "America/Chicago",
    }


def term_of(course: Course, world: World) -> Term:
    """A course's term, by default the default term."""
    return course.term or world.terms[0]


def section_object(section: Section) -> Object:
    """A section: no state, no times of its row."""
    start, end = section_dates(section)
    return {
        "id": section.id,
        "course_id": section.course.id,
        "name": section.name,
        "start_at": start,
        "end_at": end,
        "restrict_enrollments_to_section_dates": True if section.restricted else None,
        "nonxlist_course_id": section.own_course.id if section.own_course else None,
        "sis_section_id": section.sis_id,
        "sis_course_id": section.course.sis_id,
        "integration_id": None,
        "sis_import_id": None,
    }


def group_object(group: Group, world: World) -> Object:
    """A group: no state, no times."""
    context = group.category.context
    is_account = isinstance(context, Account)
    return {
        "id": shown_id(group.gid, world),
        "name": group.name,
        "max_membership": group.max_members,
        "group_category_id": shown_id(group.category.gid, world),
        "context_type": "Account" if is_account else "Course",
        "account_id" if is_account else "course_id": context.id,
        "members_count": sum(row.state == "accepted" for row in list(group.memberships)),
        "non_collaborative": not group.category.collaborative,
        "is_public": False,
        "join_level": "invitation_only",
        "sis_group_id": None,
    }


def membership_object(membership: Membership, world: World) -> Object:
    """A membership: no times."""
    return {
        "id": shown_id(membership.gid, world),
        "group_id": shown_id(membership.group.gid, world),
        "user_id": shown_id(membership.user.gid, world),
        "workflow_state": membership.state,
        "moderator": False,
        "sis_import_id": None,
    }


def user_object(user: User, world: World) -> Object:
    """A user: no state, no ``updated_at``."""
    return {
        "id": shown_id(user.gid, world),
        "name": user.name,
        "created_at": time_text(user.created_ms),
        "sortable_name": sortable_name(user),
        "short_name": user.name,
        "sis_user_id": user.sis_id,
        "integration_id": None,
        "login_id": user.login,
    }
