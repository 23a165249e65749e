"""Tests of the oracle with hand-written rows, and of the histories with the oracle."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.rosters.histories import HOME_SHARD, Choices, choices, deliveries, histories, show
from tests.rosters.reference import (
    RELATIONS,
    Event,
    Row,
    TypedEvent,
    Version,
    read_event,
    rosters,
    row_time,
)
from tests.rosters.scenarios import (
    ACCOUNT,
    COURSE,
    CROSS_LISTED,
    ENROLLMENT,
    GROUP,
    MEMBERSHIP,
    OTHER_COURSE,
    OTHER_GROUP,
    ROOT_ACCOUNT,
    SCENARIOS,
    USER,
    At,
    Scenario,
    at,
    course,
    enrollment,
    enrollment_state,
    event,
    global_id,
    group,
    membership,
    section,
    user,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_gives_the_expected_rosters_in_any_order(scenario: Scenario) -> None:
    if len(scenario.events) <= 5:
        orders = list(itertools.permutations(scenario.events))
    else:
        shuffle = random.Random(scenario.name)
        orders = [tuple(shuffle.sample(scenario.events, len(scenario.events))) for _ in range(200)]
    first = rosters(scenario.events, scenario.shard)
    for order in orders:
        actual = rosters(order, scenario.shard)
        assert scenario.differences(actual) == [], show(order)
        assert actual == first, show(order)
    assert rosters([*scenario.events, *scenario.events], scenario.shard) == first


def test_names_of_scenarios_are_unique() -> None:
    assert [
        name
        for name, times in Counter(scenario.name for scenario in SCENARIOS).items()
        if times > 1
    ] == []


def test_differences_of_a_scenario() -> None:
    wrong = Scenario(
        "wrong",
        (),
        {
            "courses": {
                "1": {"state": "a"},
                "2": {"state": "b", "name": "c", "uuid": ..., "as_of": "d"},
            },
            "sections": {},
        },
    )
    nothing: dict[str, dict[str, Row]] = {relation: {} for relation in RELATIONS}
    assert wrong.differences(
        nothing | {"courses": {"2": {"state": "B", "name": "c", "uuid": "u"}, "3": {}}}
    ) == [
        "courses 1: no row",
        "courses 2: state is 'B', should be 'b'",
        "courses 2: uuid is 'u', should be Ellipsis",
        "courses 2: as_of is Ellipsis, should be 'd'",
        "courses 3: unexpected row: {}",
    ]


# Rows


def test_no_events_no_rows() -> None:
    assert rosters([]) == {
        "courses": {},
        "sections": {},
        "enrollments": {},
        "groups": {},
        "memberships": {},
        "users": {},
    }


def test_whole_rows() -> None:
    events = [
        event(
            "course_updated",
            "2019-11-01T19:11:00.802999Z",
            {
                "course_id": 100,
                "uuid": "",
                "account_id": "7",
                "name": "Optics",
                "created_at": "2018-10-09 05:38:00 -0800",
                "updated_at": "2019-11-01T12:11:00-07:00",
                "workflow_state": "available",
                "account_uuid": None,
                "course_code": "not in the schema",
            },
        ),
        event(
            "course_section_created",
            "2019-11-01T12:11:01-07:00",
            {
                "course_section_id": "11",
                "course_id": 100,
                "root_account_id": "1",
                "name": "Monday",
                "workflow_state": "active",
                "nonxlist_course_id": None,
                "enrollment_term_id": 3,
                "sis_source_id": "007",
                "integration_id": 8,
                "sis_batch_id": None,
                "default_section": False,
                "start_at": "2019-11-01T12:11:01-07:00",
                "stuck_sis_fields": [],
                "state": "not in the schema",
                "as_of": "not in the schema",
            },
        ),
        event(
            "enrollment_created",
            "2019-11-01 19:11:02.5 UTC",
            {
                "enrollment_id": 21070000000000021,
                "course_id": "100",
                "course_section_id": 11.0,
                "user_id": global_id(51, 9),
                "user_name": "Isaac Newton",
                "type": "ObserverEnrollment",
                "workflow_state": "invited",
                "limit_privileges_to_course_section": True,
                "created_at": "2019-11-01T12:11:02-07:00",
                "updated_at": "2019-11-01T19:11:02Z",
                "associated_user_id": "52",
                "course_uuid": "c",
                "user_uuid": None,
                "role_id": "9",
            },
        ),
        event(
            "group_created",
            3,
            {
                "group_id": "31",
                "group_name": "Prisms",
                "uuid": "g",
                "context_type": "Account",
                "context_id": "7",
                "account_id": 7,
                "workflow_state": "available",
                "group_category_id": 61,
                "group_category_name": None,
                "max_membership": 0,
            },
        ),
        event(
            "group_membership_created",
            4,
            {
                "group_membership_id": 41,
                "group_id": 31,
                "user_id": "51",
                "group_name": "Prisms",
                "workflow_state": "accepted",
                "group_category_name": "",
                "context_type": "not in the schema",
                "course_id": "not in the schema",
            },
        ),
        event(
            "user_created",
            5,
            {
                "user_id": "51",
                "uuid": "u",
                "name": "Isaac Newton",
                "short_name": "",
                "workflow_state": "pre_registered",
                "created_at": "2019-11-01T12:05:00-07:00",
                "updated_at": "2019-11-01T19:05:00Z",
                "user_login": None,
                "user_sis_id": 7,
                "pronouns": "not in the schema",
            },
        ),
    ]
    assert rosters(events) == {
        "courses": {
            "21070000000000100": {
                "course_id": "21070000000000100",
                "uuid": "",
                "account_id": "21070000000000007",
                "name": "Optics",
                "created_at": "2018-10-09 05:38:00 -0800",
                "updated_at": "2019-11-01T12:11:00-07:00",
                "workflow_state": "available",
                "state": "available",
                "state_reason": "course",
                "as_of": "2019-11-01T19:11:00.802Z",
            }
        },
        "sections": {
            "21070000000000100/21070000000000011": {
                "course_section_id": "21070000000000011",
                "course_id": "21070000000000100",
                "root_account_id": "21070000000000001",
                "name": "Monday",
                "workflow_state": "active",
                "enrollment_term_id": "21070000000000003",
                "sis_source_id": "007",
                "integration_id": 8,
                "default_section": False,
                "start_at": "2019-11-01T12:11:01-07:00",
                "stuck_sis_fields": [],
                "state": "active",
                "state_reason": "section",
                "as_of": "2019-11-01T19:11:01.000Z",
            }
        },
        "enrollments": {
            "21070000000000100/21070000000000021": {
                "enrollment_id": "21070000000000021",
                "course_id": "21070000000000100",
                "course_section_id": "21070000000000011",
                "user_id": "90000000000051",
                "user_name": "Isaac Newton",
                "type": "ObserverEnrollment",
                "workflow_state": "invited",
                "limit_privileges_to_course_section": True,
                "created_at": "2019-11-01T12:11:02-07:00",
                "updated_at": "2019-11-01T19:11:02Z",
                "associated_user_id": "21070000000000052",
                "course_uuid": "c",
                "state": "invited",
                "state_reason": "enrollment",
                "as_of": "2019-11-01T19:11:02.500Z",
            }
        },
        "groups": {
            "account:21070000000000007/21070000000000031": {
                "group_id": "21070000000000031",
                "group_name": "Prisms",
                "uuid": "g",
                "context_type": "Account",
                "context_id": "21070000000000007",
                "account_id": "21070000000000007",
                "workflow_state": "available",
                "group_category_id": "21070000000000061",
                "max_membership": 0,
                "state": "available",
                "state_reason": "group",
                "as_of": "2019-11-01T19:03:00.000Z",
            }
        },
        "memberships": {
            "account:21070000000000007/21070000000000041": {
                "group_membership_id": "21070000000000041",
                "group_id": "21070000000000031",
                "user_id": "21070000000000051",
                "group_name": "Prisms",
                "workflow_state": "accepted",
                "group_category_name": "",
                "context_type": "Account",
                "context_id": "21070000000000007",
                "state": "accepted",
                "state_reason": "membership",
                "as_of": "2019-11-01T19:04:00.000Z",
            }
        },
        "users": {
            "21070000000000051": {
                "user_id": "21070000000000051",
                "uuid": "u",
                "name": "Isaac Newton",
                "short_name": "",
                "workflow_state": "pre_registered",
                "created_at": "2019-11-01T12:05:00-07:00",
                "updated_at": "2019-11-01T19:05:00Z",
                "user_sis_id": 7,
                "state": "pre_registered",
                "state_reason": "user",
                "as_of": "2019-11-01T19:05:00.000Z",
            }
        },
    }


def test_a_row_has_the_fields_of_one_event_only() -> None:
    rows = rosters(
        [
            enrollment(1, associated_user_id="52", course_uuid="c"),
            enrollment(2, associated_user_id=None),
        ]
    )["enrollments"]
    assert [
        key for row in rows.values() for key in row if key in ("associated_user_id", "course_uuid")
    ] == []


@pytest.mark.parametrize(
    ("root_account_id", "shard", "course_id"),
    [
        (ROOT_ACCOUNT, None, COURSE),
        (int(ROOT_ACCOUNT), None, COURSE),
        (ROOT_ACCOUNT, 9, COURSE),
        (..., 2107, COURSE),
        (None, 2107, COURSE),
        ("1", 2107, COURSE),
        (global_id(1, 9), 2107, global_id(100, 9)),
        (..., None, "100"),
        ("1", None, "100"),
    ],
)
def test_the_shard_of_local_ids(root_account_id: object, shard: int | None, course_id: str) -> None:
    body = orjson.loads(course(1).value)["body"] | {"course_id": "100"}
    assert set(
        rosters([event("course_updated", 1, body, root_account_id=root_account_id)], shard)[
            "courses"
        ]
    ) == {course_id}


def test_attributes_replace_missing_metadata() -> None:
    whole = orjson.loads(course(1, "completed").value)
    self_hosted = TypedEvent(
        "course_updated",
        orjson.dumps({"attributes": whole["metadata"], "body": whole["body"], "iss": "canvas"}),
    )
    assert rosters([self_hosted]) == rosters([course(1, "completed")])
    both = TypedEvent(
        "course_updated",
        orjson.dumps(whole | {"attributes": {"event_name": "course_updated", "event_time": at(9)}}),
    )
    assert rosters([both]) == rosters([course(1, "completed")])


# Versions


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (
            course("2019-11-01T19:11:00.000001Z", kind="created"),
            course("2019-11-01T19:11:00Z", updated_at=at(59)),
        ),
        (course("2019-11-01T19:11:00-01:00"), course("2019-11-01T20:10:59.999999Z")),
        (
            course("2300-02-28T23:59:59.000002Z", kind="created"),
            course("2300-02-28T23:59:59.000001Z"),
        ),
        (course("1970-01-01T00:00:00Z", kind="created"), course("1969-12-31T23:59:59.999999Z")),
        (
            course("2019-11-01T19:11:00.1234561Z"),
            course("2019-11-01T19:11:00.123456999Z", kind="created"),
        ),
        (
            course(1, updated_at="2019-11-01T19:11:00.000001Z"),
            course(1, updated_at="2019-11-01 12:11:00 -0700"),
        ),
        # the schema accepts a year before 1 in UTC, but it is no time
        (
            course(1, updated_at="0001-01-01T00:00:00Z"),
            course(1, updated_at="0001-01-01T00:00:00+01:00"),
        ),
        # updated_at counts even if the schema lacks it; other values than times do not count
        (group(1, updated_at="1969-12-31T23:59:59Z"), group(1)),
        (group(1, updated_at="1969-12-31T23:59:59Z"), group(1, updated_at=1_600_000_000)),
        (group(1, updated_at="1969-12-31T23:59:59Z"), group(1, updated_at="yesterday")),
        (group(1, updated_at="1969-12-31T23:59:59Z"), group(1, updated_at=None)),
    ],
)
def test_the_later_of_two(later: TypedEvent, earlier: TypedEvent) -> None:
    assert rosters([later, earlier]) == rosters([earlier, later]) == rosters([later])
    late, early = (read_event(*each, None) for each in (later, earlier))
    assert late is not None
    assert early is not None
    assert late.version[:-1] > early.version[:-1], "decided without the ce_id"


def test_the_greater_ce_id_is_later_if_all_else_is_equal() -> None:
    events = [enrollment(1, user_name=name) for name in "abcdefgh"]

    def ce_id(value: bytes) -> str:
        return hashlib.sha256(
            json.dumps(json.loads(value), sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()[:32]

    greatest = max(events, key=lambda each: ce_id(each.value))
    assert rosters(events) == rosters([greatest])


def test_registers_are_independent() -> None:
    """Different entities with the same id."""
    one = global_id(1)
    rows = rosters(
        [
            course(1, course_id=one),
            section(2, course_section_id=1, course_id=1),
            enrollment(3, enrollment_id=1, course_id=1, course_section_id=1),
            enrollment_state(4, "inactive", enrollment_id=1),
            group(5, group_id=1, context_id=1),
            membership(6, group_membership_id=1, group_id=1),
            user(7, user_id=1),
        ]
    )
    assert {
        (relation, key): (row["state"], row["as_of"])
        for relation in RELATIONS
        for key, row in rows[relation].items()
    } == {
        ("courses", one): ("available", at(1)),
        ("sections", f"{one}/{one}"): ("active", at(2)),
        ("enrollments", f"{one}/{one}"): ("inactive", at(4)),
        ("groups", f"{one}/{one}"): ("available", at(5)),
        ("memberships", f"{one}/{one}"): ("accepted", at(6)),
        ("users", one): ("registered", at(7)),
    }


# States of enrollments

STATES = [
    "active",
    "invited",
    "creation_pending",
    "inactive",
    "completed",
    "rejected",
    "deleted",
    "pending_invited",
    "pending_active",
    "hibernating",
]
WORKFLOW_STATES = [
    "active",
    "invited",
    "creation_pending",
    "inactive",
    "completed",
    "rejected",
    "deleted",
    "hibernating",
]

# Of each workflow_state, under each state by the dates: which of the two is the state.
OLDER, EQUAL, NEWER = 1, 2, 3
BY_DATES = {
    #                              active
    #                                invited
    #                                  creation_pending
    #                                    inactive
    #                                      completed
    #                                        rejected
    #                                          deleted
    #                                            pending_invited
    #                                              pending_active
    #                                                hibernating
    (OLDER, "active"): "           w w w w s w w w s w",
    (OLDER, "invited"): "          w w w w s w w s w w",
    (OLDER, "creation_pending"): " w w w w w w w w w w",
    (OLDER, "inactive"): "         w w w w w w w w w w",
    (OLDER, "completed"): "        w w w w w w w w w w",
    (OLDER, "rejected"): "         w w w w w w w w w w",
    (OLDER, "deleted"): "          w w w w w w w w w w",
    (OLDER, "hibernating"): "      w w w w w w w w w w",
    (EQUAL, "active"): "           s s s s s s s s s s",
    (EQUAL, "invited"): "          s s s s s s s s s s",
    (EQUAL, "creation_pending"): " s s s s s s s s s s",
    (EQUAL, "inactive"): "         s s s s s s s s s s",
    (EQUAL, "completed"): "        s s s s s s s s s s",
    (EQUAL, "rejected"): "         w w w w w w w w w w",
    (EQUAL, "deleted"): "          w w w w w w w w w w",
    (EQUAL, "hibernating"): "      s s s s s s s s s s",
    (NEWER, "active"): "           s s s s s s s s s s",
    (NEWER, "invited"): "          s s s s s s s s s s",
    (NEWER, "creation_pending"): " s s s s s s s s s s",
    (NEWER, "inactive"): "         s s s s s s s s s s",
    (NEWER, "completed"): "        s s s s s s s s s s",
    (NEWER, "rejected"): "         s s s s s s s s s s",
    (NEWER, "deleted"): "          s s s s s s s s s s",
    (NEWER, "hibernating"): "      s s s s s s s s s s",
}


def the_enrollment(*events: TypedEvent) -> Row:
    """The row of the only enrollment of a history."""
    (row,) = rosters(events)["enrollments"].values()
    return row


def state_of(row: Row) -> tuple[str, str, str]:
    """A row's state, reason and time."""
    return row["state"], row["state_reason"], row["as_of"]


@pytest.mark.parametrize(("time", "own"), BY_DATES)
def test_the_state_of_an_enrollment_by_its_own_and_its_dates(time: int, own: str) -> None:
    for state, which in zip(STATES, BY_DATES[time, own].split(), strict=True):
        expected = (
            (own, "enrollment", at(EQUAL))
            if which == "w"
            else (state, "dates", at(max(EQUAL, time)))
        )
        row = the_enrollment(enrollment(EQUAL, own), enrollment_state(time, state))
        assert state_of(row) == expected, state
        assert row["workflow_state"] == own


def test_the_table_of_states_is_complete() -> None:
    assert set(BY_DATES) == {
        (time, own) for time in (OLDER, EQUAL, NEWER) for own in WORKFLOW_STATES
    }


def test_the_microsecond_decides_between_an_enrollment_and_its_dates() -> None:
    removed = enrollment("2019-11-01T19:11:00.000001Z", "deleted")
    assert (
        the_enrollment(removed, enrollment_state("2019-11-01T19:11:00.000001999Z", "active"))[
            "state"
        ]
        == "deleted"
    )
    assert (
        the_enrollment(removed, enrollment_state("2019-11-01T19:11:00.000002Z", "active"))["state"]
        == "active"
    )
    concluded = enrollment("2019-11-01T19:11:00.000001Z", "inactive")
    assert (
        the_enrollment(concluded, enrollment_state("2019-11-01T19:11:00.000001Z", "active"))[
            "state"
        ]
        == "active"
    )
    assert (
        the_enrollment(concluded, enrollment_state("2019-11-01T19:11:00.000000999Z", "active"))[
            "state"
        ]
        == "inactive"
    )


@pytest.mark.parametrize("own", WORKFLOW_STATES)
def test_without_dates_the_own_state_applies(own: str) -> None:
    assert state_of(the_enrollment(enrollment(2, own))) == (own, "enrollment", at(2))


# Of each state of the section and the course, none: unknown; under each state that an enrollment
# has by itself: what becomes of it. -: it stands, S: deleted with its section, D: deleted with its
# course, C: completed with its course
BY_PARENTS = {
    #                                 active
    #                                   invited
    #                                     creation_pending
    #                                       inactive
    #                                         completed
    #                                           rejected
    #                                             deleted
    #                                               pending_invited
    #                                                 pending_active
    #                                                   hibernating
    ("none", "none"): "               - - - - - - - - - -",
    ("none", "available"): "          - - - - - - - - - -",
    ("none", "claimed"): "            - - - - - - - - - -",
    ("none", "completed"): "          C C C - - - - C C -",
    ("none", "deleted"): "            D D D D D D D D D D",
    ("none", "hibernating"): "        - - - - - - - - - -",
    ("active", "none"): "             - - - - - - - - - -",
    ("active", "created"): "          - - - - - - - - - -",
    ("active", "completed"): "        C C C - - - - C C -",
    ("active", "deleted"): "          D D D D D D D D D D",
    ("hibernating", "completed"): "   C C C - - - - C C -",
    ("deleted", "none"): "            S S S S S S S S S S",
    ("deleted", "available"): "       S S S S S S S S S S",
    ("deleted", "completed"): "       S S S S S S S S S S",
    ("deleted", "deleted"): "         S S S S S S S S S S",
}
PARENT_STATES = {
    "S": ("deleted", "section_deleted"),
    "D": ("deleted", "course_deleted"),
    "C": ("completed", "course_completed"),
}


@pytest.mark.parametrize("parents_at", [1, 3, 6], ids=["first", "between", "last"])
@pytest.mark.parametrize(("section_state", "course_state"), BY_PARENTS)
def test_the_state_of_an_enrollment_by_its_section_and_its_course(
    section_state: str, course_state: str, parents_at: int
) -> None:
    parents = [section(parents_at, section_state)] if section_state != "none" else []
    parents += [course(parents_at, course_state)] if course_state != "none" else []
    for state, fate in zip(STATES, BY_PARENTS[section_state, course_state].split(), strict=True):
        # later dates may give any state, even to a deleted enrollment
        for own in ("active", "deleted"):
            expected = (
                (state, "dates", at(4))
                if fate == "-"
                else (*PARENT_STATES[fate], at(max(2, parents_at)))
            )
            assert (
                state_of(the_enrollment(enrollment(2, own), enrollment_state(4, state), *parents))
                == expected
            ), (own, state)
        # the own state gives the same, except for final states
        if state in ("rejected", "deleted"):
            assert state_of(the_enrollment(enrollment(2, state), *parents)) == (
                state,
                "enrollment",
                at(2),
            )
        elif state in WORKFLOW_STATES:
            expected = (
                (state, "enrollment", at(2))
                if fate == "-"
                else (*PARENT_STATES[fate], at(max(2, parents_at)))
            )
            assert state_of(the_enrollment(enrollment(2, state), *parents)) == expected, state


# Where an enrollment is, and as of when


@pytest.mark.parametrize(
    ("section_at", "course_id", "as_of"),
    [
        (1, COURSE, 2),
        ("2019-11-01T19:01:59.999999Z", COURSE, 2),
        ("2019-11-01T19:02:00.000000999Z", OTHER_COURSE, 2),
        (3, OTHER_COURSE, 3),
    ],
)
def test_a_section_moves_enrollments_without_newer_events(
    section_at: At, course_id: str, as_of: int
) -> None:
    rows = rosters([enrollment(2), section(section_at, **CROSS_LISTED)])["enrollments"]
    assert {key: (row["course_id"], row["as_of"]) for key, row in rows.items()} == {
        f"{course_id}/{ENROLLMENT}": (course_id, at(as_of))
    }


@pytest.mark.parametrize(
    ("events", "as_of"),
    [
        pytest.param(
            [enrollment(5), section(9)],
            5,
            id="a section in the enrollment's own course shapes nothing",
        ),
        pytest.param(
            [enrollment(5), section(9, course_id=int(COURSE))],
            5,
            id="its own course in another format",
        ),
        pytest.param([enrollment(5), section(9, **CROSS_LISTED)], 9, id="a section that moves it"),
        pytest.param(
            [enrollment(5, "deleted"), section(9, **CROSS_LISTED)],
            9,
            id="a section that moves a deleted enrollment",
        ),
        pytest.param([enrollment(5), course(9)], 5, id="a course that is open"),
        pytest.param([enrollment(5), course(9, "completed")], 9, id="a course that ends it"),
        pytest.param([enrollment(5), course(3, "completed")], 5, id="a course that had ended"),
        pytest.param(
            [enrollment(5, "inactive"), course(9, "completed")], 5, id="a course that ends nothing"
        ),
        pytest.param([enrollment(5), enrollment_state(7, "active")], 7, id="dates that confirm it"),
        pytest.param([enrollment(5), enrollment_state(3, "completed")], 5, id="older dates"),
        pytest.param(
            [enrollment(5), enrollment_state(7, "active"), course(6, "completed")],
            6,
            id="dates that the course overrules",
        ),
        pytest.param(
            [enrollment(5), enrollment_state(7, "active"), section(6, "deleted")],
            6,
            id="dates that the section overrules",
        ),
        pytest.param(
            [enrollment(5), section(3, "deleted")], 5, id="a section that was deleted before"
        ),
        pytest.param(
            [enrollment(5), section(8, **CROSS_LISTED), enrollment_state(7, "completed")],
            8,
            id="the section's course and the dates' state",
        ),
        pytest.param(
            [enrollment(5), section(6, **CROSS_LISTED), enrollment_state(7, "completed")],
            7,
            id="the section's course and later dates",
        ),
        pytest.param(
            [enrollment(5), section(6, **CROSS_LISTED), course(9, "deleted")],
            6,
            id="the course that it left",
        ),
        pytest.param(
            [
                enrollment(5),
                section(6, **CROSS_LISTED),
                course(9, "deleted", course_id=OTHER_COURSE),
            ],
            9,
            id="the course that it moved to",
        ),
    ],
)
def test_as_of_of_an_enrollment_is_the_time_of_its_latest_source(
    events: list[TypedEvent], as_of: int
) -> None:
    assert the_enrollment(*events)["as_of"] == at(as_of)


@pytest.mark.parametrize(
    ("events", "of_the_group", "of_the_membership"),
    [
        (
            [group(5), membership(6)],
            ("available", "group", at(5)),
            ("accepted", "membership", at(6)),
        ),
        (
            [group(7), membership(6)],
            ("available", "group", at(7)),
            ("accepted", "membership", at(6)),
        ),
        (
            [group(7, "deleted"), membership(6)],
            ("deleted", "group", at(7)),
            ("deleted", "group_deleted", at(7)),
        ),
        (
            [group(5, "deleted"), membership(6)],
            ("deleted", "group", at(5)),
            ("deleted", "group_deleted", at(6)),
        ),
        (
            [group(5, "deleted"), membership(6, "deleted")],
            ("deleted", "group", at(5)),
            ("deleted", "group_deleted", at(6)),
        ),
        (
            [group(5), membership(6, "rejected"), course(9, "completed")],
            ("available", "group", at(5)),
            ("rejected", "membership", at(6)),
        ),
        (
            [group(5), membership(6), course(9, "deleted")],
            ("deleted", "course_deleted", at(9)),
            ("deleted", "course_deleted", at(9)),
        ),
        (
            [group(7, "deleted"), membership(6), course(4, "deleted")],
            ("deleted", "course_deleted", at(7)),
            ("deleted", "course_deleted", at(6)),
        ),
    ],
)
def test_the_states_of_groups_and_memberships(
    events: list[TypedEvent],
    of_the_group: tuple[str, str, str],
    of_the_membership: tuple[str, str, str],
) -> None:
    rows = rosters(events)
    assert state_of(rows["groups"][f"{COURSE}/{GROUP}"]) == of_the_group
    assert state_of(rows["memberships"][f"{COURSE}/{MEMBERSHIP}"]) == of_the_membership


def test_a_membership_of_two_groups_in_one_context_has_that_of_its_later_event() -> None:
    moved = membership(3, group_id=OTHER_GROUP)
    for context in ({}, {"context_type": "Account", "context_id": ACCOUNT}):
        (row,) = rosters(
            [group(1, **context), group(2, group_id=OTHER_GROUP, **context), membership(2), moved]
        )["memberships"].values()
        assert (row["group_id"], row["as_of"]) == (OTHER_GROUP, at(3))
    # the other group has no effect any more
    (row,) = rosters([group(9, "deleted"), group(2, group_id=OTHER_GROUP), membership(2), moved])[
        "memberships"
    ].values()
    assert state_of(row) == ("accepted", "membership", at(3))
    # a course and an account with the same id are different contexts
    account = {"context_type": "Account", "context_id": COURSE}
    assert set(
        rosters([group(1), group(2, group_id=OTHER_GROUP, **account), membership(2), moved])[
            "memberships"
        ]
    ) == {
        f"{COURSE}/{MEMBERSHIP}",
        f"account:{COURSE}/{MEMBERSHIP}",
    }


@pytest.mark.parametrize(
    ("microseconds", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.000Z"),
        (1_999, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_572_635_460_802_999, "2019-11-01T19:11:00.802Z"),
    ],
)
def test_times_are_cut_to_milliseconds(microseconds: int, written: str) -> None:
    assert row_time(microseconds) == written


# Events that rosters do not use


@pytest.mark.parametrize("context_type", ["User", "course", "ACCOUNT", "Group"])
def test_groups_of_other_contexts_are_not_used(context_type: str) -> None:
    assert rosters([group(1, context_type=context_type), membership(2)]) == rosters([])
    assert rosters(
        [group(1), group(9, "deleted", context_type=context_type), membership(2)]
    ) == rosters([group(1), membership(2)])


def test_events_with_invalid_ids_are_not_used() -> None:
    broken = TypedEvent(
        "enrollment_updated",
        enrollment(9).value.replace(
            f'"course_id":"{COURSE}"'.encode(), b'"course_id":2.1070000000000100e16'
        ),
    )
    assert b"e16" in broken.value
    assert rosters([enrollment(1), broken]) == rosters([enrollment(1)])


def test_events_of_other_families_are_not_used() -> None:
    body = {
        "user_id": USER,
        "account_id": ACCOUNT,
        "account_uuid": "a",
        "created_at": at(1),
        "updated_at": at(1),
        "is_admin": False,
    }
    category = {
        "group_category_id": "61",
        "group_category_name": "",
        "context_id": "100",
        "context_type": "Course",
    }
    assert rosters(
        [
            event("user_account_association_created", 1, body),
            event("group_category_updated", 1, category),
        ]
    ) == rosters([])


@pytest.mark.parametrize(
    "wrong",
    [
        ("course_created", course(1).value),
        ("course_updated", b"{}"),
        ("x", b""),
        ("course_updated", course("tomorrow").value),
    ],
)
def test_records_that_are_no_typed_events_are_refused(wrong: tuple[str, bytes]) -> None:
    with pytest.raises(ValueError, match="no typed event"):
        rosters([wrong])


# Histories


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(histories(), st.data(), st.sampled_from([None, HOME_SHARD]))
def test_any_delivery_of_a_history_gives_the_same_rosters(
    history: tuple[TypedEvent, ...], data: st.DataObject, shard: int | None
) -> None:
    delivery = data.draw(deliveries(history))
    assert len(delivery) >= len(history)
    ids = [
        {read and read.version.ce_id for read in (read_event(*each, shard) for each in events)}
        for events in (history, delivery)
    ]
    assert ids[0] == ids[1], "the same events, and no others"
    assert rosters(delivery, shard) == rosters(history, shard), show(delivery)
    assert len(show(history).splitlines()) == len(history)


@settings(max_examples=50, deadline=None)
@given(choices(8))
def test_choices_never_end(stream: Choices) -> None:
    taken = [stream.below(5) for _ in range(20)]
    assert all(0 <= choice < 5 for choice in taken)
    assert taken[:12] == taken[8:]
    assert Choices(bytes(4)).often(per_cent=99) is False
    assert Choices(b"\xff" * 4).often(per_cent=50) is True


@pytest.mark.hypothesis
def test_histories_are_dense() -> None:
    """A few hundred of them have every reason, every kind of move and every tie."""
    met: Counter[Any] = Counter()
    sizes = []

    def by_version(each: Event) -> Version:
        return each.version

    unhurried = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(
        max_examples=examples(500, part=2),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=unhurried,
    )
    @given(histories())
    def look(history: tuple[TypedEvent, ...]) -> None:
        sizes.append(len(history))
        read = [found for each in history if (found := read_event(*each, HOME_SHARD))]
        met["unusable"] += len(history) - len(read)
        rows = rosters(history, HOME_SHARD)
        for relation in RELATIONS:
            for row in rows[relation].values():
                met[relation, row["state_reason"]] += 1
        own_course = {
            each.fields["enrollment_id"]: each.fields["course_id"]
            for each in sorted(read, key=by_version)
            if each.family == "enrollment"
        }
        met["moved by the section"] += sum(
            row["course_id"] != own_course[row["enrollment_id"]]
            for row in rows["enrollments"].values()
        )
        groups = {found.fields["group_id"] for found in read if found.family == "group"}
        enrollments = {
            found.fields["enrollment_id"] for found in read if found.family == "enrollment"
        }
        met["parked membership"] += any(
            found.family == "group_membership" and found.fields["group_id"] not in groups
            for found in read
        )
        met["parked state"] += any(
            found.family == "enrollment_state" and found.fields["enrollment_id"] not in enrollments
            for found in read
        )
        met["two contexts"] += len(rows["memberships"]) > len(
            {row["group_membership_id"] for row in rows["memberships"].values()}
        )
        met["account"] += any(key.startswith("account:") for key in rows["memberships"])
        met["another shard"] += any(
            not key.startswith(str(HOME_SHARD))
            for relation in ("courses", "sections", "enrollments")
            for key in rows[relation]
        )
        met["depends on the shard"] += rosters(history, None) != rows
        for family in ("course", "enrollment"):
            for one, other in itertools.combinations(
                [each for each in read if each.family == family], 2
            ):
                if (one.fields[f"{family}_id"], one.time) == (
                    other.fields[f"{family}_id"],
                    other.time,
                ):
                    met[
                        "tie decided by",
                        *[
                            part
                            for part in one.version._fields
                            if getattr(one.version, part) != getattr(other.version, part)
                        ][:1],
                    ] += 1

    look()
    reasons = [
        ("courses", "course"),
        ("sections", "section"),
        ("groups", "group"),
        ("groups", "course_deleted"),
        ("users", "user"),
    ]
    reasons += [
        ("enrollments", reason)
        for reason in (
            "enrollment",
            "dates",
            "section_deleted",
            "course_deleted",
            "course_completed",
        )
    ]
    reasons += [
        ("memberships", reason) for reason in ("membership", "group_deleted", "course_deleted")
    ]
    reasons += [(relation, "snapshot") for relation in RELATIONS]
    reasons += [
        (relation, "absent") for relation in ("sections", "enrollments", "groups", "memberships")
    ]
    situations = [
        "unusable",
        "moved by the section",
        "parked membership",
        "parked state",
        "two contexts",
        "account",
        "another shard",
    ]
    situations += ["depends on the shard"]
    ties = [("tie decided by", part) for part in ("rank", "updated_at", "ce_id")]
    assert [each for each in (*reasons, *situations, *ties) if met[each] < 1] == [], met
    assert sum(sizes) / len(sizes) > 20
    assert max(sizes) <= 120
