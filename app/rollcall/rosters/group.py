"""The group stage: groups, and their memberships, by the course or account to which they belong.

Key: group_id. The lead row is the group's register; a row of kind ``membership`` is the
membership's register. Memberships do not say where they belong: without their group they wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.record import Record
from rollcall.rosters.registers import TIME, Family, Register
from rollcall.rosters.typed import Reader, typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage, UnusableError

GROUPS_BY_COURSE = "groups-by-course"
"""Key ``<course>/<group>`` or ``account:<account>/<group>``, value the group's register."""

MEMBERSHIPS_BY_COURSE = "memberships-by-course"
"""Key ``<course>/<membership>/<group>``, or with ``account:<account>``; value ``[membership,
group]``, where ``group`` is the time of the group's deletion, or null. The group is part of the key
because it is the group's partition that writes the record.
"""

ACCOUNT_PREFIX = "account:"
"""Begins the key of what belongs to an account and to no course."""

GROUP = Family(
    (
        "group_id",
        "group_name",
        "uuid",
        "context_type",
        "context_id",
        "account_id",
        "workflow_state",
        "group_category_id",
        "group_category_name",
        "max_membership",
    ),
    ids=("group_id", "context_id", "account_id", "group_category_id"),
    words=("group_id", "context_type", "context_id", "workflow_state"),
)

MEMBERSHIP = Family(
    (
        "group_membership_id",
        "group_id",
        "user_id",
        "group_name",
        "workflow_state",
        "group_category_id",
        "group_category_name",
    ),
    ids=("group_membership_id", "group_id", "user_id", "group_category_id"),
    words=("group_membership_id", "group_id", "user_id", "workflow_state"),
)

_CONTEXT_TYPE, _CONTEXT_ID, _WORKFLOW_STATE = (
    GROUP.place("context_type"),
    GROUP.place("context_id"),
    GROUP.place("workflow_state"),
)


def _group_reader(read: Reader) -> Any:
    def read_change(record: Record) -> Change:
        event = read(record)
        register = GROUP.register(event)
        if register[_CONTEXT_TYPE] not in ("Course", "Account"):
            raise UnusableError(
                "enum: must be Course or Account, or the group belongs nowhere",
                "/body/context_type",
            )
        return Change(event.id("group_id"), LEAD, register, event.time / 1_000_000)

    return read_change


def _membership_reader(read: Reader) -> Any:
    def read_change(record: Record) -> Change:
        event = read(record)
        return Change(
            event.id("group_id"),
            f"membership/{event.id('group_membership_id')}",
            MEMBERSHIP.register(event),
            event.time / 1_000_000,
        )

    return read_change


def _context(group: Register) -> str:
    identity: str = group[_CONTEXT_ID]
    return identity if group[_CONTEXT_TYPE] == "Course" else ACCOUNT_PREFIX + identity


def _deleted_at(group: Register) -> int | None:
    time: int = group[TIME]
    return time if group[_WORKFLOW_STATE] == "deleted" else None


def derive_group(key: str, _id: str, row: Register, _lead: Row | None) -> Mapping[str, Any]:
    """By course or account."""
    return {f"{_context(row)}/{key}": row}


def derive_membership(
    key: str, membership_id: str, row: Register, group: Register | None
) -> Mapping[str, Any]:
    """By course or account."""
    return (
        {}
        if group is None
        else {f"{_context(group)}/{membership_id}/{key}": [row, _deleted_at(group)]}
    )


def lead_fingerprint(group: Register | None) -> Any:
    """What memberships depend on."""
    return None if group is None else (_context(group), _deleted_at(group))


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: of local ids in events that do not tell theirs."""
    groups = {
        f"events.{name}": Input(_group_reader(typed_reader(name, shard)), GROUP.latest)
        for name in ("group_created", "group_updated")
    }
    names = ("group_membership_created", "group_membership_updated")
    memberships = {
        f"events.{name}": Input(_membership_reader(typed_reader(name, shard)), MEMBERSHIP.latest)
        for name in names
    }
    kinds = {
        LEAD: Kind(GROUPS_BY_COURSE, derive_group),
        "membership": Kind(MEMBERSHIPS_BY_COURSE, derive_membership),
    }
    return Stage("group", groups | memberships, kinds, lead_fingerprint)
