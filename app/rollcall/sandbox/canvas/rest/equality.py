"""Compares rosters with Canvas's tables. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from rollcall.reconcile.comparison import comparable, is_dated_otherwise
from rollcall.reconcile.facts import ENTITIES, SORTS, Entity
from rollcall.reconcile.rows import IDS
from rollcall.rosters.states import FINAL
from rollcall.sandbox.canvas.rest.tables import Tables

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Rows of the rosters by relation and id."""

NOT_SHOWN = {"users": ("workflow_state",), "enrollments": ("updated_at",)}
"""Fields of Canvas's tables that its API does not show, or that change without a difference."""

_CREATED = ("created", "claimed")


class Fault(StrEnum):
    """How a row of the rosters differs from Canvas."""

    MISSING = "missing"
    DIFFERENT = "different"
    LEFT_OVER = "left over"
    """It is deleted in Canvas, and not in the rosters."""


class WrongRow(NamedTuple):
    """A row that is not as in Canvas's tables."""

    relation: str
    id: str
    fault: Fault
    fields: dict[str, tuple[Any, Any]]
    """The differing fields, with the values of Canvas and of the rosters."""


def rows_by_id(rosters: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Rows:
    """Rows of roster topics, which have other keys, by their ids."""
    columns = {relation: IDS[ENTITIES[relation]] for relation in rosters}
    return {
        relation: {row[columns[relation]]: row for row in rows.values() if columns[relation] in row}
        for relation, rows in rosters.items()
    }


class _Duty(StrEnum):
    """What rosters must have of a row of Canvas."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    """The row may be missing."""
    ENDED = "ended"
    """The row may be missing or be deleted."""
    UNREAD = "unread"
    """Anything: a run does not read it."""


def required_rows(tables: Tables) -> dict[str, set[str]]:
    """Ids of the rows that the rosters must have, by relation."""
    shown_users = _shown_users(tables)
    return {
        relation: {
            identity
            for identity, row in rows.items()
            if _duty(relation, row, tables, shown_users) is _Duty.REQUIRED
        }
        for relation, rows in tables.items()
    }


def wrong_rows(tables: Tables, rosters: Rows) -> list[WrongRow]:
    """Rows that are not as in Canvas's tables.

    Rows that are deleted in Canvas, or belong to something deleted, may be missing or be deleted.
    Canvas does not list rejected memberships. Groups of an account below the root account are read
    only if the rosters know one. Users are read with their living enrollments.
    """
    shown_users = _shown_users(tables)
    return [
        wrong
        for relation, rows in tables.items()
        for identity, row in rows.items()
        if (
            wrong := _wrong_row(
                relation,
                identity,
                row,
                rosters[relation].get(identity),
                _duty(relation, row, tables, shown_users),
            )
        )
    ]


def _wrong_row(
    relation: str,
    identity: str,
    row: Mapping[str, Any],
    found: Mapping[str, Any] | None,
    duty: _Duty,
) -> WrongRow | None:
    if duty is _Duty.UNREAD or (duty is not _Duty.REQUIRED and found is None):
        return None
    if duty is _Duty.ENDED:
        assert found is not None
        if found["state"] in FINAL:
            return None
        state = {"state": ("deleted", found["state"])}
        return WrongRow(relation, identity, Fault.LEFT_OVER, state)
    entity = ENTITIES[relation]
    different = {
        name: (value, None if found is None else found.get(name))
        for name, value in row.items()
        if name not in NOT_SHOWN.get(relation, ())
        and (found is None or not _equal(entity, name, value, found.get(name)))
    }
    if (
        entity is Entity.ENROLLMENT
        and found is not None
        and is_dated_otherwise(found, row["workflow_state"])
    ):
        different["state"] = (row["workflow_state"], found["state"])
    fault = Fault.MISSING if found is None else Fault.DIFFERENT
    return WrongRow(relation, identity, fault, different) if different else None


def _duty(
    relation: str, row: Mapping[str, Any], tables: Tables, shown_users: Collection[str]
) -> _Duty:
    if relation == "users":
        is_read = row["workflow_state"] != "deleted" and row["user_id"] in shown_users
        return _Duty.REQUIRED if is_read else _Duty.UNREAD
    if relation == "sections" and _is_in_deleted_course(row, tables):
        return _Duty.UNREAD
    if _is_gone(relation, row, tables):
        return _Duty.ENDED
    if row["workflow_state"] == "rejected":
        return _Duty.UNREAD if relation == "memberships" else _Duty.OPTIONAL
    return _Duty.OPTIONAL if _is_of_account(relation, row, tables) else _Duty.REQUIRED


def _shown_users(tables: Tables) -> set[str]:
    """Users with an enrollment that Canvas lists."""
    return {
        row["user_id"]
        for row in tables["enrollments"].values()
        if row["workflow_state"] != "rejected" and not _is_gone("enrollments", row, tables)
    }


def _equal(entity: Entity, name: str, value: Any, found: Any) -> bool:
    if entity is Entity.COURSE and name == "workflow_state" and value in _CREATED:
        return found in _CREATED
    sort = SORTS[entity][name]
    return bool(comparable(sort, value) == comparable(sort, found))


def _is_gone(relation: str, row: Mapping[str, Any], tables: Tables) -> bool:
    """Whether Canvas shows a row nowhere, or as deleted."""
    if row["workflow_state"] == "deleted":
        return True
    owners = {
        "enrollments": (("courses", "course_id"), ("sections", "course_section_id")),
        "groups": (("courses", "context_id"),),
        "memberships": (("groups", "group_id"),),
    }
    for owner, column in owners.get(relation, ()):
        found = tables[owner].get(row[column])
        if found is not None and _is_gone(owner, found, tables):
            return True
    return False


def _is_in_deleted_course(section: Mapping[str, Any], tables: Tables) -> bool:
    """Whether nothing is read of a section."""
    return bool(tables["courses"][section["course_id"]]["workflow_state"] == "deleted")


def _is_of_account(relation: str, row: Mapping[str, Any], tables: Tables) -> bool:
    if relation == "memberships":
        row = tables["groups"][row["group_id"]]
    return row.get("context_type") == "Account"
