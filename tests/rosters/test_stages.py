"""All stages in memory, compared with the oracle: any history, order, repetition, division into
chunks, interleaving and crash gives the same rosters.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from rollcall.events.registry import REGISTRY
from rollcall.record import Record
from rollcall.rosters import section
from rollcall.rosters.enrollment import EnrollmentState
from rollcall.rosters.fields import Sort, fields_of
from rollcall.rosters.internal import value_reader
from rollcall.rosters.registry import RELATIONS, stages, stages_by_event
from rollcall.streaming.stages.stage import Change, Input, Kind, Stage
from tests.examples import examples
from tests.rosters import reference
from tests.rosters.histories import HOME_SHARD, Choices, choices, deliveries, histories, show
from tests.rosters.memory import (
    Cluster,
    CrashEffect,
    changelog_first,
    nothing_remains,
    outputs_first,
)
from tests.rosters.reference import TypedEvent
from tests.rosters.scenarios import (
    SCENARIOS,
    Scenario,
    course,
    enrollment,
    global_id,
    group,
    membership,
)
from tests.rosters.scenarios import section as section_event

SCHEMAS = Path(__file__).parents[2] / "schemas" / "bodies"
REGISTERS: dict[type[Struct], str] = {
    **{relation.register: relation.bodies[0] for relation in RELATIONS},
    EnrollmentState: "enrollment_state",
}
"""Schemas of bodies, by register."""

SORTS = {
    "id": Sort.ID,
    "text": Sort.TEXT,
    "word": Sort.TEXT,
    "foreign_id": Sort.TEXT,
    "time": Sort.TIME,
    "flag": Sort.FLAG,
    "count": Sort.NUMBER,
}
"""Sorts of fields by the names in schemas/common.json."""

thousands = settings(
    max_examples=examples(400, part=5),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Dice:
    """Decisions by a random generator."""

    def __init__(self, seed: object) -> None:
        self._random = Random(str(seed))

    def below(self, bound: int) -> int:
        """A number from 0, below the bound."""
        return self._random.randrange(bound)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_gives_the_expected_rosters(scenario: Scenario) -> None:
    shuffle = Random(scenario.name)
    few = len(scenario.events) <= 4
    orders = (
        list(itertools.permutations(scenario.events))
        if few
        else [tuple(shuffle.sample(scenario.events, len(scenario.events))) for _ in range(24)]
    )
    for number, order in enumerate(orders):
        cluster = Cluster(shard=scenario.shard)
        cluster.send(order)
        cluster.settle(Dice(number))
        assert scenario.differences(cluster.rosters()) == [], show(order)


@thousands
@given(st.data(), choices(), st.sampled_from([HOME_SHARD, None]), st.integers(1, 3))
def test_rosters_depend_on_the_set_of_events_only(
    data: st.DataObject, choose: Choices, shard: int | None, cascade_rows: int
) -> None:
    history = data.draw(histories())
    arrived = data.draw(deliveries(history))
    cluster = Cluster(shard=shard, cascade_rows=cascade_rows)
    for part in _parts(arrived, choose):
        cluster.send(part)
        if choose.below(2):
            cluster.settle(choose, crashes=20)
    cluster.settle(choose, crashes=20)
    assert cluster.rosters() == reference.rosters(history, shard), show(history)
    assert cluster.repetitions() == []
    # repeated events write nothing
    before = cluster.sizes()
    cluster.send(reversed(arrived))
    cluster.settle(choose)
    assert cluster.sizes() == before


def _parts(arrived: Sequence[TypedEvent], choose: Choices) -> list[Sequence[TypedEvent]]:
    if not arrived:
        return []
    cut = choose.below(min(len(arrived), 256))
    return [arrived[:cut], arrived[cut:]]


# --- negative controls


def _without_one_writer() -> tuple[Stage, ...]:
    """Stages in which several sections write one record key, ``<course>/<enrollment>``. Partitions
    have no common order, so this is an error.
    """

    def derive(key: str, enrollment_id: str, row: Any, lead: Any) -> Mapping[str, Any]:
        [(output_key, value)] = section.derive_enrollment(key, enrollment_id, row, lead).items()
        return {output_key.rpartition("/")[0]: value}

    value_of = value_reader(section.EnrollmentInSection)

    def one_slot(record: Record) -> Change:
        course, enrollment_id = (record.key or b"").decode().split("/")
        return Change(course, f"enrollment/{enrollment_id}", ("", value_of(record)), None)

    enrollment_stage, section_stage, group_stage, course_stage, user_stage = stages(None)
    row = section.PublishedEnrollment
    kinds = {
        **section_stage.kinds,
        "enrollment": Kind(row, {section.ENROLLMENTS_BY_COURSE: derive}),
    }
    inputs = {**course_stage.inputs}
    inputs[section.ENROLLMENTS_BY_COURSE] = Input(
        one_slot, course_stage.inputs[section.ENROLLMENTS_BY_COURSE].merge, trusted=True
    )
    course_stage = dataclasses.replace(course_stage, inputs=inputs)
    return (
        enrollment_stage,
        dataclasses.replace(section_stage, kinds=kinds),
        group_stage,
        course_stage,
        user_stage,
    )


def _count_wrong(
    histories_count: int,
    crash: CrashEffect,
    *,
    crashes: int,
    all_stages: tuple[Stage, ...] | None = None,
) -> int:
    """Number of random histories with wrong rosters."""
    wrong = 0
    for number in range(histories_count):
        dice = Dice(number)
        history = moving_history(dice)
        cluster = Cluster(cascade_rows=2, all_stages=all_stages)
        for event in history:
            cluster.send([event])
            if dice.below(3) == 0:
                cluster.settle(dice, crashes=crashes, crash=crash)
        cluster.settle(dice, crashes=crashes, crash=crash)
        wrong += cluster.rosters() != reference.rosters(history, None)
    return wrong


def moving_history(dice: Dice) -> list[TypedEvent]:
    """A history in which record keys change: enrollments move between sections, sections and groups
    between courses.
    """
    events: list[TypedEvent] = []
    for _ in range(8 + dice.below(10)):
        time = dice.below(30)
        which = dice.below(6)
        if which <= 2:
            ids = {
                "enrollment_id": 50 + dice.below(2),
                "course_section_id": 20 + dice.below(3),
                "course_id": 10 + dice.below(2),
            }
            events.append(
                enrollment(
                    time,
                    ("active", "deleted")[dice.below(2)],
                    **{name: global_id(number) for name, number in ids.items()},
                )
            )
        elif which == 3:
            events.append(
                section_event(
                    time,
                    course_section_id=str(20 + dice.below(3)),
                    course_id=str(10 + dice.below(2)),
                )
            )
        elif which == 4:
            events.append(
                group(time, group_id=global_id(70), context_id=global_id(10 + dice.below(2)))
            )
            events.append(
                membership(
                    time, group_id=global_id(70), group_membership_id=global_id(80 + dice.below(2))
                )
            )
        else:
            events.append(
                course(
                    time,
                    ("available", "deleted", "completed")[dice.below(3)],
                    course_id=global_id(10 + dice.below(2)),
                )
            )
    return events


HISTORIES = 120
"""Number of histories; the same in every run."""

MIN_WRONG = 3


def test_transactions_and_one_writer_give_correct_rosters() -> None:
    assert _count_wrong(HISTORIES, nothing_remains, crashes=30) == 0


@pytest.mark.parametrize("crash", [changelog_first, outputs_first])
def test_without_transactions_rosters_are_wrong(crash: CrashEffect) -> None:
    assert _count_wrong(HISTORIES, crash, crashes=30) >= MIN_WRONG


def test_with_two_writers_of_a_key_rosters_are_wrong() -> None:
    assert (
        _count_wrong(HISTORIES, nothing_remains, crashes=0, all_stages=_without_one_writer())
        >= MIN_WRONG
    )


@pytest.mark.parametrize("register", REGISTERS, ids=REGISTERS.get)
def test_rows_have_the_fields_of_the_schemas(register: type[Struct]) -> None:
    body = REGISTERS[register]
    schema = json.loads((SCHEMAS / f"{body}.json").read_text())
    properties = schema["properties"]
    if body == "enrollment_state":
        properties = {"state": properties["state"]}
    sorts = {name: _sort_of(field) for name, field in properties.items()}
    assert {field.name: field.sort for field in fields_of(register)} == sorts


def _sort_of(field: Mapping[str, Any]) -> Sort:
    """The sort of a row's field, by the reference in the event's schema."""
    if "$ref" not in field:
        assert "array" in field["type"]
        return Sort.LIST
    return SORTS[field["$ref"].rpartition("/")[2].removeprefix("nullable_")]


def test_stages_by_event() -> None:
    families: dict[str | None, set[str]] = {}
    for name, event_type in REGISTRY.items():
        families.setdefault(stages_by_event().get(name), set()).add(event_type.family)
    unused = families.pop(None)
    assert families == {
        "enrollment": {"enrollment", "enrollment_state", "rollcall_snapshot"},
        "section": {"course_section", "rollcall_snapshot"},
        "group": {"group", "group_membership", "rollcall_snapshot"},
        "course": {"course", "rollcall_snapshot"},
        "user": {"user", "rollcall_snapshot"},
    }
    assert unused.isdisjoint(set().union(*families.values()))
    assert stages_by_event().keys() <= REGISTRY.keys()
    assert {f"rosters.{relation}" for relation in reference.RELATIONS} == {
        output for stage in stages(None) for output in stage.outputs if "." in output
    }
