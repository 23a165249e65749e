"""Rows of rosters, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.store import ReplicaStore
from tests.serve.served import batch_of

Row = Mapping[str, Any]
Rosters = dict[str, dict[str, Row | None]]
"""Relation, record key, row; None: a tombstone."""

SHARD = 2107
COURSE = SHARD * 10**13 + 565
OTHER_COURSE = SHARD * 10**13 + 570
SECTION = SHARD * 10**13 + 4811
GROUP = SHARD * 10**13 + 51
AT = "2026-03-02T09:15:00.000Z"


def course(name: str, course_id: int = COURSE, **fields: Any) -> Rosters:
    """A course."""
    row = {
        "course_id": str(course_id),
        "name": name,
        "workflow_state": "available",
        "state": "available",
        "state_reason": "course",
        "as_of": AT,
    }
    return {"courses": {str(course_id): row | fields}}


def section(
    name: str, section_id: int = SECTION, course_id: int = COURSE, **fields: Any
) -> Rosters:
    """A section."""
    row = {
        "course_section_id": str(section_id),
        "course_id": str(course_id),
        "name": name,
        "workflow_state": "active",
    }
    return {
        "sections": {
            f"{course_id}/{section_id}": row
            | {"state": "active", "state_reason": "section", "as_of": AT}
            | fields
        }
    }


def person(number: int, name: str, course_id: int = COURSE, **fields: Any) -> Rosters:
    """An enrollment; enrollment and user have the same number."""
    row = {
        "enrollment_id": str(SHARD * 10**13 + number),
        "course_id": str(course_id),
        "course_section_id": str(SECTION),
        "user_id": str(SHARD * 10**13 + number),
        "user_name": name,
        "type": "StudentEnrollment",
        "workflow_state": "active",
        "state": "active",
        "state_reason": "enrollment",
        "as_of": AT,
    }
    return {"enrollments": {f"{course_id}/{row['enrollment_id']}": row | fields}}


def group(name: str, group_id: int = GROUP, course_id: int = COURSE, **fields: Any) -> Rosters:
    """A group of a course."""
    row = {
        "group_id": str(group_id),
        "group_name": name,
        "context_type": "Course",
        "context_id": str(course_id),
        "workflow_state": "available",
    }
    return {
        "groups": {
            f"{course_id}/{group_id}": row
            | {"state": "available", "state_reason": "group", "as_of": AT}
            | fields
        }
    }


def member(number: int, group_id: int = GROUP, course_id: int = COURSE, **fields: Any) -> Rosters:
    """The membership of the user of this number."""
    membership_id = SHARD * 10**13 + 1000 + number
    row = {
        "group_membership_id": str(membership_id),
        "group_id": str(group_id),
        "user_id": str(SHARD * 10**13 + number),
        "workflow_state": "accepted",
        "context_type": "Course",
        "context_id": str(course_id),
    }
    return {
        "memberships": {
            f"{course_id}/{membership_id}": row
            | {"state": "accepted", "state_reason": "membership", "as_of": AT}
            | fields
        }
    }


def gone(rosters: Rosters) -> Rosters:
    """Tombstones for these rows."""
    return {relation: dict.fromkeys(rows) for relation, rows in rosters.items()}


def together(*parts: Rosters) -> Rosters:
    """All of these."""
    whole: Rosters = {}
    for part in parts:
        for relation, rows in part.items():
            whole.setdefault(relation, {}).update(rows)
    return whole


def take(store: ReplicaStore, feed: Feed, rosters: Rosters, at: float) -> None:
    """Records arrive, as the follower takes them."""
    feed.publish(store.apply(batch_of(rosters), {}, with_changes=True)[0], at)
