"""``/accounts``."""

from __future__ import annotations

from dataclasses import replace

from rollcall.sandbox.canvas.rest.access import PERMISSIONS
from rollcall.sandbox.canvas.rest.call import Call, is_below
from rollcall.sandbox.canvas.rest.errors import not_found
from rollcall.sandbox.canvas.rest.objects import (
    Object,
    account_object,
    course_object,
    sortable_name,
    term_object,
    term_of,
    user_object,
)
from rollcall.sandbox.canvas.rest.paging import Page
from rollcall.sandbox.canvas.simulation.world import Account, User

_LISTED_STATES = ("created", "claimed", "available", "completed")


def account(call: Call) -> Object:
    """``GET /accounts/:id``."""
    return account_object(call.administered(), call.world)


def permissions(call: Call) -> Object:
    """``GET /accounts/:id/permissions``: those that are asked for."""
    call.account()
    asked = call.values("permissions") or PERMISSIONS
    return {permission: call.access.has(permission) for permission in asked}


def terms(call: Call) -> Page:
    """``GET /accounts/:id/terms``, of the root account only."""
    if call.administered() is not call.world.accounts[0]:
        raise not_found()
    page = call.page([term_object(term) for term in call.world.terms])
    return replace(page, root="enrollment_terms")


def courses(call: Call) -> Page:
    """``GET /accounts/:id/courses``, with those of the accounts below it."""
    account, world = call.administered(), call.world
    states = call.values("state") or _LISTED_STATES
    term = call.value("enrollment_term_id")
    return call.page(
        [
            course_object(course, world)
            for course in sorted(world.courses, key=lambda course: course.id)
            if is_below(course.account, account)
            and ("all" in states or course.state in states)
            and term in (None, "", str(term_of(course, world).id))
        ]
    )


def users(call: Call) -> Page:
    """``GET /accounts/:id/users``: test students have no login and are not in it."""
    account, world = call.administered(), call.world
    with_deleted = call.value("include_deleted_users") in ("true", "1")
    found = [
        user
        for user in list(world.users)
        if (with_deleted or user.state != "deleted") and _belongs_to(user, account)
    ]
    if call.value("sort") == "id":
        found.sort(key=lambda user: int(user.gid))
    else:
        found.sort(key=lambda user: (sortable_name(user).casefold(), int(user.gid)))
    return call.page([user_object(user, world) for user in found])


def _belongs_to(user: User, account: Account) -> bool:
    """Whether an account lists a user."""
    enrollments = list(user.enrollments)
    if any(enrollment.kind == "StudentViewEnrollment" for enrollment in enrollments):
        return False
    return account.parent is None or any(
        is_below(enrollment.section.course.account, account) for enrollment in enrollments
    )


def enrollment(call: Call) -> Object:
    """``GET /accounts/:id/enrollments/:id``, in any state, from the replica. The account is the
    root account.
    """
    if call.administered() is not call.world.accounts[0]:
        raise not_found()
    record = call.replica.enrollment(call.gid("enrollment"))
    if record is None:
        raise not_found()
    return record.object
