"""Compares rosters with what Canvas has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.reconcile.comparison import comparable, is_dated_otherwise
from rollcall.reconcile.facts import SORTS, Entity
from rollcall.rosters.states import FINAL
from rollcall.sandbox.canvas.rest.tables import Tables

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Rows of the rosters by relation and id."""

NOT_SHOWN = {"users": ("workflow_state",), "enrollments": ("updated_at",)}
"""Fields of Canvas's tables that its API does not show, or that change without a difference."""

_CREATED = ("created", "claimed")


def wrong_rows(tables: Tables, rosters: Rows) -> list[tuple[str, str, dict[str, Any]]]:
    """Rows that are not as in Canvas's tables: relation, id, and the differing fields with the
    values of Canvas and of the rosters.

    Rows that are deleted in Canvas, or belong to something deleted, may be missing or be deleted.
    Canvas does not list rejected memberships. Groups of an account below the root account are read
    only if the rosters know one. Users are read with their living enrollments.
    """
    wrong = []
    shown_users = {
        row["user_id"]
        for row in tables["enrollments"].values()
        if row["workflow_state"] != "rejected" and not _is_gone("enrollments", row, tables)
    }
    for relation, rows in tables.items():
        entity = Entity(relation.removesuffix("s"))
        for identity, row in rows.items():
            found = rosters[relation].get(identity)
            if relation == "users" and (
                row["workflow_state"] == "deleted" or identity not in shown_users
            ):
                continue
            if relation == "sections" and _is_in_deleted_course(row, tables):
                continue
            if _is_gone(relation, row, tables):
                if found is not None and found["state"] not in FINAL:
                    wrong.append((relation, identity, {"state": ("deleted", found["state"])}))
                continue
            if row["workflow_state"] == "rejected" and (found is None or relation == "memberships"):
                continue
            if relation == "users" and found is None:
                continue
            if found is None and _is_of_account(relation, row, tables):
                continue
            different = {
                name: (value, None if found is None else found.get(name))
                for name, value in row.items()
                if name not in NOT_SHOWN.get(relation, ())
                and (found is None or not _equal(entity, name, value, found.get(name)))
            }
            if (
                relation == "enrollments"
                and found is not None
                and is_dated_otherwise(found, row["workflow_state"])
            ):
                different["state"] = (row["workflow_state"], found["state"])
            if different:
                wrong.append((relation, identity, different))
    return wrong


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
