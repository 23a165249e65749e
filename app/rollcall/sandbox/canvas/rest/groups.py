"""Groups of courses and accounts, their memberships, and users."""

from __future__ import annotations

from rollcall.sandbox.canvas.rest.call import Call
from rollcall.sandbox.canvas.rest.errors import not_found
from rollcall.sandbox.canvas.rest.objects import (
    Object,
    group_object,
    membership_object,
    shown_id,
    user_object,
)
from rollcall.sandbox.canvas.rest.paging import Page
from rollcall.sandbox.canvas.simulation.world import Account, Course, Group

_LISTED_STATES = ("accepted", "invited", "requested")


def of_course(call: Call) -> Page:
    """``GET /courses/:id/groups``."""
    return _list(call, call.course())


def of_account(call: Call) -> Page:
    """``GET /accounts/:id/groups``: not those of its courses."""
    return _list(call, call.administered())


def _list(call: Call, context: Account | Course) -> Page:
    """The groups of a context that are not deleted, by default without tags."""
    wanted = call.value("collaboration_state") or "collaborative"
    found = [
        group
        for category in list(context.categories)
        if wanted == "all" or category.collaborative == (wanted == "collaborative")
        for group in list(category.groups)
        if group.state != "deleted"
    ]
    found.sort(key=lambda group: int(group.gid))
    return call.page([group_object(group, call.world) for group in found])


def group(call: Call) -> Object:
    """``GET /groups/:id``."""
    return group_object(_living(call), call.world)


def memberships(call: Call) -> Page:
    """``GET /groups/:id/memberships``: never deleted ones."""
    states = call.values("filter_states") or _LISTED_STATES
    rows = sorted(_living(call).memberships, key=lambda row: int(row.gid))
    return call.page(
        [
            membership_object(row, call.world)
            for row in rows
            if row.state in states and row.state in _LISTED_STATES
        ]
    )


def _living(call: Call) -> Group:
    """The group of the path."""
    group = call.row("group", call.world.groups)
    context = group.category.context
    call.need(
        call.access.account or (isinstance(context, Course) and call.access.sees_course(context))
    )
    if group.state == "deleted":
        raise not_found()
    return group


def user(call: Call) -> Object:
    """``GET /users/:id``."""
    user = call.row("user", call.world.users)
    call.need(call.access.account)
    if user.state == "deleted":
        raise not_found()
    return user_object(user, call.world) | {
        "email": user.login,
        "locale": None,
        "avatar_url": f"https://canvas.invalid/images/{shown_id(user.gid, call.world)}",
    }
