"""Changes of group sets, groups and memberships."""

from __future__ import annotations

from rollcall.sandbox.canvas.simulation.canvas import SIS_JOB, Canvas
from rollcall.sandbox.canvas.simulation.world import (
    Account,
    Category,
    Course,
    Group,
    Membership,
    User,
    local_id,
)
from rollcall.sandbox.canvas.simulation.writing import token

MEMBER_STATES = ("accepted", "accepted", "accepted", "accepted", "invited", "requested")


def _context_path(context: Course | Account) -> str:
    return f"/{'accounts' if isinstance(context, Account) else 'courses'}/{context.id}"


def _category_path(category: Category) -> str:
    return f"/group_categories/{local_id(category.gid)}"


def _group_path(group: Group) -> str:
    return f"/groups/{local_id(group.gid)}"


def create_category(canvas: Canvas, context: Course | Account, name: str, groups: int) -> Category:
    """Create a group set with groups: group_category_created, and group_created for each group."""
    world, random = canvas.world, canvas.random
    canvas.request(f"{_context_path(context)}/group_categories", context)
    category = Category(
        world.global_id(world.next_id("category")),
        context,
        name,
        random.choice((None, None, 4, 99)),
    )
    world.categories.append(category)
    context.categories.append(category)
    canvas.emit_category("group_category_created", category)
    for _ in range(groups):
        add_group(canvas, category)
    return category


def add_group(canvas: Canvas, category: Category) -> Group:
    """Create a group in the current operation, and sometimes save it again."""
    world, random = canvas.world, canvas.random
    number = world.next_id("group")
    group = Group(
        world.global_id(number),
        token(random),
        category,
        f"{category.name} {len(category.groups) + 1}",
        random.choice((None, 4, 100)),
    )
    world.groups.append(group)
    category.groups.append(group)
    canvas.emit_group("group_created", group)
    if random.random() < 0.1:
        canvas.emit_group("group_updated", group)
    return group


def create_group(canvas: Canvas, category: Category) -> Group:
    """Create another group of a group set."""
    canvas.request(f"{_category_path(category)}/groups", category.context)
    return add_group(canvas, category)


def rename_category(canvas: Canvas, category: Category, name: str) -> None:
    """Rename a group set. Events of its groups and memberships have the new name only when these
    change.
    """
    canvas.request(_category_path(category), category.context, method="PUT")
    category.name = name
    canvas.emit_category("group_category_updated", category)


def delete_category(canvas: Canvas, category: Category) -> None:
    """Delete a group set: group_updated for each group, no event for memberships. The set's own
    event looks like any update.
    """
    canvas.request(_category_path(category), category.context, method="DELETE")
    for group in category.groups:
        if group.state != "deleted":
            group.state = "deleted"
            canvas.emit_group("group_updated", group)
    canvas.emit_category("group_category_updated", category)


def update_group(canvas: Canvas, group: Group, *, name: str | None = None) -> None:
    """Rename a group, or save it unchanged."""
    canvas.request(_group_path(group), group.category.context, method="PUT")
    group.name = name or group.name
    canvas.emit_group("group_updated", group)


def delete_group(canvas: Canvas, group: Group) -> None:
    """Delete a group: group_updated. No event for its memberships, which end with it."""
    canvas.request(_group_path(group), group.category.context, method="DELETE")
    group.state = "deleted"
    canvas.emit_group("group_updated", group)


def restore_group(canvas: Canvas, group: Group) -> None:
    """Restore a group: group_updated. No event for its memberships, which are restored with it."""
    canvas.job(SIS_JOB)
    group.state = "available"
    canvas.emit_group("group_updated", group)


def _new_membership(canvas: Canvas, group: Group, user: User, state: str) -> Membership:
    world = canvas.world
    membership = Membership(world.global_id(world.next_id("membership")), group, user, state)
    world.memberships.append(membership)
    group.memberships.append(membership)
    user.memberships.append(membership)
    return membership


def join(canvas: Canvas, group: Group, user: User, state: str) -> Membership:
    """Add a user to a group, always as a new membership."""
    canvas.request(f"{_group_path(group)}/memberships", group.category.context)
    return add_member(canvas, group, user, state)


def add_member(canvas: Canvas, group: Group, user: User, state: str) -> Membership:
    """Like :func:`join`, in the current operation."""
    membership = _new_membership(canvas, group, user, state)
    canvas.emit_membership("group_membership_created", membership)
    if canvas.random.random() < 0.1:
        canvas.emit_membership("group_membership_updated", membership)
    return membership


def set_membership(canvas: Canvas, membership: Membership, state: str) -> None:
    """Accept, reject or end a membership, or save it unchanged."""
    canvas.request(
        f"{_group_path(membership.group)}/memberships/{local_id(membership.gid)}",
        membership.group.category.context,
        method="PUT",
    )
    membership.state = state
    canvas.emit_membership("group_membership_updated", membership)


def end_membership(canvas: Canvas, membership: Membership) -> None:
    """End a membership in the current operation."""
    membership.state = "deleted"
    canvas.emit_membership("group_membership_updated", membership)


def move(canvas: Canvas, membership: Membership, group: Group) -> None:
    """Move a user to another group of the set: a new membership, and the old one deleted, with
    events in either order.
    """
    canvas.request(f"{_group_path(group)}/memberships", group.category.context)
    user, state = membership.user, membership.state
    if canvas.random.random() < 0.5:
        add_member(canvas, group, user, state)
        end_membership(canvas, membership)
    else:
        end_membership(canvas, membership)
        add_member(canvas, group, user, state)


def assign_at_random(canvas: Canvas, category: Category, users: list[User]) -> None:
    """Distribute users over the groups of a set by bulk SQL, without any event."""
    canvas.request(f"{_category_path(category)}/assign_unassigned_members", category.context)
    groups = [group for group in category.groups if group.state != "deleted"]
    taken = {
        membership.user
        for group in groups
        for membership in group.memberships
        if membership.state != "deleted"
    }
    for number, user in enumerate(user for user in users if user not in taken):
        _new_membership(canvas, groups[number % len(groups)], user, "accepted")
