"""The group stage: groups and their memberships, by course or account.

Key: group_id. The lead row is the group's register; a row of kind ``membership`` is the
membership's register. Memberships have no course or account: without their group, they are not
published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from rollcall.record import Record
from rollcall.rosters.fields import Id, Microseconds, Number, OptionalId, Text, Word
from rollcall.rosters.registers import UndatedRegister, latest, register_maker
from rollcall.rosters.relation import ACCOUNT_PREFIX, CONTEXT, Relation
from rollcall.rosters.states import COURSE_DELETED
from rollcall.rosters.typed import Reader, typed_reader
from rollcall.streaming.rows import LEAD
from rollcall.streaming.stages.stage import Change, Input, Kind, Row, Stage, UnusableError

GROUPS_BY_COURSE = "groups-by-course"
"""Key ``<course>/<group>`` or ``account:<account>/<group>``, value the group's register."""

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

    membership: Membership
    group_deleted_at: Microseconds | None


GROUPS = Relation(
    name="groups",
    register=Group,
    key=("context_type", "context_id", "group_id"),
    rows="one row for each group, of a course or of an account",
    bodies=("group",),
    reasons={"group": "the group's own workflow_state", **COURSE_DELETED},
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
    },
    lookups=(("group_id", "group_membership_id"), ("user_id", "group_id")),
)


def _group_reader(read: Reader) -> Any:
    make = register_maker(Group)

    def read_change(record: Record) -> Change:
        event = read(record)
        group = make(event)
        if group.context_type not in ("Course", "Account"):
            raise UnusableError(
                "enum: must be Course or Account: rosters have no other groups",
                "/body/context_type",
            )
        return Change(event.id("group_id"), LEAD, group, event.time / 1_000_000)

    return read_change


def _membership_reader(read: Reader) -> Any:
    make = register_maker(Membership)

    def read_change(record: Record) -> Change:
        event = read(record)
        return Change(
            event.id("group_id"),
            f"membership/{event.id('group_membership_id')}",
            make(event),
            event.time / 1_000_000,
        )

    return read_change


def _context(group: Group) -> str:
    is_of_course = group.context_type == "Course"
    return group.context_id if is_of_course else ACCOUNT_PREFIX + group.context_id


def _deleted_at(group: Group) -> int | None:
    return group.time if group.workflow_state == "deleted" else None


def derive_group(key: str, _id: str, row: Group, _lead: Row | None) -> Mapping[str, Any]:
    """The record by course or account."""
    return {f"{_context(row)}/{key}": row}


def derive_membership(
    key: str, membership_id: str, row: Membership, group: Group | None
) -> Mapping[str, Any]:
    """The record by course or account."""
    if group is None:
        return {}
    value = MembershipInGroup(row, _deleted_at(group))
    return {f"{_context(group)}/{membership_id}/{key}": value}


def lead_fingerprint(group: Group | None) -> Any:
    """The part of the group that its memberships depend on."""
    return None if group is None else (_context(group), _deleted_at(group))


def stage(shard: int | None) -> Stage:
    """The stage. ``shard``: shard of local ids in events without a root account; None: unknown."""
    groups = {
        f"events.{name}": Input(_group_reader(typed_reader(name, shard)), latest)
        for name in ("group_created", "group_updated")
    }
    names = ("group_membership_created", "group_membership_updated")
    memberships = {
        f"events.{name}": Input(_membership_reader(typed_reader(name, shard)), latest)
        for name in names
    }
    kinds = {
        LEAD: Kind(Group, {GROUPS_BY_COURSE: derive_group}),
        "membership": Kind(Membership, {MEMBERSHIPS_BY_COURSE: derive_membership}),
    }
    return Stage("group", groups | memberships, kinds, lead_fingerprint)
