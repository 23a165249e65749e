"""Changes of users and accounts."""

from __future__ import annotations

from rollcall.sandbox.canvas.simulation.canvas import SIS_JOB, Canvas
from rollcall.sandbox.canvas.simulation.enrollments import set_state
from rollcall.sandbox.canvas.simulation.groups import end_membership
from rollcall.sandbox.canvas.simulation.world import Account, User, local_id
from rollcall.sandbox.canvas.simulation.writing import ZONES, person, subject, token

OTHER_SHARD_SHARE = 0.05
"""Share of users who live on another shard."""

_LONGEST_TEXT = 8_192
_STATES = (
    "registered",
    "registered",
    "registered",
    "pre_registered",
    "creation_pending",
    "pending_approval",
)


def create_account(canvas: Canvas, parent: Account, name: str) -> Account:
    """Create an account below another one."""
    world, number = canvas.world, canvas.world.next_id("account")
    canvas.job("Account.api_create")
    account = Account(number, world.global_id(number), token(canvas.random), name, parent)
    world.accounts.append(account)
    canvas.emit_account("account_created", account)
    return account


def update_account(canvas: Canvas, account: Account, name: str) -> None:
    """Rename an account."""
    canvas.request(f"/accounts/{account.id}", account, method="PUT")
    account.name = name
    canvas.emit_account("account_updated", account)


def delete_account(canvas: Canvas, account: Account) -> None:
    """Delete an account, which must be empty."""
    canvas.request(f"/accounts/{account.id}", account.parent, method="DELETE")
    account.state = "deleted"
    canvas.emit_account("account_updated", account)


def notify(canvas: Canvas, account: Account) -> None:
    """Post an announcement to an account. A long text is cut between two words."""
    random = canvas.random
    canvas.request(f"/accounts/{account.id}/account_notifications", account)
    topic = subject(random)
    message = f"<p>{topic} is offered again.</p>"
    if random.random() < 0.1:
        message = "<p>" + f"{topic} " * 1_000
        message = message[: message.rindex(" ", 0, _LONGEST_TEXT - 3)] + "..."
    gid = canvas.world.global_id(canvas.world.next_id("notification"))
    canvas.emit_notification(
        gid,
        topic,
        message,
        random.choice(("information", "warning", "calendar", None)),
        random.randint(1, 14),
    )


def create_user(canvas: Canvas, account: Account) -> User:
    """Create a user: user_created, user_account_association_created and, often, user_updated."""
    random = canvas.random
    if random.random() < 0.5:
        canvas.job(SIS_JOB)
    else:
        canvas.request(f"/accounts/{account.id}/users", account)
    user = new_user(canvas)
    canvas.emit_user("user_created", user)
    canvas.emit_association(user, account, is_admin=random.random() < 0.02)
    if random.random() < 0.5:
        canvas.emit_user("user_updated", user)
    return user


def new_user(canvas: Canvas) -> User:
    """Create the row of a user, without an event."""
    world, random, now = canvas.world, canvas.random, canvas.now_ms
    number = world.next_id("user")
    shard = world.shard + 1 if random.random() < OTHER_SHARD_SHARE else None
    zone, offset = random.choice(ZONES)
    login, sis_id = f"user{number}@example.com", f"S-{number}" if random.random() < 0.7 else None
    user = User(
        world.global_id(number, shard),
        token(random),
        person(random),
        login,
        sis_id,
        zone,
        offset,
        now,
        now,
        random.choice(_STATES),
    )
    world.users.append(user)
    return user


def update_user(canvas: Canvas, user: User, *, name: str | None = None) -> None:
    """Register or rename a user, or save it unchanged. Events of enrollments have the new name only
    when these change.
    """
    canvas.request(f"/users/{local_id(user.gid)}", None, method="PUT")
    user.name = name or user.name
    user.state = "registered"
    user.updated_ms = canvas.now_ms
    canvas.emit_user("user_updated", user)


def delete_user(canvas: Canvas, user: User) -> None:
    """Delete a user: user_updated, and an event for each enrollment and membership."""
    canvas.request(f"/users/{local_id(user.gid)}", None, method="DELETE")
    user.state = "deleted"
    user.updated_ms = canvas.now_ms
    for enrollment in user.enrollments:
        if enrollment.workflow_state != "deleted":
            set_state(canvas, enrollment, "deleted")
    for membership in user.memberships:
        if membership.state != "deleted":
            end_membership(canvas, membership)
    canvas.emit_user("user_updated", user)


def merge_users(canvas: Canvas, user: User, into: User) -> None:
    """Merge a user into another one: user_updated for the first. No event for its enrollments and
    memberships, which now belong to the other.
    """
    canvas.request(
        f"/users/{local_id(user.gid)}/merge_into/{local_id(into.gid)}", None, method="PUT"
    )
    for enrollment in user.enrollments:
        enrollment.user = into
    for membership in user.memberships:
        membership.user = into
    into.enrollments += user.enrollments
    into.memberships += user.memberships
    user.enrollments, user.memberships = [], []
    user.state = "deleted"
    user.updated_ms = canvas.now_ms
    canvas.emit_user("user_updated", user)
