"""The user stage: the roster of users.

Key: user_id. The only row is the user's register. Users belong to no course, and no other row
depends on them: the user fields of an enrollment come from its own events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.rosters.fields import Id, Text, Time, Word
from rollcall.rosters.registers import Register, body_fields, latest, lead_reader, roster_row
from rollcall.rosters.relation import Relation
from rollcall.rosters.typed import typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Input, Kind, Row, Stage


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
    reasons={"user": "the user's own workflow_state"},
    lookups=(("user_sis_id",), ("user_login",)),
)


def derive(key: str, _id: str, row: User, _lead: Row | None) -> Mapping[str, Any]:
    """A row of ``rosters.users``."""
    return {key: roster_row(body_fields(row), row.workflow_state, "user", row.time)}


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    names = ("user_created", "user_updated")
    inputs = {
        f"events.{name}": Input(lead_reader(typed_reader(name, shard), User, "user_id"), latest)
        for name in names
    }
    return Stage("user", inputs, {LEAD: Kind(User, {USERS.topic: derive})})
