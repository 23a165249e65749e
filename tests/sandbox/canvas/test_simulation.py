"""The simulated Canvas emits the events that Canvas emits, and no others; its expected rosters
agree with its own rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from rollcall.cli.main import main
from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import REGISTRY
from rollcall.sandbox.canvas.families import BODIES
from rollcall.sandbox.canvas.simulation import SimulatedEvent, Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.canvas import Canvas, Emitted
from rollcall.sandbox.canvas.simulation.courses import (
    conclude_course,
    create_course,
    cross_list,
    delete_course,
    delete_section,
    publish,
    restore_section,
    uncross_list,
    undelete_course,
)  # fmt: skip
from rollcall.sandbox.canvas.simulation.enrollments import (
    accept,
    deactivate,
    delete,
    delete_by_import,
    enroll,
    enroll_again,
    reactivate,
)
from rollcall.sandbox.canvas.simulation.groups import (
    assign_at_random,
    create_category,
    delete_category,
    delete_group,
    join,
    move,
    restore_group,
)
from rollcall.sandbox.canvas.simulation.people import create_user, delete_user, merge_users
from rollcall.sandbox.canvas.simulation.world import WITHIN, Course, Enrollment, Section, User
from tests.events.schemas.events import VALIDATORS
from tests.waiting import run_bytes, wait_for_exit

MODERATE = SimulationPlan(
    courses=12, steps=6_000, seed=5, duplicates=0.05, disorder=60, lost=0.02, skew=2.0
)
ENROLLMENT_KINDS = {
    "StudentEnrollment",
    "TeacherEnrollment",
    "TaEnrollment",
    "DesignerEnrollment",
    "ObserverEnrollment",
    "StudentViewEnrollment",
}
ENROLLMENT_STATES = {
    "active",
    "invited",
    "creation_pending",
    "inactive",
    "completed",
    "rejected",
    "deleted",
}
IDS = {"enrollments": "enrollment_id", "groups": "group_id", "memberships": "group_membership_id"}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The router's pipeline without a configured shard."""
    return Pipeline(VALIDATORS)


@pytest.fixture(scope="module")
def moderate() -> list[SimulatedEvent]:
    """Events of a simulation with all kinds of changes and deliveries."""
    return list(Simulation(MODERATE).events())


@pytest.fixture(scope="module")
def clean(pipeline: Pipeline) -> list[bytes | None]:
    """The ce_ids of a simulation of 2,000 steps with regular delivery."""
    return ce_ids(pipeline, Simulation(SimulationPlan(steps=2_000)).events())


def ce_id(pipeline: Pipeline, value: bytes) -> bytes | None:
    outcome = pipeline(value)
    assert isinstance(outcome, Routed)
    return dict(outcome.headers)["ce_id"]


def ce_ids(pipeline: Pipeline, events: Iterable[SimulatedEvent]) -> list[bytes | None]:
    return [ce_id(pipeline, event.value) for event in events]


# --- events


def test_every_event_is_valid_and_has_its_key(
    pipeline: Pipeline, moderate: list[SimulatedEvent]
) -> None:
    for event in moderate:
        outcome = pipeline(event.value)
        assert isinstance(outcome, Routed), event
        assert (outcome.event_type.name, outcome.key) == (event.name, event.entity.encode())
        assert round(outcome.event_time * 1000) == event.time_ms
        assert outcome.unknown_values == 0, event


SIMULATED = {
    "account",
    "account_notification",
    "course",
    "course_section",
    "enrollment",
    "enrollment_state",
    "group",
    "group_category",
    "group_membership",
    "user",
    "user_account_association",
}
"""Families of the events of a simulated institution."""


def test_all_values_occur(moderate: list[SimulatedEvent]) -> None:
    assert {event.name for event in moderate} == {
        name for name, event_type in REGISTRY.items() if event_type.family in SIMULATED
    }
    bodies: dict[str, list[dict[str, Any]]] = {}
    for event in moderate:
        bodies.setdefault(event.name.rsplit("_", 1)[0], []).append(json.loads(event.value)["body"])

    def values(family: str, field: str) -> set[Any]:
        return {body[field] for body in bodies[family] if field in body}

    assert values("enrollment", "type") == ENROLLMENT_KINDS
    assert values("enrollment", "workflow_state") == ENROLLMENT_STATES
    assert values("enrollment_state", "state") == {
        *ENROLLMENT_STATES,
        "pending_active",
        "pending_invited",
    }
    assert values("course", "workflow_state") == {
        "created",
        "claimed",
        "available",
        "completed",
        "deleted",
    }
    assert values("course_section", "workflow_state") == values("group", "workflow_state") - {
        "available"
    } | {"active"}
    assert values("group_membership", "workflow_state") == {
        "accepted",
        "invited",
        "requested",
        "rejected",
        "deleted",
    }
    assert (
        values("group", "context_type")
        == values("group_category", "context_type")
        == {"Course", "Account"}
    )
    assert any(body.get("nonxlist_course_id") for body in bodies["course_section"])
    assert any(body.get("associated_user_id") for body in bodies["enrollment"])
    assert any(
        int(body["user_id"]) // 10**13 == MODERATE.shard + 1 for body in bodies["enrollment"]
    )


def test_enrollments_are_revived_and_change_sections(moderate: list[SimulatedEvent]) -> None:
    histories: dict[str, list[tuple[int, str, str]]] = {}
    for event in moderate:
        if event.name in ("enrollment_created", "enrollment_updated"):
            body = json.loads(event.value)["body"]
            histories.setdefault(event.entity, []).append(
                (event.time_ms, body["workflow_state"], str(body["course_section_id"]))
            )
    steps = Counter[tuple[str, str]]()
    moved = 0
    for history in histories.values():
        history.sort()
        for (_, before, old), (_, after, new) in pairwise(history):
            steps[before, after] += 1
            moved += old != new
    for before, after in (
        ("invited", "active"), ("invited", "rejected"), ("active", "completed"), ("active",
        "inactive"), ("active", "deleted"), ("inactive", "active"),
        ("deleted", "active"), ("deleted", "invited"), ("completed", "active"), ("rejected",
        "invited"), ("creation_pending", "invited"), ("active", "active"),
    ):  # fmt: skip
        assert steps[before, after], (before, after)
    assert moved


def test_metadata_of_requests_jobs_and_consoles(moderate: list[SimulatedEvent]) -> None:
    kinds = Counter[str]()
    for event in moderate:
        metadata = json.loads(event.value)["metadata"]
        kind = (
            "request" if "request_id" in metadata else "job" if "job_id" in metadata else "console"
        )
        kinds[kind] += 1
        if kind == "job":
            assert not any(name.startswith(("context_", "user_")) for name in metadata)
        elif kind == "console":
            assert metadata.keys() == {"event_name", "event_time"}
    assert min(kinds["request"], kinds["job"], kinds["console"]) > 10
    shared = Counter(json.loads(event.value)["metadata"].get("request_id") for event in moderate)
    assert shared.most_common(2)[1][1] > 3


def test_ids_and_times_have_canvas_s_formats(moderate: list[SimulatedEvent]) -> None:
    numbers = 0
    for event in moderate:
        document = json.loads(event.value)
        body = document["body"]
        if event.name.startswith("course_section_"):
            assert all(
                int(body[name]) < 10**13
                for name in ("course_section_id", "course_id", "root_account_id")
            )
        elif event.name.startswith("group_category_"):
            assert int(body["context_id"]) < 10**13 < int(body["group_category_id"])
        elif event.name in ("account_created", "account_updated"):
            assert isinstance(body["account_id"], int)
        else:
            assert all(
                int(value) > 10**13
                for name, value in body.items()
                if name.endswith("_id") and value and "sis" not in name
            )
            numbers += isinstance(body.get("enrollment_id"), int)
        assert document["metadata"]["event_time"].endswith("Z")
    assert numbers > 20
    text = b"\n".join(event.value for event in moderate)
    for part in (
        b'-07:00"',
        b'+05:30"',
        b' -0800"',
        b'"user_sis_id":null',
        b'"course_uuid"',
        b'"temporary_enrollment"',
    ):
        assert part in text, part


def test_entities_older_than_the_subscription_have_no_created_event() -> None:
    created: set[str] = set()
    unseen = Counter[str]()
    for event in Simulation(SimulationPlan(courses=12, steps=3_000)).events():
        family, verb = event.name.rsplit("_", 1)
        if verb == "created":
            created.add(family + event.entity)
        elif family + event.entity not in created:
            unseen[family] += 1
    assert unseen.keys() >= {
        "enrollment",
        "enrollment_state",
        "course",
        "course_section",
        "group",
        "user",
    }


def test_bodies_have_the_fields_of_families() -> None:
    for event in Simulation(SimulationPlan(courses=3, steps=500)).events():
        body = json.loads(event.value)["body"]
        assert (
            body.keys() - {"temporary_enrollment", "pronouns", "sis_import_id", "extra"}
            <= BODIES[event.name.rsplit("_", 1)[0]].keys()
        )
    for family in ("course", "course_section", "enrollment", "group", "group_membership", "user"):
        assert VALIDATORS[f"{family}_updated"].known_body_fields == BODIES[family].keys()


# --- the plan


def test_the_same_plan_gives_the_same_events(moderate: list[SimulatedEvent]) -> None:
    assert list(Simulation(MODERATE).events()) == moderate
    other = SimulationPlan(courses=12, steps=6_000, seed=6)
    assert list(islice(Simulation(other).events(), 100)) != moderate[:100]


@pytest.mark.parametrize(
    "options",
    [
        {"courses": 0},
        {"steps": -1},
        {"lost": 1.5},
        {"duplicates": -0.1},
        {"disorder": -1},
        {"skew": -1},
        {"shard": 0},
        {"class_size": -1},
    ],
)
def test_impossible_plans_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SimulationPlan(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"courses": 1, "class_size": 0},
        {"courses": 1, "class_size": 1},
        {"courses": 3, "shard": 1},
        {"courses": 2, "shard": 900_000},
    ],
)
def test_small_and_large_institutions(pipeline: Pipeline, options: dict[str, int]) -> None:
    simulation = Simulation(SimulationPlan(steps=300, **options))
    assert all(isinstance(pipeline(event.value), Routed) for event in simulation.events())
    assert simulation.truth()["courses"]


def test_regular_delivery_is_in_the_order_of_times() -> None:
    events = list(Simulation(SimulationPlan(courses=5, steps=1_000)).events())
    times = [event.time_ms for event in events]
    assert times == sorted(times)
    assert len(set(times)) < len(times)


def test_duplicates_have_the_same_or_other_bytes(
    pipeline: Pipeline, clean: list[bytes | None]
) -> None:
    delivered = list(Simulation(SimulationPlan(steps=2_000, duplicates=0.1)).events())
    ids = ce_ids(pipeline, delivered)
    assert list(dict.fromkeys(ids)) == clean
    repeated = len(ids) - len(clean)
    assert 0.08 < repeated / len(clean) < 0.12
    other_bytes = len({event.value for event in delivered}) - len(clean)
    assert 0.3 < other_bytes / repeated < 0.7


def test_disorder_stays_within_its_window(pipeline: Pipeline, clean: list[bytes | None]) -> None:
    places = {each: place for place, each in enumerate(clean)}
    shuffled = ce_ids(pipeline, Simulation(SimulationPlan(steps=2_000, disorder=50)).events())
    assert sorted(map(str, shuffled)) == sorted(map(str, clean))
    moved = [abs(places[each] - place) for place, each in enumerate(shuffled)]
    assert 25 < max(moved) <= 50
    assert sum(distance > 0 for distance in moved) > len(moved) / 2


def test_lost_events_are_not_delivered(pipeline: Pipeline, clean: list[bytes | None]) -> None:
    found = ce_ids(
        pipeline, Simulation(SimulationPlan(steps=2_000, lost=0.1, duplicates=0.1)).events()
    )
    assert set(found) < set(clean)
    assert 0.08 < 1 - len(set(found)) / len(clean) < 0.12


def test_skewed_clocks_invert_times() -> None:
    times = [event.time_ms for event in Simulation(SimulationPlan(steps=2_000, skew=2.0)).events()]
    behind = [max(times[:place][-50:]) - time for place, time in enumerate(times) if place]
    assert 500 < max(behind) <= 2_000


def test_events_are_made_lazily() -> None:
    simulation = Simulation(SimulationPlan(courses=2, steps=10**9))
    assert len(list(islice(simulation.events(), 2_000))) == 2_000
    assert len(list(islice(simulation.events(), 10))) == 10


# --- events of single changes, and changes without events


class Institution:
    """An institution with a course of two sections, five students and a group set. All its events
    are delivered.
    """

    def __init__(self) -> None:
        self.simulation = Simulation(SimulationPlan(courses=1, steps=0, class_size=0))
        for _ in self.simulation.events():
            pass
        self.canvas: Canvas = self.simulation.canvas
        self.course = self.new_course(sections=2)
        self.section: Section = self.course.sections[0]
        states = ("active", "invited", "inactive", "active", "invited")
        self.enrollments = [self.enroll(self.user(), state) for state in states]
        self.active, self.invited, self.inactive = self.enrollments[:3]
        self.category = create_category(self.canvas, self.course, "Projects", 2)
        self.group, self.other_group = self.category.groups
        self.membership = join(self.canvas, self.group, self.active.user, "accepted")
        self.take_event_names()

    def new_course(self, sections: int = 1) -> Course:
        course = create_course(self.canvas, self.canvas.root, "Logic", WITHIN, sections)
        course.state = "available"
        for section in course.sections:
            section.restricted = False
        publish(self.canvas, course)
        return course

    def user(self) -> User:
        return create_user(self.canvas, self.canvas.root)

    def enroll(self, user: User, state: str) -> Enrollment:
        return enroll(self.canvas, user, self.section, "StudentEnrollment", state)

    def take_event_names(self) -> list[str]:
        """Deliver the events since the last call, and return their names."""
        return [emitted.event.name for emitted in self.emitted()]

    def emitted(self) -> list[Emitted]:
        """Deliver the events since the last call, and return them."""
        events, self.canvas.outbox = self.canvas.outbox, []
        for event in events:
            self.simulation._truth.add(event)
        return events

    def actual_state(self, relation: str, gid: str) -> str:
        """The state in the simulated Canvas."""
        return self.simulation.world_rosters()[relation][gid].state

    def row(self, enrollment: Enrollment) -> dict[str, Any]:
        """The row in the expected rosters."""
        (row,) = (
            row
            for row in self.simulation.truth()["enrollments"].values()
            if row["enrollment_id"] == enrollment.gid
        )
        return row


@pytest.fixture
def institution() -> Institution:
    return Institution()


def test_a_group_is_deleted_and_restored_without_events_of_memberships(
    institution: Institution,
) -> None:
    delete_group(institution.canvas, institution.group)
    assert institution.take_event_names() == ["group_updated"]
    assert institution.actual_state("memberships", institution.membership.gid) == "deleted"
    restore_group(institution.canvas, institution.group)
    assert institution.take_event_names() == ["group_updated"]
    assert institution.actual_state("memberships", institution.membership.gid) == "accepted"


def test_a_group_set_is_deleted_group_by_group(institution: Institution) -> None:
    delete_category(institution.canvas, institution.category)
    assert institution.take_event_names() == [
        "group_updated",
        "group_updated",
        "group_category_updated",
    ]
    assert institution.actual_state("memberships", institution.membership.gid) == "deleted"


def test_a_course_is_deleted_without_events_of_enrollments_and_groups(
    institution: Institution,
) -> None:
    delete_course(institution.canvas, institution.course)
    assert institution.take_event_names() == ["course_updated"]
    assert {
        institution.actual_state("enrollments", row.gid) for row in institution.enrollments
    } == {"deleted"}
    assert (
        institution.actual_state("groups", institution.group.gid)
        == institution.actual_state("memberships", institution.membership.gid)
        == "deleted"
    )
    undelete_course(institution.canvas, institution.course)
    assert institution.take_event_names() == ["course_updated"]
    assert institution.actual_state("groups", institution.group.gid) == "available"


def test_a_course_is_concluded_without_events_of_enrollments(institution: Institution) -> None:
    conclude_course(institution.canvas, institution.course)
    assert institution.take_event_names() == ["course_updated"]
    assert [
        institution.actual_state("enrollments", row.gid)
        for row in (institution.active, institution.invited, institution.inactive)
    ] == ["completed", "completed", "inactive"]


def test_a_section_is_deleted_without_events_of_enrollments(institution: Institution) -> None:
    delete_section(institution.canvas, institution.section)
    assert institution.take_event_names() == ["course_section_updated"]
    assert {
        institution.actual_state("enrollments", row.gid) for row in institution.enrollments
    } == {"deleted"}


def test_a_section_is_cross_listed_and_moved_back_without_events_of_enrollments(
    institution: Institution,
) -> None:
    other = institution.new_course()
    institution.take_event_names()
    cross_list(institution.canvas, institution.section, other)
    (event,) = institution.emitted()
    body = json.loads(event.event.value)["body"]
    assert (event.event.name, str(body["course_id"]), str(body["nonxlist_course_id"])) == (
        "course_section_updated",
        str(other.id),
        str(institution.course.id),
    )
    assert (
        institution.simulation.world_rosters()["enrollments"][institution.active.gid].place
        == institution.row(institution.active)["course_id"]
        == other.gid
    )
    uncross_list(institution.canvas, institution.section)
    (event,) = institution.emitted()
    assert json.loads(event.event.value)["body"].get("nonxlist_course_id") is None
    assert institution.row(institution.active)["course_id"] == institution.course.gid


def test_a_section_that_moves_back_restores_its_deleted_course(institution: Institution) -> None:
    cross_list(institution.canvas, institution.section, institution.new_course())
    delete_course(institution.canvas, institution.course)
    institution.take_event_names()
    uncross_list(institution.canvas, institution.section)
    assert institution.take_event_names() == ["course_updated", "course_section_updated"]
    assert institution.course.state == "claimed"


def test_a_user_is_deleted_row_by_row(institution: Institution) -> None:
    delete_user(institution.canvas, institution.active.user)
    counts = Counter(institution.take_event_names())
    assert (
        counts["user_updated"],
        counts["enrollment_updated"],
        counts["group_membership_updated"],
    ) == (
        1,
        1,
        1,
    )
    assert institution.row(institution.active)["state"] == "deleted"
    assert (
        institution.simulation.truth()["users"][institution.active.user.gid]["state"] == "deleted"
    )


def test_imports_random_assignment_and_merges_change_rows_without_events(
    institution: Institution,
) -> None:
    delete_by_import(institution.canvas, institution.section, 1.0)
    assert institution.take_event_names() == []
    assert institution.actual_state("enrollments", institution.active.gid) == "deleted"
    before = len(institution.canvas.world.memberships)
    assign_at_random(
        institution.canvas, institution.category, [row.user for row in institution.enrollments]
    )
    assert institution.take_event_names() == []
    assert len(institution.canvas.world.memberships) == before + 4
    merge_users(institution.canvas, institution.active.user, institution.invited.user)
    assert institution.take_event_names() == ["user_updated"]
    assert institution.active.user is institution.invited.user


def test_a_new_enrollment_has_an_event_of_its_state(institution: Institution) -> None:
    institution.enroll(institution.user(), "invited")
    names = [name for name in institution.take_event_names() if name.startswith("enrollment")]
    assert sorted(names)[0] == "enrollment_created"
    assert "enrollment_state_created" in names


def test_a_user_who_is_enrolled_again_has_the_same_enrollment_in_another_section(
    institution: Institution,
) -> None:
    delete(institution.canvas, institution.invited)
    enroll_again(institution.canvas, institution.invited, institution.course.sections[1], "active")
    names = institution.take_event_names()
    assert "enrollment_created" not in names
    row = institution.row(institution.invited)
    assert (row["state"], row["course_section_id"]) == (
        "active",
        institution.course.sections[1].gid,
    )


def test_a_user_who_changes_groups_has_a_new_membership(institution: Institution) -> None:
    orders = set()
    for _ in range(30):
        membership = next(
            row for row in institution.active.user.memberships if row.state != "deleted"
        )
        move(
            institution.canvas,
            membership,
            institution.other_group if membership.group is institution.group else institution.group,
        )
        names = institution.take_event_names()
        orders.add(names[0])
        assert sorted(set(names)) == ["group_membership_created", "group_membership_updated"]
        assert membership.state == "deleted"
    assert orders == {"group_membership_created", "group_membership_updated"}


# --- expected rosters


def test_reasons_and_times_of_rows(institution: Institution) -> None:
    def last_time() -> str:
        return str(json.loads(institution.emitted()[-1].event.value)["metadata"]["event_time"])

    deactivate(institution.canvas, institution.active)
    institution.take_event_names()
    row = institution.row(institution.active)
    assert row["state"] == "inactive"
    delete_section(institution.canvas, institution.section)
    at = last_time()
    row = institution.row(institution.active)
    assert (row["state"], row["state_reason"]) == ("deleted", "section_deleted")
    assert row["as_of"] == (at if "." in at else at.replace("Z", ".000Z"))
    restore_section(institution.canvas, institution.section)
    conclude_course(institution.canvas, institution.course)
    institution.take_event_names()
    assert (
        institution.row(institution.invited)["state"],
        institution.row(institution.invited)["state_reason"],
    ) == (
        "completed",
        "course_completed",
    )
    assert institution.row(institution.active)["state"] == "inactive"
    delete_course(institution.canvas, institution.course)
    institution.take_event_names()
    truth = institution.simulation.truth()
    assert institution.row(institution.invited)["state_reason"] == "course_deleted"
    assert (
        truth["groups"][f"{institution.course.gid}/{institution.group.gid}"]["state_reason"]
        == "course_deleted"
    )
    membership = truth["memberships"][f"{institution.course.gid}/{institution.membership.gid}"]
    assert (membership["state"], membership["context_type"], membership["context_id"]) == (
        "deleted",
        "Course",
        institution.course.gid,
    )


def test_rows_have_the_fields_of_the_body_and_ids_in_normal_form() -> None:
    simulation = Simulation(SimulationPlan(courses=4, steps=1_000))
    for _ in simulation.events():
        pass
    fields = {
        "courses": "course",
        "sections": "course_section",
        "enrollments": "enrollment",
        "groups": "group",
        "memberships": "group_membership",
        "users": "user",
    }
    for relation, rows in simulation.truth().items():
        assert rows
        for row in rows.values():
            assert (
                row.keys() - {"state", "state_reason", "as_of", "context_type", "context_id"}
                <= BODIES[fields[relation]].keys()
            )
            assert None not in row.values()
            ids = [
                value
                for name, value in row.items()
                if name.endswith("_id") and "sis" not in name and name != "integration_id"
            ]
            assert all(isinstance(value, str) and len(value) == 17 for value in ids)


def test_expected_rosters_do_not_depend_on_order_and_duplicates() -> None:
    rosters = []
    for duplicates, disorder in ((0.0, 0), (0.2, 300), (0.0, 100_000)):
        simulation = Simulation(
            SimulationPlan(courses=5, steps=3_000, duplicates=duplicates, disorder=disorder)
        )
        for _ in simulation.events():
            pass
        rosters.append(simulation.truth())
    assert rosters[0] == rosters[1] == rosters[2]


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))]
)
def test_expected_rosters_agree_with_the_actual_rows(seed: int) -> None:
    simulation = Simulation(
        SimulationPlan(courses=15, steps=6_000, seed=seed, duplicates=0.05, disorder=200)
    )
    for _ in simulation.events():
        pass
    truth, world = simulation.truth(), simulation.world_rosters()
    divergences = Counter[str]()
    for relation, name in IDS.items():
        found: dict[str, tuple[str, str]] = {}
        for key, row in truth[relation].items():
            place, _, gid = key.rpartition("/")
            assert gid == row[name] not in found
            found[gid] = (place, row["state"])
        assert found.keys() == {gid for gid, real in world[relation].items() if real.has_event}
        for gid, (place, state) in found.items():
            real = world[relation][gid]
            assert place == real.place
            assert state == real.state or real.divergence, (relation, gid, state, real)
            divergences[real.divergence or "agrees"] += 1
    users = {user.gid: user for user in simulation.canvas.world.users}
    for gid, row in truth["users"].items():
        user = users[gid]
        assert (row["state"], row["name"], row.get("user_sis_id")) == (
            user.state,
            user.name,
            user.sis_id,
        )
    assert divergences["agrees"] > divergences.total() * 0.7
    assert divergences.keys() <= {"agrees", "bulk", "came_back", "rejected", "late"}


def test_divergences_of_expected_rosters(institution: Institution) -> None:
    """In Canvas, enrollments stay deleted or completed when their course is restored, and can be
    reactivated in concluded courses.
    """
    conclude_course(institution.canvas, institution.course)
    reactivate(institution.canvas, institution.inactive)
    institution.take_event_names()
    assert (
        institution.row(institution.inactive)["state"],
        institution.actual_state("enrollments", institution.inactive.gid),
    ) == (
        "completed",
        "active",
    )
    publish(institution.canvas, institution.course)
    institution.take_event_names()
    assert (
        institution.row(institution.active)["state"],
        institution.actual_state("enrollments", institution.active.gid),
    ) == (
        "active",
        "completed",
    )
    world = institution.simulation.world_rosters()["enrollments"]
    assert world[institution.active.gid].divergence == "came_back"
    enroll_again(institution.canvas, institution.active, institution.section, "active")
    accept(institution.canvas, institution.inactive)
    institution.take_event_names()
    assert (
        institution.simulation.world_rosters()["enrollments"][institution.active.gid].divergence
        is None
    )
    assert institution.row(institution.active)["state"] == "active"


# --- the command


def rollcall(*arguments: str, **settings: object) -> subprocess.CompletedProcess[bytes]:
    """Run ``rollcall simulate`` to its end."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")}
    environment = clean | {f"ROLLCALL_{key.upper()}": str(value) for key, value in settings.items()}
    return run_bytes([sys.executable, "-m", "rollcall", "simulate", *arguments], env=environment)


def test_it_writes_json_lines_and_the_expected_rosters(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = (
        "--courses",
        "2",
        "--steps",
        "200",
        "--seed",
        "7",
        "--class-size",
        "5",
        "--duplicates",
        "0.1",
        "--disorder",
        "20",
        "--lost",
        "0.1",
        "--skew",
        "1",
    )
    done = rollcall(*options, "--truth", str(truth))
    simulation = Simulation(
        SimulationPlan(
            courses=2,
            steps=200,
            seed=7,
            class_size=5,
            duplicates=0.1,
            disorder=20,
            lost=0.1,
            skew=1.0,
        )
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines() == [event.value for event in simulation.events()]
    rows: dict[str, dict[str, Any]] = {}
    for line in truth.read_bytes().splitlines():
        found = json.loads(line)
        rows.setdefault(found["relation"], {})[found["key"]] = found["row"]
    assert rows == {relation: found for relation, found in simulation.truth().items() if found}
    output = tmp_path / "events.jsonl"
    assert rollcall(*options, "--output", str(output)).stdout == b""
    assert output.read_bytes() == done.stdout


def test_it_ends_quietly_when_its_reader_closes_the_pipe() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rollcall", "simulate", "--steps", "10000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["body"]
    process.stdout.close()
    assert wait_for_exit(process) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_wrong_options_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "no-folder" / "events"
    for arguments, reason in ((("--truth", str(missing)), "No such file or directory"),):
        monkeypatch.setattr(sys, "argv", ["rollcall", "simulate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert (ended.value.code, out) == (2, "")
        (line,) = err.splitlines()
        assert reason in line
