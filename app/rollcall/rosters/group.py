"""The group stage: groups and their memberships, by course or account.

Key: group_id. The lead row is the group; a row of kind ``membership`` is a membership.
Memberships have no course or account: without their group, they are not
published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from rollcall.rosters.entities import SNAPSHOT_REASONS, Entity, Reconciled, current
from rollcall.rosters.fields import Id, Microseconds, Number, OptionalId, Text, Word
from rollcall.rosters.inputs import entity_inputs
from rollcall.rosters.registers import UndatedRegister
from rollcall.rosters.relation import ACCOUNT_PREFIX, CONTEXT, Relation
from rollcall.rosters.states import COURSE_DELETED
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Kind, Row, Stage, UnusableError

GROUPS_BY_COURSE = "groups-by-course"
"""Key ``<course>/<group>`` or ``account:<account>/<group>``, value the group."""

MEMBERSHIPS_BY_COURSE = "memberships-by-course"
"""Key ``<course>/<membership>/<group>`` or ``account:<account>/<membership>/<group>``, value
:class:`MembershipInGroup`. The key has the group because the group's partition writes the record.
"""

_TYPE, _ID = CONTEXT


class Group(UndatedRegister, array_like=True, frozen=True, gc=False):
    """The register of group_*."""

    group_id: Id
    group_name: Text
    uuid: Text
    context_type: Annotated[Word, _TYPE.meaning]
    context_id: Annotated[Id, _ID.meaning]
    account_id: OptionalId
    workflow_state: Word
    group_category_id: OptionalId = None
    group_category_name: Text = None
    max_membership: Number = None


class Membership(UndatedRegister, array_like=True, frozen=True, gc=False):
    """The register of group_membership_*."""

    group_membership_id: Id
    group_id: Id
    user_id: Id
    group_name: Annotated[
        Text,
        "The group's name at the membership's last event. `groups` has the current name.",
    ]
    workflow_state: Word
    group_category_id: OptionalId = None
    group_category_name: Text = None


class MembershipInGroup(Struct, array_like=True, frozen=True, gc=False):
    """A membership, with its group's effect on it."""

    membership: Entity[Membership]
    group_deleted_at: Microseconds | None


GROUPS = Relation(
    name="groups",
    register=Group,
    key=("context_type", "context_id", "group_id"),
    rows="one row for each group, of a course or of an account",
    bodies=("group",),
    reasons={"group": "the group's own workflow_state", **COURSE_DELETED, **SNAPSHOT_REASONS},
    lookups=(("group_id",),),
)

MEMBERSHIPS = Relation(
    name="memberships",
    register=Membership,
    key=("context_type", "context_id", "group_membership_id"),
    rows="one row for each membership, in the course or account of its group",
    bodies=("group_membership",),
    reasons={
        "membership": "the membership's own workflow_state",
        "group_deleted": "the group is deleted",
        **COURSE_DELETED,
        **SNAPSHOT_REASONS,
    },
    lookups=(("group_id", "group_membership_id"), ("user_id", "group_id")),
)


def _check_context(group: Group) -> None:
    if group.context_type not in ("Course", "Account"):
        raise UnusableError(
            "enum: must be Course or Account: rosters have no other groups", "/body/context_type"
        )


def _context(group: Group) -> str:
    is_of_course = group.context_type == "Course"
    return group.context_id if is_of_course else ACCOUNT_PREFIX + group.context_id


def _deleted_at(group: Group) -> int | None:
    return group.time if group.workflow_state == "deleted" else None


def derive_group(key: str, _id: str, row: Entity[Group], _lead: Row | None) -> Mapping[str, Any]:
    """The record by course or account."""
    return {f"{_context(current(row))}/{key}": row}


def derive_membership(
    key: str, membership_id: str, row: Entity[Membership], lead: Entity[Group] | None
) -> Mapping[str, Any]:
    """The record by course or account."""
    if lead is None:
        return {}
    group = current(lead)
    value = MembershipInGroup(row, _deleted_at(group))
    return {f"{_context(group)}/{membership_id}/{key}": value}


def lead_fingerprint(lead: Entity[Group] | None) -> Any:
    """The part of the group that its memberships depend on."""
    if lead is None:
        return None
    group = current(lead)
    return _context(group), _deleted_at(group)


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    groups = entity_inputs(
        Group, "group", "rollcall_group_snapshot", "group_id", shard, check=_check_context
    )
    memberships = entity_inputs(
        Membership,
        "group_membership",
        "rollcall_membership_snapshot",
        "group_id",
        shard,
        kind=("membership", "group_membership_id"),
    )
    kinds = {
        LEAD: Kind(Group | Reconciled[Group], {GROUPS_BY_COURSE: derive_group}),
        "membership": Kind(
            Membership | Reconciled[Membership], {MEMBERSHIPS_BY_COURSE: derive_membership}
        ),
    }
    return Stage("group", groups | memberships, kinds, lead_fingerprint)
