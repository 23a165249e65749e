"""A simulated institution, asked through Canvas's own client library: every object is what the
truth says.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import arrow
import pytest
from canvasapi import Canvas, canvas_object
from canvasapi.exceptions import InvalidAccessToken, ResourceDoesNotExist

from rollcall.events.ids import SHARD_SIZE
from rollcall.events.times import parse_time
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.serve.tokens import add_token
from tests.serve.served import SHARD, Served, serving

STATES = ["active", "invited", "creation_pending", "deleted", "rejected", "completed", "inactive"]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SimulationPlan(courses=6, steps=1_250, seed=7), id="small"),
        pytest.param(
            SimulationPlan(courses=12, steps=2_500, seed=7), id="large", marks=pytest.mark.slow
        ),
    ],
)
def rosters(request: pytest.FixtureRequest) -> Rosters:
    """Of an institution in which everything has happened."""
    simulation = Simulation(request.param)
    for _ in simulation.events():
        pass
    return simulation.truth()


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file with a token, and the token."""
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    return path, add_token(path, "test")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, rosters: Rosters, token_file: tuple[Path, str]
) -> Iterator[Served]:
    """The institution, served."""
    with serving(tmp_path_factory.mktemp("serve"), rosters, tokens_file=token_file[0]) as served:
        yield served


@pytest.fixture(scope="module", autouse=True)
def remembered_dates() -> Iterator[None]:
    """Have the client remember which texts are dates: of each value of each answer it asks arrow,
    which takes 6/7 of the time of these tests.
    """

    @cache
    def read(text: str) -> arrow.Arrow | ValueError:
        try:
            return arrow.get(text)
        except ValueError as error:  # a ParserError is one
            return error

    def get(text: str) -> arrow.Arrow:
        found = read(text)
        if isinstance(found, ValueError):
            raise found
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            canvas_object, "arrow", SimpleNamespace(get=get, ParserError=arrow.ParserError)
        )
        yield


@pytest.fixture(scope="module")
def canvas(served: Served, token_file: tuple[Path, str]) -> Canvas:
    """The client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not https
        return Canvas(served.url, token_file[1])


def local_id(identity: str | None) -> int | None:
    """An id as answers show it."""
    if identity is None:
        return None
    number = int(identity)
    return number % SHARD_SIZE if number // SHARD_SIZE == SHARD else number


def time_of(text: str | None) -> str | None:
    """A time as answers show it."""
    instant = parse_time(text)
    return None if instant is None else instant.rfc3339[:19] + "Z"


def in_canvas(row: dict[str, Any]) -> str:
    """The workflow_state that Canvas has for an enrollment."""
    state, written = row["state"], row["workflow_state"]
    if row["state_reason"] == "dates":
        if state == "completed" and written in ("active", "invited"):
            return str(written)
        return {"pending_active": "active", "pending_invited": "invited"}.get(state, str(state))
    return str(state)


def expected_enrollment(row: dict[str, Any], rosters: Rosters) -> dict[str, Any]:
    """What an answer must have, as far as it does not depend on the user."""
    section = rosters["sections"].get(f"{row['course_id']}/{row['course_section_id']}", {})
    return {
        "id": local_id(row["enrollment_id"]),
        "course_id": local_id(row["course_id"]),
        "course_section_id": local_id(row["course_section_id"]),
        "user_id": local_id(row["user_id"]),
        "type": row["type"],
        "role": row["type"],
        "enrollment_state": in_canvas(row),
        "associated_user_id": local_id(row.get("associated_user_id")),
        "limit_privileges_to_course_section": row.get("limit_privileges_to_course_section"),
        "created_at": time_of(row.get("created_at")),
        "updated_at": time_of(row.get("updated_at")),
        "root_account_id": local_id(section.get("root_account_id")),
        "sis_section_id": section.get("sis_source_id"),
        "rollcall_state": row["state"],
        "rollcall_state_reason": row["state_reason"],
        "rollcall_as_of": row["as_of"],
    }


def expected_user(identity: str, name: str | None, rosters: Rosters) -> dict[str, Any]:
    """What an answer must have of a user."""
    row = rosters["users"].get(identity)
    if row is None:
        return {
            "id": local_id(identity),
            "name": name,
            "short_name": name,
            "login_id": None,
            "sis_user_id": None,
        }
    return {
        "id": local_id(identity),
        "name": row["name"],
        "short_name": row["short_name"],
        "login_id": row.get("user_login"),
        "sis_user_id": row.get("user_sis_id"),
        "created_at": time_of(row["created_at"]),
    }


def attributes(found: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """Those attributes of an object that are wanted."""
    has = found if isinstance(found, dict) else vars(found)
    return {name: has.get(name) for name in wanted}


def of_course(rosters: Rosters, relation: str, course: str) -> list[dict[str, Any]]:
    """The rows of a course."""
    return [row for key, row in rosters[relation].items() if key.partition("/")[0] == course]


def in_order(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Rows by an id."""
    return sorted(rows, key=lambda row: int(row[name]))


def test_courses(canvas: Canvas, rosters: Rosters) -> None:
    """Each has the truth's fields; a deleted one is not found, as in Canvas, unless all are asked
    for.
    """
    assert {row["state"] for row in rosters["courses"].values()} >= {
        "available",
        "completed",
        "deleted",
    }
    for identity, row in rosters["courses"].items():
        if row["state"] == "deleted":
            with pytest.raises(ResourceDoesNotExist):
                canvas.get_course(local_id(identity))
        course = canvas.get_course(local_id(identity), include=["all_courses"])
        state = {"created": "unpublished", "claimed": "unpublished"}.get(row["state"], row["state"])
        wanted = {
            "id": local_id(identity),
            "name": row["name"],
            "account_id": local_id(row["account_id"]),
            "uuid": row["uuid"],
            "workflow_state": state,
            "created_at": time_of(row["created_at"]),
        }
        assert attributes(course, wanted) == wanted


def test_enrollments_of_courses(canvas: Canvas, rosters: Rosters) -> None:
    """All states together give every row, page by page, each with its user."""
    compared = 0
    for identity in rosters["courses"]:
        rows = in_order(of_course(rosters, "enrollments", identity), "enrollment_id")
        course = canvas.get_course(local_id(identity), include=["all_courses"])
        found = list(course.get_enrollments(state=STATES, include=["all_courses"], per_page=7))
        assert [enrollment.id for enrollment in found] == [
            local_id(row["enrollment_id"]) for row in rows
        ]
        for enrollment, row in zip(found, rows, strict=True):
            wanted = expected_enrollment(row, rosters)
            assert attributes(enrollment, wanted) == wanted
            user = expected_user(row["user_id"], row.get("user_name"), rosters)
            assert attributes(enrollment.user, user) == user
            assert enrollment.sis_user_id == user["sis_user_id"]
            compared += 1
    assert compared == len(rosters["enrollments"])
    assert compared > 300


def test_filters(canvas: Canvas, rosters: Rosters) -> None:
    """Types, states and users; without states, active and invited ones."""
    by_course: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rosters["enrollments"].values():
        by_course[row["course_id"]].append(row)
    alive = {
        course: rows
        for course, rows in by_course.items()
        if rosters["courses"].get(course, {}).get("state") != "deleted"
    }
    seen: set[str] = set()
    for identity, rows in alive.items():
        course = canvas.get_course(local_id(identity))

        def ids(
            rows: list[dict[str, Any]], *states: str, types: tuple[str, ...] = ()
        ) -> list[int | None]:
            chosen = [
                row
                for row in rows
                if in_canvas(row) in states and (not types or row["type"] in types)
            ]
            return [local_id(row["enrollment_id"]) for row in in_order(chosen, "enrollment_id")]

        assert [found.id for found in course.get_enrollments()] == ids(rows, "active", "invited")
        for state in STATES:
            found = [found.id for found in course.get_enrollments(state=[state])]
            assert found == ids(rows, state)
            seen |= {state} if found else set()
        teachers = ("TeacherEnrollment", "TaEnrollment")
        assert [
            found.id for found in course.get_enrollments(type=list(teachers), per_page=100)
        ] == ids(rows, "active", "invited", types=teachers)
        assert [
            found.id
            for found in course.get_enrollments(
                role=["ObserverEnrollment"], type=["StudentEnrollment"]
            )
        ] == ids(rows, "active", "invited", types=("ObserverEnrollment",))
        someone = rows[0]["user_id"]
        mine = [row for row in rows if row["user_id"] == someone]
        assert [
            found.id for found in course.get_enrollments(user_id=local_id(someone), state=STATES)
        ] == ids(mine, *STATES)
    assert seen >= {"active", "invited", "deleted", "completed", "inactive"}


def test_enrollments_of_sections_and_by_id(canvas: Canvas, rosters: Rosters) -> None:
    """The same rows, by another way."""
    by_section: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rosters["enrollments"].values():
        by_section[row["course_section_id"]].append(row)
    for key, row in list(rosters["sections"].items())[:20]:
        identity = key.partition("/")[2]
        if row["state"] == "deleted":
            with pytest.raises(ResourceDoesNotExist):
                canvas.get_section(local_id(identity))
            continue
        section = canvas.get_section(local_id(identity))
        wanted = {
            "id": local_id(identity),
            "course_id": local_id(row["course_id"]),
            "name": row["name"],
            "sis_section_id": row.get("sis_source_id"),
        }
        wanted |= {
            "nonxlist_course_id": local_id(row.get("nonxlist_course_id")),
            "integration_id": row.get("integration_id"),
        }
        assert attributes(section, wanted) == wanted
        found = [enrollment.id for enrollment in section.get_enrollments(state=STATES, per_page=50)]
        assert found == [
            local_id(row["enrollment_id"])
            for row in in_order(by_section[identity], "enrollment_id")
        ]
    for row in list(rosters["enrollments"].values())[:20]:
        account = canvas.get_account  # there is no call for accounts: only its path is needed
        assert account is not None
        response = canvas._Canvas__requester.request(
            "GET", f"accounts/1/enrollments/{row['enrollment_id']}"
        ).json()
        wanted = expected_enrollment(row, rosters)
        assert attributes(response, wanted) == wanted


def test_enrollments_of_users(canvas: Canvas, rosters: Rosters) -> None:
    """A user's, in all courses; with the synthetic states, by dates."""
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rosters["enrollments"].values():
        by_user[row["user_id"]].append(row)
    future = ("active", "invited", "creation_pending", "pending_active", "pending_invited")
    some_by_dates = 0
    for identity, rows in list(by_user.items())[:60]:
        user = canvas.get_user(local_id(identity))
        everything = sorted(
            rows, key=lambda row: (int(row["enrollment_id"]), int(row["course_id"]))
        )
        assert [found.id for found in user.get_enrollments(state=STATES)] == [
            local_id(row["enrollment_id"]) for row in everything
        ]
        wanted = [local_id(row["enrollment_id"]) for row in everything if row["state"] in future]
        assert [found.id for found in user.get_enrollments(state=["current_and_future"])] == wanted
        wanted = [
            local_id(row["enrollment_id"])
            for row in everything
            if row["state"] in ("active", "completed")
        ]
        assert [
            found.id for found in user.get_enrollments(state=["current_and_concluded"])
        ] == wanted
        some_by_dates += any(row["state"].startswith("pending_") for row in rows)
    assert some_by_dates


def test_users_of_courses(canvas: Canvas, rosters: Rosters) -> None:
    """Each once, by id; test students only when asked for."""
    for identity, course_row in rosters["courses"].items():
        if course_row["state"] == "deleted":
            continue
        rows = [
            row
            for row in of_course(rosters, "enrollments", identity)
            if in_canvas(row) in ("active", "invited")
        ]
        course = canvas.get_course(local_id(identity))
        people = sorted(
            {int(row["user_id"]) for row in rows if row["type"] != "StudentViewEnrollment"}
        )
        assert [user.id for user in course.get_users(per_page=9)] == [
            local_id(str(user)) for user in people
        ]
        students = sorted(
            {int(row["user_id"]) for row in rows if row["type"] == "StudentEnrollment"}
        )
        with_enrollments = list(
            course.get_users(enrollment_type=["student"], include=["enrollments"])
        )
        assert [user.id for user in with_enrollments] == [local_id(str(user)) for user in students]
        for user in with_enrollments:
            mine = [
                row
                for row in rows
                if local_id(row["user_id"]) == user.id and row["type"] == "StudentEnrollment"
            ]
            assert sorted(enrollment["id"] for enrollment in user.enrollments) == sorted(
                int(local_id(row["enrollment_id"]) or 0) for row in mine
            )
        if people:
            name = next(iter(course.get_users())).name
            assert all(
                name.lower() in user.name.lower() or name in user.sortable_name
                for user in course.get_users(search_term=name)
            )
            assert len(list(course.get_users(search_term=name))) >= 1


def test_sections_and_groups_of_courses(canvas: Canvas, rosters: Rosters) -> None:
    """Those that are not deleted; the groups with their members."""
    compared = 0
    for identity, course_row in rosters["courses"].items():
        if course_row["state"] == "deleted":
            continue
        course = canvas.get_course(local_id(identity))
        sections = [
            row for row in of_course(rosters, "sections", identity) if row["state"] != "deleted"
        ]
        assert [section.id for section in course.get_sections()] == [
            local_id(row["course_section_id"]) for row in in_order(sections, "course_section_id")
        ]
        if sections:
            name = sections[0]["name"]
            named = [
                local_id(row["course_section_id"])
                for row in in_order(sections, "course_section_id")
                if name.lower() in row["name"].lower()
            ]
            assert [
                section.id for section in course.get_sections(search_term=name.upper())
            ] == named
        groups = [
            row for row in of_course(rosters, "groups", identity) if row["state"] != "deleted"
        ]
        found = list(course.get_groups())
        assert [group.id for group in found] == [
            local_id(row["group_id"]) for row in in_order(groups, "group_id")
        ]
        for group, row in zip(found, in_order(groups, "group_id"), strict=True):
            compared += 1
            memberships = [
                of
                for of in of_course(rosters, "memberships", identity)
                if of["group_id"] == row["group_id"]
            ]
            accepted = sorted(
                {int(of["user_id"]) for of in memberships if of["state"] == "accepted"}
            )
            wanted = {
                "name": row["group_name"],
                "context_type": "Course",
                "course_id": local_id(identity),
                "members_count": len(accepted),
            }
            wanted |= {
                "group_category_id": local_id(row.get("group_category_id")),
                "max_membership": row.get("max_membership"),
            }
            assert attributes(group, wanted) == wanted
            assert [user.id for user in group.get_users()] == [
                local_id(str(user)) for user in accepted
            ]
            remaining = in_order(
                [of for of in memberships if of["state"] in ("accepted", "invited", "requested")],
                "group_membership_id",
            )
            wanted_memberships = [
                (local_id(of["group_membership_id"]), local_id(of["user_id"]), of["state"])
                for of in remaining
            ]
            assert [
                (of.id, of.user_id, of.workflow_state) for of in group.get_memberships()
            ] == wanted_memberships
    assert compared > 5


def test_groups_of_accounts(canvas: Canvas, rosters: Rosters) -> None:
    """They belong to no course."""
    rows = [
        row
        for key, row in rosters["groups"].items()
        if key.startswith("account:") and row["state"] != "deleted"
    ]
    assert rows
    for row in rows:
        wanted = {
            "id": local_id(row["group_id"]),
            "account_id": local_id(row["context_id"]),
            "context_type": "Account",
            "name": row["group_name"],
        }
        assert attributes(canvas.get_group(local_id(row["group_id"])), wanted) == wanted


def test_another_token(served: Served) -> None:
    """The library understands that it may not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stranger = Canvas(served.url, "rollcall_wrong")
    with pytest.raises(InvalidAccessToken):
        stranger.get_course(1)


def test_a_user_may_be_named_by_sis_id(canvas: Canvas, rosters: Rosters) -> None:
    """As in Canvas."""
    row = next(row for row in rosters["users"].values() if row.get("user_sis_id"))
    assert canvas.get_user(row["user_sis_id"], "sis_user_id").id == local_id(row["user_id"])
