"""The user stage: the roster of users.

Key: user_id. The only row is the user. Users belong to no course, and no other row
depends on them: the user fields of an enrollment come from its own events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from rollcall.rosters.entities import (
    SNAPSHOT_REASONS,
    Entity,
    Reconciled,
    current,
    reason,
    roster_row,
)
from rollcall.rosters.fields import Id, Text, Time, Word
from rollcall.rosters.inputs import entity_inputs
from rollcall.rosters.registers import Register, body_fields
from rollcall.rosters.relation import Relation
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Kind, Row, Stage

REGISTERED = "registered"
"""The state of a user whom a snapshot shows, if no event tells it. Canvas's REST API lists no
deleted users, and shows no states.
"""


class User(Register, array_like=True, frozen=True, gc=False):
    """The register of user_*."""

    user_id: Id
    uuid: Text
    name: Text
    short_name: Text
    workflow_state: Word
    created_at: Time
    updated_at: Time
    user_login: Text = None
    user_sis_id: Text = None


USERS = Relation(
    name="users",
    register=User,
    key=("user_id",),
    rows="one row for each user, independent of courses",
    bodies=("user",),
    reasons={"user": "the user's own workflow_state", **SNAPSHOT_REASONS},
    lookups=(("user_sis_id",), ("user_login",)),
)


def derive(key: str, _id: str, row: Entity[User], _lead: Row | None) -> Mapping[str, Any]:
    """A row of ``rosters.users``."""
    user, why = current(row), reason(row, "user")
    if isinstance(row, Reconciled) and row.is_by_snapshot and user.workflow_state == "deleted":
        user = replace(user, workflow_state=row.snapshot.register.workflow_state)
    return {key: roster_row(body_fields(user), user.workflow_state, why, user.time, row)}


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    inputs = entity_inputs(
        User,
        "user",
        "rollcall_user_snapshot",
        "user_id",
        shard,
        unshown={"workflow_state": REGISTERED},
    )
    return Stage("user", inputs, {LEAD: Kind(User | Reconciled[User], {USERS.topic: derive})})
