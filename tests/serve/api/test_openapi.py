"""The API against its own OpenAPI document: requests made up from the document, and the document
against what is there.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rollcall.events.ids import SHARD_SIZE
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.serve.api import objects
from rollcall.serve.api.ids import IdFormat
from rollcall.serve.api.parameter_names import KNOWN
from rollcall.serve.replica.tables import COLUMNS
from rollcall.serve.tokens import add_token
from tests.examples import examples
from tests.serve.client import get
from tests.serve.served import SHARD, Served, serving

READABLE = {
    "/api/v1/courses/{course_id}",
    "/api/v1/courses/{course_id}/enrollments",
    "/api/v1/courses/{course_id}/sections",
    "/api/v1/courses/{course_id}/users",
    "/api/v1/courses/{course_id}/groups",
    "/api/v1/sections/{section_id}",
    "/api/v1/sections/{section_id}/enrollments",
    "/api/v1/users/{user_id}",
    "/api/v1/users/{user_id}/enrollments",
    "/api/v1/accounts/{account_id}/enrollments/{enrollment_id}",
    "/api/v1/groups/{group_id}",
    "/api/v1/groups/{group_id}/memberships",
    "/api/v1/groups/{group_id}/users",
}

REAL = 4
"""Ids of each kind that are there."""


@pytest.fixture(scope="module")
def rosters() -> Rosters:
    """Of a small institution."""
    simulation = Simulation(SimulationPlan(courses=6, steps=700, seed=11))
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


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    """What the API says of itself."""
    found: dict[str, Any] = get(f"{served.url}/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def real(rosters: Rosters) -> dict[str, list[str]]:
    """Ids that are there, by parameter."""
    alive = {
        relation: [row for row in rows.values() if row["state"] != "deleted"]
        for relation, rows in rosters.items()
    }
    found = {
        "course_id": [row["course_id"] for row in alive["courses"]],
        "section_id": [row["course_section_id"] for row in alive["sections"]],
        "user_id": [row["user_id"] for row in alive["enrollments"]],
        "group_id": [row["group_id"] for row in alive["groups"]],
        "enrollment_id": [row["enrollment_id"] for row in rosters["enrollments"].values()],
        "account_id": [str(SHARD * SHARD_SIZE + 1), "1", "self"],
    }
    return {name: list(dict.fromkeys(ids))[:REAL] for name, ids in found.items()}


@pytest.mark.hypothesis
@pytest.mark.parametrize("path", sorted(READABLE))
def test_every_answer_is_what_the_document_says(
    served: Served,
    token_file: tuple[Path, str],
    document: dict[str, Any],
    real: dict[str, list[str]],
    path: str,
) -> None:
    """Whatever is asked, all checks hold: statuses, types, objects, methods, tokens, wrong
    parameters refused and right ones taken.
    """
    # it takes a second to import, which only the process that runs this test should pay
    from tests.serve.api.requests_made_up import (
        asked,
    )

    assert (
        asked(served.url, token_file[1], document, path, max_examples=examples(20, part=4))[404] > 0
    )
    known = copy.deepcopy(document)
    for parameter in known["paths"][path]["get"]["parameters"]:
        if parameter["in"] == "path":
            parameter["schema"] = {"type": "string", "enum": real[parameter["name"]]}
    assert asked(served.url, token_file[1], known, path, max_examples=examples(60))[200] >= REAL


def test_the_document_has_all_calls(document: dict[str, Any]) -> None:
    """Each is read-only, and tells of the statuses that it can have."""
    assert set(document["paths"]) == READABLE
    for calls in document["paths"].values():
        assert set(calls) == {"get"}
        assert set(calls["get"]["responses"]) == {"200", "400", "401", "404", "431", "503"}
        assert calls["get"]["security"] == [{"HTTPBearer": []}]
        assert calls["get"]["description"]
    scheme = document["components"]["securitySchemes"]["HTTPBearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert "ValidationError" not in document["components"]["schemas"]


def test_the_names_of_all_parameters_are_known(document: dict[str, Any]) -> None:
    """Otherwise, forms such as ``name[0]=`` would be ignored silently: add the call's query model
    to ``QUERIES`` in app/rollcall/serve/api/parameters.py.
    """
    names = {
        parameter["name"]
        for calls in document["paths"].values()
        for parameter in calls["get"].get("parameters", ())
        if parameter["in"] == "query"
    }
    assert names
    assert names - KNOWN == set()


def test_the_document_has_no_outside_address(served: Served) -> None:
    """It is read where nothing else may be reached."""
    assert re.findall(r"(?:https?:)?//[^\"\s]+", get(f"{served.url}/openapi.json").text) == []
    assert get(f"{served.url}/docs").status_code == 404


def row_of(relation: str, **values: Any) -> dict[str, Any]:
    """A row that says as little as possible."""
    return {**dict.fromkeys(COLUMNS[relation]), "context_type": "Course", **values}


IDS = IdFormat(SHARD, as_text=False)

MADE: list[tuple[type[BaseModel], dict[str, Any], set[str]]] = [
    (objects.User, objects.user_object(row_of("users"), IDS), set()),
    (
        objects.User,
        objects.user_object(row_of("users"), IDS, uuid=True, group_ids=[1]),
        {"uuid", "group_ids"},
    ),
    (
        objects.User,
        objects.user_object(objects.user_without_events(1, "Ada Lovelace"), IDS, uuid=True),
        {"uuid"},
    ),
    (
        objects.Enrollment,
        objects.enrollment_object(row_of("enrollments"), IDS, section=None, user=None),
        set(),
    ),
    (
        objects.Enrollment,
        objects.enrollment_object(
            row_of("enrollments"), IDS, section=row_of("sections"), user={"sis_user_id": None}
        ),
        {"user"},
    ),
    (objects.Course, objects.course_object(row_of("courses"), IDS), set()),
    (objects.Course, objects.course_object(objects.course_without_events(1), IDS), set()),
    (objects.Section, objects.section_object(row_of("sections"), IDS), set()),
    (objects.Group, objects.group_object(row_of("groups"), IDS, 0), {"course_id"}),
    (
        objects.Group,
        objects.group_object(row_of("groups", context_type="Account"), IDS, 0),
        {"account_id"},
    ),
    (objects.GroupMembership, objects.membership_object(row_of("memberships"), IDS), set()),
]


@pytest.mark.parametrize(("model", "made", "optional"), MADE)
def test_objects_have_the_fields_of_their_models(
    model: type[BaseModel], made: dict[str, Any], optional: set[str]
) -> None:
    """No more, no fewer, in the same order; those that may be absent have a default in the
    model.
    """
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    assert [name for name in made if name not in optional] == required
    assert set(made) - set(required) == optional <= set(model.model_fields)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("courses/{course_id}?include[]=total_students&include[]=sections", objects.Course),
        (
            "courses/{course_id}/enrollments?include[]=group_ids&include[]=uuid&include[]=observed_users&per_page=100",
            objects.Enrollment,
        ),
        (
            "courses/{course_id}/users?include[]=enrollments&include[]=uuid&include[]=group_ids&per_page=100",
            objects.User,
        ),
        (
            "courses/{course_id}/sections?include[]=total_students&include[]=students",
            objects.Section,
        ),
        ("courses/{course_id}/groups?include[]=users", objects.Group),
        ("groups/{group_id}/memberships", objects.GroupMembership),
    ],
)
def test_answers_are_of_their_models(
    served: Served,
    token_file: tuple[Path, str],
    real: dict[str, list[str]],
    path: str,
    model: type[BaseModel],
) -> None:
    """With everything that can be included. The models forbid what they do not know."""
    found = 0
    for course, group in zip(real["course_id"], real["group_id"], strict=True):
        url = f"{served.url}/api/v1/{path.format(course_id=course, group_id=group)}"
        answer = get(url, headers={"Authorization": f"Bearer {token_file[1]}"}).json()
        for one in answer if isinstance(answer, list) else [answer]:
            model.model_validate(one, strict=True)
            found += 1
    assert found
