"""From objects of the REST API to facts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.reconcile.facts import (
    ABSENCE_FIELDS,
    FACT_OF,
    LONGEST_TEXT,
    Entity,
    Fact,
    UnusableObjectError,
    absence,
    course_fact,
    enrollment_fact,
)
from rollcall.rosters.registers import as_of
from tests.events.schemas.events import VALIDATORS

SHARD = 2107
T = 1_790_000_000_123_000
ROOT = "21070000000000001"


def gid(local: int) -> str:
    """The global id of a local one."""
    return f"{SHARD}{local:013}"


OBJECTS: dict[Entity, dict[str, Any]] = {
    Entity.COURSE: {
        "id": 7,
        "name": "Optics",
        "account_id": 3,
        "uuid": "u",
        "created_at": "2026-01-02T03:04:05Z",
        "workflow_state": "unpublished",
        "calendar": {"ics": "https://canvas.example.edu/feeds/secret.ics"},
        "enrollment_term_id": 2,
    },
    Entity.SECTION: {
        "id": 8,
        "course_id": 7,
        "name": "Monday",
        "start_at": None,
        "end_at": "2026-06-01T00:00:00Z",
        "restrict_enrollments_to_section_dates": None,
        "nonxlist_course_id": None,
        "sis_section_id": "S-1",
        "integration_id": None,
        "sis_import_id": 5,
    },
    Entity.ENROLLMENT: {
        "id": 9,
        "course_id": 7,
        "course_section_id": 8,
        "user_id": "1099~51",
        "associated_user_id": None,
        "type": "StudentEnrollment",
        "enrollment_state": "active",
        "limit_privileges_to_course_section": False,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "start_at": None,
        "role": "StudentEnrollment",
        "grades": {"current_score": 93.5, "html_url": "https://canvas.example.edu/grades"},
        "html_url": "https://canvas.example.edu/users/51",
        "user": {"id": "1099~51", "name": "Isaac Newton", "login_id": "isaac", "email": "i@x.org"},
    },
    Entity.GROUP: {
        "id": 10,
        "name": "Prisms",
        "max_membership": None,
        "context_type": "Course",
        "course_id": 7,
        "group_category_id": 6,
        "members_count": 2,
        "role": None,
    },
    Entity.MEMBERSHIP: {
        "id": 11,
        "group_id": 10,
        "user_id": 51,
        "workflow_state": "accepted",
        "moderator": False,
    },
    Entity.USER: {
        "id": 51,
        "name": "Isaac Newton",
        "short_name": "Isaac",
        "created_at": "2026-01-02T03:04:05Z",
        "login_id": "isaac",
        "sis_user_id": None,
        "email": "isaac@example.org",
        "avatar_url": "https://canvas.example.edu/a.png",
    },
}

STATED: dict[Entity, dict[str, Any]] = {
    Entity.COURSE: {
        "course_id": gid(7),
        "name": "Optics",
        "account_id": gid(3),
        "uuid": "u",
        "created_at": "2026-01-02T03:04:05Z",
        "workflow_state": "unpublished",
    },
    Entity.SECTION: {
        "course_section_id": gid(8),
        "course_id": gid(7),
        "name": "Monday",
        "start_at": None,
        "end_at": "2026-06-01T00:00:00Z",
        "restrict_enrollments_to_section_dates": None,
        "nonxlist_course_id": None,
        "sis_source_id": "S-1",
        "integration_id": None,
        "workflow_state": "active",
    },
    Entity.ENROLLMENT: {
        "enrollment_id": gid(9),
        "course_id": gid(7),
        "course_section_id": gid(8),
        "user_id": "10990000000000051",
        "associated_user_id": None,
        "type": "StudentEnrollment",
        "workflow_state": "active",
        "limit_privileges_to_course_section": False,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "user_name": "Isaac Newton",
    },
    Entity.GROUP: {
        "group_id": gid(10),
        "group_name": "Prisms",
        "max_membership": None,
        "context_type": "Course",
        "context_id": gid(7),
        "group_category_id": gid(6),
        "workflow_state": "available",
    },
    Entity.MEMBERSHIP: {
        "group_membership_id": gid(11),
        "group_id": gid(10),
        "user_id": gid(51),
        "workflow_state": "accepted",
    },
    Entity.USER: {
        "user_id": gid(51),
        "name": "Isaac Newton",
        "short_name": "Isaac",
        "created_at": "2026-01-02T03:04:05Z",
        "user_login": "isaac",
        "user_sis_id": None,
    },
}


@pytest.mark.parametrize("entity", Entity)
def test_a_fact_states_what_rows_have_and_nothing_else(entity: Entity) -> None:
    fact = FACT_OF[entity](OBJECTS[entity], SHARD, T)
    assert fact == Fact(entity, next(iter(STATED[entity].values())), STATED[entity], T)


@pytest.mark.parametrize("entity", Entity)
def test_its_event_is_routed_with_its_id_as_key(entity: Entity) -> None:
    pipeline = Pipeline(VALIDATORS)
    fact = FACT_OF[entity](OBJECTS[entity], SHARD, T)
    facts = [fact]
    if entity in ABSENCE_FIELDS:
        facts.append(absence(entity, {**fact.stated, "user_id": int(gid(51))}, T))
    for each in facts:
        outcome = pipeline(orjson.dumps(each.event(ROOT, "a-run", as_of(T))))
        assert isinstance(outcome, Routed), outcome
        assert outcome.event_type.name == f"rollcall_{entity}_snapshot"
        wanted = gid(10) if entity is Entity.MEMBERSHIP else each.id
        assert outcome.key == wanted.encode()


@pytest.mark.parametrize("entity", Entity)
def test_what_canvas_does_not_show_is_not_stated(entity: Entity) -> None:
    required = set()
    for name in OBJECTS[entity]:
        found = {key: value for key, value in OBJECTS[entity].items() if key != name}
        try:
            fact = FACT_OF[entity](found, SHARD, T)
        except UnusableObjectError:
            required.add(name)
        else:
            assert fact.stated.items() <= STATED[entity].items()
    assert (
        required
        == {
            Entity.COURSE: {"id", "workflow_state"},
            Entity.SECTION: {"id", "course_id"},
            Entity.ENROLLMENT: {
                *("id", "course_id", "course_section_id", "user_id", "type", "enrollment_state")
            },
            Entity.GROUP: {"id", "context_type", "course_id"},
            Entity.MEMBERSHIP: {"id", "group_id", "user_id", "workflow_state"},
            Entity.USER: {"id"},
        }[entity]
    )


@pytest.mark.parametrize("entity", Entity)
def test_other_types_than_documented_are_not_usable(entity: Entity) -> None:
    other = {"an": "object"}
    refused = 0
    for name in OBJECTS[entity]:
        try:
            fact = FACT_OF[entity](OBJECTS[entity] | {name: other}, SHARD, T)
        except UnusableObjectError:
            refused += 1
        else:
            assert other not in fact.stated.values()
    assert refused >= len(STATED[entity]) - 2


def test_a_group_of_an_account() -> None:
    found = OBJECTS[Entity.GROUP] | {"context_type": "Account", "account_id": 3}
    fact = FACT_OF[Entity.GROUP](found, SHARD, T)
    assert (fact.stated["context_type"], fact.stated["context_id"]) == ("Account", gid(3))


@pytest.mark.parametrize("entity", [Entity.COURSE, Entity.USER])
def test_courses_and_users_are_never_absent(entity: Entity) -> None:
    with pytest.raises(KeyError):
        absence(entity, STATED[entity], T)


@pytest.mark.parametrize("name", [7, "x" * (LONGEST_TEXT + 1)])
def test_a_name_that_rows_cannot_have_is_not_usable(name: object) -> None:
    """It would be written in each run."""
    found = OBJECTS[Entity.ENROLLMENT] | {"user": {"id": 1, "name": name}}
    with pytest.raises(UnusableObjectError):
        enrollment_fact(found, SHARD, T)


def test_a_section_may_end_in_a_year_that_was_mistyped() -> None:
    """Canvas has it, and events have it, too."""
    found = OBJECTS[Entity.SECTION] | {"end_at": "20260-06-01T00:00:00Z"}
    fact = FACT_OF[Entity.SECTION](found, SHARD, T)
    assert fact.stated["end_at"] == "20260-06-01T00:00:00Z"
    outcome = Pipeline(VALIDATORS)(orjson.dumps(fact.event(ROOT, "a-run", as_of(T))))
    assert isinstance(outcome, Routed)
    with pytest.raises(UnusableObjectError, match="end_at is no time"):
        FACT_OF[Entity.SECTION](found | {"end_at": "20260-06-31T00:00:00Z"}, SHARD, T)


def test_a_course_has_its_real_name() -> None:
    """Not the one that the token's user gave it."""
    found = OBJECTS[Entity.COURSE] | {"name": "Boring", "original_name": "Optics"}
    assert course_fact(found, SHARD, T).stated["name"] == "Optics"
