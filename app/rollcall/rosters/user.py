"""The user stage: the roster of users.

Key: user_id, with the user's register as the only row. Users belong to no course, and no other row
depends on them: what an enrollment says of its user came with its own event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.rosters.registers import TIME, Family, Register, lead_reader, shown
from rollcall.rosters.typed import typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Input, Kind, Row, Stage

USER = Family(
    (
        "user_id",
        "uuid",
        "name",
        "short_name",
        "workflow_state",
        "created_at",
        "updated_at",
        "user_login",
        "user_sis_id",
    ),
    ids=("user_id",),
    words=("user_id", "workflow_state"),
)

_WORKFLOW_STATE = USER.place("workflow_state")


def derive(key: str, _id: str, row: Register, _lead: Row | None) -> Mapping[str, Any]:
    """A row of ``rosters.users``."""
    return {key: shown(USER.fields(row), row[_WORKFLOW_STATE], "user", row[TIME])}


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: of local ids in events that do not tell theirs."""
    names = ("user_created", "user_updated")
    inputs = {
        f"events.{name}": Input(
            lead_reader(typed_reader(name, shard), USER, "user_id"), USER.latest
        )
        for name in names
    }
    return Stage("user", inputs, {LEAD: Kind("rosters.users", derive)})
