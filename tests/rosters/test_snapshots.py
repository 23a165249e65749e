"""Snapshots of Canvas beside events: which of the two counts, and each rule taken away."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest

from rollcall.rosters import course, entities, user
from rollcall.rosters.entities import Reconciled
from tests.rosters import reference
from tests.rosters.memory import Cluster
from tests.rosters.reference import Row, TypedEvent
from tests.rosters.scenarios import (
    COURSE,
    ENROLLMENT,
    GROUP,
    MEMBERSHIP,
    OTHER_COURSE,
    OTHER_SECTION,
    SECTION,
    USER,
    at,
    enrollment,
    enrollment_state,
    event,
    global_id,
    group,
    membership,
    section,
)
from tests.rosters.scenarios import course as course_event

OTHER_USER = global_id(52)


def snapshot(entity: str, time: int, body: Row, *, present: bool = True) -> TypedEvent:
    """A snapshot of an entity."""
    return event(
        f"rollcall_{entity}_snapshot",
        time,
        body | {"present": present},
        producer="rollcall",
        source="rest",
        run="r",
    )


def seen(time: int, state: str = "active", **fields: Any) -> TypedEvent:
    """A snapshot of the enrollment."""
    body: Row = {
        "enrollment_id": ENROLLMENT,
        "course_id": COURSE,
        "course_section_id": SECTION,
        "user_id": USER,
        "type": "StudentEnrollment",
        "workflow_state": state,
    }
    return snapshot("enrollment", time, body | fields)


def missed(time: int, **fields: Any) -> TypedEvent:
    """A snapshot without the enrollment."""
    body = orjson.loads(seen(time, "deleted", **fields).value)["body"]
    return snapshot("enrollment", time, body, present=False)


def seen_course(time: int, state: str) -> TypedEvent:
    """A snapshot of the course."""
    return snapshot("course", time, {"course_id": COURSE, "workflow_state": state})


def seen_section(time: int, state: str = "active", **fields: Any) -> TypedEvent:
    """A snapshot of the section, or without it."""
    body = {"course_section_id": SECTION, "course_id": COURSE, "workflow_state": state}
    return snapshot("section", time, body | fields, present=state != "deleted")


def seen_group(time: int, state: str = "available", **fields: Any) -> TypedEvent:
    """A snapshot of the group, or without it."""
    body = {
        "group_id": GROUP,
        "context_type": "Course",
        "context_id": COURSE,
        "workflow_state": state,
    }
    return snapshot("group", time, body | fields, present=state != "deleted")


def seen_membership(time: int, state: str = "accepted") -> TypedEvent:
    """A snapshot of the membership, or without it."""
    body = {
        "group_membership_id": MEMBERSHIP,
        "group_id": GROUP,
        "user_id": USER,
        "workflow_state": state,
    }
    return snapshot("membership", time, body, present=state != "deleted")


def seen_user(time: int, **fields: Any) -> TypedEvent:
    """A snapshot of the user."""
    return snapshot("user", time, {"user_id": USER, "name": "Isaac"} | fields)


def user_event(time: int, state: str, **fields: Any) -> TypedEvent:
    """An event of the user."""
    body = {
        "user_id": USER,
        "uuid": "u",
        "name": "Newton",
        "short_name": "",
        "workflow_state": state,
        "created_at": at(0),
        "updated_at": at(time),
    }
    return event("user_updated", time, body | fields)


def seen_and_missed() -> list[TypedEvent]:
    """For each relation, snapshots of an entity that Canvas has, and of one that it has not."""
    events = []
    for number, present in ((9_061, True), (9_062, False)):
        state = "available" if present else "deleted"
        course_id, group_id = global_id(number), global_id(number + 10)
        in_group = {"group_id": group_id, "user_id": USER}
        of_course = {"context_type": "Course", "context_id": global_id(9_061)}
        place = {"course_id": global_id(9_061), "course_section_id": global_id(number)}
        person = {"enrollment_id": course_id, "user_id": USER, "type": "TaEnrollment"}
        bodies: dict[str, Row] = {
            "course": {"course_id": course_id},
            "section": place,
            "enrollment": person | place | {"course_section_id": global_id(9_061)},
            "group": {"group_id": group_id} | of_course,
            "membership": {"group_membership_id": group_id}
            | in_group
            | {"group_id": global_id(9_071)},
            "user": {"user_id": course_id},
        }
        events += [
            snapshot(entity, 2, body | {"workflow_state": state}, present=present)
            for entity, body in bodies.items()
        ]
    return events


def rows_of(events: list[TypedEvent]) -> dict[str, dict[str, Row]]:
    """The rosters of events, which any order of them gives, and the oracle."""
    expected = reference.rosters(events)
    for order in itertools.islice(itertools.permutations(events), 24):
        cluster = Cluster()
        cluster.send(order)
        cluster.settle(_Dice(0))
        assert cluster.rosters() == expected
    return expected


class _Dice:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def below(self, bound: int) -> int:
        """A number from 0, below the bound."""
        return self._random.randrange(bound)


def the_row(relation: str, *events: TypedEvent) -> Row:
    """The only row of a relation."""
    (row,) = rows_of(list(events))[relation].values()
    return row


STATES: list[tuple[str, list[TypedEvent], tuple[str, str, int]]] = [
    ("seen later", [enrollment(1), seen(2, "completed")], ("completed", "snapshot", 2)),
    ("seen earlier", [enrollment(3), seen(2, "completed")], ("active", "enrollment", 3)),
    ("seen at the same time", [enrollment(2), seen(2, "completed")], ("active", "enrollment", 2)),
    ("seen without event", [seen(2, "invited")], ("invited", "snapshot", 2)),
    ("seen twice", [seen(2, "invited"), seen(4, "active")], ("active", "snapshot", 4)),
    ("missed", [enrollment(1), missed(2)], ("deleted", "absent", 2)),
    ("missed without event", [missed(2)], ("deleted", "absent", 2)),
    ("missed, then enrolled again", [missed(2), enrollment(3)], ("active", "enrollment", 3)),
    ("missed, then seen", [missed(2), seen(3)], ("active", "snapshot", 3)),
    (
        "missed, then a state by dates",
        [enrollment(1), missed(2), enrollment_state(3, "active")],
        ("active", "dates", 3),
    ),
    (
        "seen after its dates: they still restrict it",
        [enrollment(1), enrollment_state(2, "completed"), seen(3, "active")],
        ("completed", "dates", 3),
    ),
    (
        "seen as removed after its dates",
        [enrollment(1), enrollment_state(2, "active"), seen(3, "deleted")],
        ("deleted", "snapshot", 3),
    ),
    (
        "seen in a course that was seen concluded",
        [enrollment(1), seen(2), seen_course(3, "completed")],
        ("completed", "course_completed", 3),
    ),
    (
        "a course that was concluded, and seen open again",
        [enrollment(1), course_event(2, "completed"), seen_course(3, "available")],
        ("active", "enrollment", 1),
    ),
    (
        "its section was missed",
        [enrollment(1), section(1), seen_section(3, "deleted")],
        ("deleted", "section_deleted", 3),
    ),
]


@pytest.mark.parametrize(
    ("events", "expected"), [case[1:] for case in STATES], ids=[case[0] for case in STATES]
)
def test_the_state_of_an_enrollment(
    events: list[TypedEvent], expected: tuple[str, str, int]
) -> None:
    row = the_row("enrollments", *events)
    state, reason, time = expected
    assert (row["state"], row["state_reason"], row["as_of"]) == (state, reason, at(time))


def test_fields_that_the_snapshot_does_not_state_are_those_of_the_event() -> None:
    told = enrollment(1, course_uuid="c", user_uuid="u", associated_user_id=OTHER_USER)
    row = the_row("enrollments", told, seen(2, updated_at=None))
    assert (row["user_name"], row["course_uuid"], row["user_uuid"]) == ("Isaac Newton", "c", "u")
    assert row["associated_user_id"] == OTHER_USER
    assert "updated_at" not in row, "stated as null"


def test_an_event_describes_its_own_user_and_course_only() -> None:
    told = enrollment(1, course_uuid="c", user_uuid="u")
    row = the_row("enrollments", told, seen(2, user_id=OTHER_USER, course_id=OTHER_COURSE))
    assert row["user_id"] == OTHER_USER
    assert not {"user_name", "user_uuid", "course_uuid"} & row.keys()
    row = the_row("enrollments", told, seen(2, user_id=OTHER_USER, user_name="Gauss"))
    assert (row["user_name"], row["course_uuid"]) == ("Gauss", "c")


def test_an_enrollment_moves_with_its_snapshot_and_with_that_of_its_section() -> None:
    for moving in (
        [seen(2, course_id=OTHER_COURSE, course_section_id=OTHER_SECTION)],
        [section(1), seen_section(2, course_id=OTHER_COURSE)],
    ):
        (key,) = rows_of([enrollment(1), *moving])["enrollments"]
        assert key == f"{OTHER_COURSE}/{ENROLLMENT}"


def test_a_row_shows_what_event_and_snapshot_said() -> None:
    row = the_row("sections", section(3), seen_section(2, "deleted"))
    assert (row["state"], row["state_reason"]) == ("active", "section")
    assert row["snapshot_at"] == at(2)
    assert row["history"] == {
        "event": {
            "event_time": at(3),
            "course_section_id": SECTION,
            "course_id": COURSE,
            "root_account_id": global_id(1),
            "name": "Monday",
            "workflow_state": "active",
        },
        "snapshot": {
            "event_time": at(2),
            "present": False,
            "course_section_id": SECTION,
            "course_id": COURSE,
            "workflow_state": "deleted",
        },
    }
    assert not {"snapshot_at", "history"} & the_row("sections", section(3)).keys()


def test_a_group_that_was_seen_takes_its_parked_memberships_in() -> None:
    rows = rows_of([membership(1), seen_group(2, group_name="Lenses")])
    (row,) = rows["memberships"].values()
    assert (row["state"], row["state_reason"]) == ("accepted", "membership")
    (row,) = rows["groups"].values()
    assert (row["group_name"], row["state_reason"]) == ("Lenses", "snapshot")


def test_missed_groups_and_memberships() -> None:
    rows = rows_of([group(1), membership(1), seen_group(2, "deleted")])
    (row,) = rows["memberships"].values()
    assert (row["state"], row["state_reason"]) == ("deleted", "group_deleted")
    (row,) = rows["groups"].values()
    assert (row["state"], row["state_reason"]) == ("deleted", "absent")
    row = the_row("memberships", group(1), membership(1), seen_membership(2, "deleted"))
    assert (row["state"], row["state_reason"]) == ("deleted", "absent")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([seen_user(2)], ("registered", "snapshot")),
        ([user_event(1, "pre_registered"), seen_user(2)], ("pre_registered", "snapshot")),
        ([user_event(1, "deleted"), seen_user(2)], ("registered", "snapshot")),
        ([user_event(3, "deleted"), seen_user(2)], ("deleted", "user")),
        ([seen_user(2, workflow_state="deleted")], ("deleted", "snapshot")),
        ([user_event(1, "deleted"), seen_user(2, workflow_state=None)], ("registered", "snapshot")),
    ],
)
def test_canvas_shows_no_states_of_users(
    events: list[TypedEvent], expected: tuple[str, str]
) -> None:
    row = the_row("users", *events)
    assert (row["state"], row["state_reason"]) == expected
    assert row["workflow_state"] == row["state"]


# --- negative controls


def random_history(seed: int) -> list[TypedEvent]:
    """Events and snapshots of few entities at few times."""
    dice = Random(seed)

    def one_of(*options: Any) -> Any:
        return dice.choice(options)

    def place() -> Row:
        return {
            "course_id": one_of(COURSE, OTHER_COURSE),
            "course_section_id": one_of(SECTION, OTHER_SECTION),
            "user_id": one_of(USER, USER, OTHER_USER),
        }

    makers: list[Callable[[int], TypedEvent]] = [
        lambda time: enrollment(
            time, one_of("active", "deleted"), user_uuid=one_of("u", None), **place()
        ),
        lambda time: seen(
            time, one_of("active", "completed"), user_name=one_of(..., "Gauss", None), **place()
        ),
        lambda time: missed(time, **place()),
        lambda time: seen_section(time, one_of("active", "deleted"), name=one_of(..., "Friday")),
        lambda time: section(time, one_of("active", "deleted")),
        lambda time: group(time),
        lambda time: seen_group(time, one_of("available", "deleted")),
        lambda time: membership(time, one_of("accepted", "deleted")),
        lambda time: seen_membership(time, one_of("accepted", "deleted")),
        lambda time: user_event(time, one_of("registered", "deleted")),
        lambda time: seen_user(time, short_name=one_of(..., None)),
        lambda time: enrollment_state(time, one_of("active", "completed")),
        lambda time: seen_course(time, one_of("available", "completed")),
    ]
    return [dice.choice(makers)(dice.randrange(6)) for _ in range(4 + dice.randrange(10))]


HISTORIES = 150
"""Number of histories; the same in every run."""


def wrong_rosters() -> int:
    """Number of random histories with wrong rosters."""
    wrong = 0
    for seed in range(HISTORIES):
        history = random_history(seed)
        cluster = Cluster()
        for update in history:
            cluster.send([update])
            if seed % 2:
                cluster.settle(_Dice(seed))
        cluster.settle(_Dice(seed))
        wrong += cluster.rosters() != reference.rosters(history)
    return wrong


def test_all_rules_together_give_right_rosters() -> None:
    assert wrong_rosters() == 0


def _last_to_arrive(known: Any, update: Any) -> Any:
    return Reconciled(known.event if isinstance(known, Reconciled) else known, update)


RULES: dict[str, list[tuple[Any, str, Any]]] = {
    "of equal times, the event counts": [(entities, "SNAPSHOT_RANK", 2)],
    "unstated fields are those of the event": [
        (entities, "_completed", lambda snapshot, _event: snapshot.register)
    ],
    "an event describes its own entities only": [(entities, "_DESCRIPTIONS", {})],
    "of snapshots, the latest counts, not the last to arrive": [
        (entities, "_with_snapshot", _last_to_arrive)
    ],
    "the reason tells snapshots": [(course, "reason", lambda _entity, own: own)],
    "a user who is seen is not deleted": [(user, "replace", lambda register, **_fields: register)],
}


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_rosters_are_wrong(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in RULES[rule]:
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, value)
    assert wrong_rosters() >= 3
