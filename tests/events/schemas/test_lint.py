"""Lint finds nothing in the project's schemas, and finds each kind of problem where one is made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator as Reference

from rollcall.events.schemas.annotations import read_event_types
from rollcall.events.schemas.files import RELEASED, read_schema_folder, schema_folder
from rollcall.events.schemas.lint import lint
from rollcall.events.schemas.names import Problem
from rollcall.events.schemas.validation import load_validators

Change = Callable[[Any], object]
"""Changes a parsed schema in place."""


SOME = ("course_created", "course_updated", "group_created")
"""Events that are enough to break something in their files, or in those that they share: lint takes
a sixth of the time that it takes for all.
"""

PARTS = ("common", "envelope", "bodies/course", "bodies/group")


def some_schemas(folder: Path) -> Path:
    (folder / "bodies").mkdir(parents=True)
    for name in (*SOME, *PARTS):
        shutil.copy(schema_folder() / f"{name}.json", folder / f"{name}.json")
    files = {name: file.document for name, file in read_schema_folder(folder).items()}
    (folder / RELEASED).write_text(json.dumps(files))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return some_schemas(tmp_path / "schemas")


def edit(folder: Path, name: str, change: Change) -> None:
    path = folder / f"{name}.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def problems(folder: Path) -> list[Problem]:
    return lint(folder)


def found(folder: Path) -> str:
    return "\n".join(map(str, problems(folder)))


def test_the_project_has_no_problem(folder: Path) -> None:
    assert lint(schema_folder()) == []
    assert problems(folder) == []


def body_of(name: str) -> Change:
    return lambda schema: schema["properties"].update(
        body={"$ref": f"urn:rollcall:canvas:bodies:{name}:1.1.0"}
    )


FAULTS: list[tuple[str, Change, str]] = [
    (
        "course_created",
        lambda s: s.update({"$schema": "http://json-schema.org/draft-07/schema#"}),
        "course_created.json#/$schema: is not draft 2020-12",
    ),
    (
        "course_created",
        lambda s: s.pop("description"),
        "course_created.json#/description: is missing",
    ),
    (
        "bodies/course",
        lambda s: s["properties"]["name"].update(type="text"),
        "bodies/course.json#/properties/name/type: is no JSON Schema",
    ),
    (
        "bodies/course",
        lambda s: s.update(required="course_id"),
        "bodies/course.json#/required: is no JSON Schema",
    ),
    (
        "bodies/course",
        lambda s: s.update(additionalProperties=False),
        "bodies/course.json#/additionalProperties: is a keyword that compatibility.py cannot",
    ),
    (
        "bodies/course",
        lambda s: s["properties"]["name"].update(format="email"),
        "#/properties/name/format: is a keyword that compatibility.py cannot",
    ),
    (
        "common",
        lambda s: s["$defs"]["id_range"].update(pattern=r"^\d+$"),
        "common.json#/$defs/id_range/pattern: means different things",
    ),
    (
        "common",
        lambda s: s["$defs"]["id_range"].update(pattern="^.$"),
        "common.json#/$defs/id_range/pattern: means different things",
    ),
    (
        "common",
        lambda s: s["$defs"]["id_range"].update(pattern="(?<=a)b"),
        "common.json#/$defs/id_range/pattern: means different things",
    ),
    (
        "common",
        lambda s: s["$defs"]["id_range"].update(pattern="["),
        "common.json#/$defs/id_range/pattern: not a regular expression",
    ),
    (
        "bodies/course",
        lambda s: s["properties"]["name"].update({"$ref": "common.json"}),
        "bodies/course.json#/properties/name/$ref: is not absolute",
    ),
    (
        "bodies/course",
        lambda s: s["properties"]["name"].update(
            {"$ref": "urn:rollcall:canvas:common:1.1.0#/$defs/none"}
        ),
        "bodies/course.json#/properties/name/$ref: $ref "
        "urn:rollcall:canvas:common:1.1.0#/$defs/none leads nowhere",
    ),
    (
        "common",
        lambda s: s.update({"$id": "urn:rollcall:canvas:common:2.0.0"}),
        "envelope.json#/$defs/metadata/properties/client_ip/$ref: $ref urn:rollcall",
    ),
    (
        "bodies/course",
        lambda s: s["properties"].update(up={"$ref": s["$id"]}),
        "bodies/course.json#/properties/up/$ref: $ref urn:rollcall",
    ),
    (
        "course_created",
        lambda s: s.update({"$id": "urn:rollcall:canvas:course_created:1.0"}),
        "course_created.json#/$id: does not name its file and a version",
    ),
    (
        "course_created",
        lambda s: s.update({"$id": "https://example.com/course_created/1.0.0"}),
        "#/$id: does not name its file",
    ),
    ("course_created", lambda s: s.pop("$id"), "course_created.json#/$id: does not name its file"),
    (
        "course_created",
        lambda s: s.update({"$id": "urn:rollcall:canvas:course_updated:1.1.0"}),
        "course_updated.json#/$id: is also the $id of course_created.json",
    ),
    (
        "course_created",
        lambda s: s["properties"]["metadata"]["properties"]["event_name"].update(
            const="course_create"
        ),
        "#/properties/metadata/properties/event_name/const: is not the name of the file",
    ),
    (
        "course_created",
        lambda s: s["properties"].pop("attributes"),
        "#/properties/attributes/properties/event_name/const: is not the name of the file",
    ),
    (
        "course_created",
        lambda s: s.pop("x-family"),
        "course_created.json#/x-family: is not a family; write small letters",
    ),
    (
        "course_created",
        lambda s: s.update({"x-family": "Course"}),
        "course_created.json#/x-family: is not a family",
    ),
    (
        "course_created",
        lambda s: s.pop("x-sources"),
        "course_created.json#/x-sources: is not a list of sources; write documents, code, observed",
    ),
    (
        "course_created",
        lambda s: s.update({"x-sources": []}),
        "course_created.json#/x-sources: is not a list of sources",
    ),
    (
        "course_created",
        lambda s: s.update({"x-sources": [["code"]]}),
        "course_created.json#/x-sources: is not a list of sources",
    ),
    (
        "course_created",
        lambda s: s.pop("x-key"),
        "course_created.json#/x-key: is missing; write a JSON pointer such as /body/course_id",
    ),
    (
        "course_created",
        lambda s: s.update({"x-key": "course_id"}),
        "course_created.json#/x-key: leads neither into body nor into metadata",
    ),
    (
        "course_created",
        lambda s: s.update({"x-key": "/body"}),
        "course_created.json#/x-key: leads neither into body nor into metadata",
    ),
    (
        "course_created",
        lambda s: s.update({"x-key": "/body/course/id"}),
        "course_created.json#/x-key: leads to a field that the schema does not describe",
    ),
    (
        "bodies/course",
        lambda s: s["properties"].pop("course_id"),
        "course_created.json#/x-key: leads to a field that the schema does not describe",
    ),
    (
        "bodies/course",
        lambda s: s["properties"].update(course_id={"type": ["string", "array"]}),
        "course_created.json#/x-key: leads to a value that cannot be a key; name an id or a text",
    ),
    (
        "course_created",
        lambda s: s.update({"x-key": "/metadata/real_user_id"}),
        "course_created.json#/x-key: leads to a field that no example has; name the field that",
    ),
    (
        "bodies/course",
        lambda s: s["required"].append("sis_id"),
        "course_created.json#/properties/body: requires sis_id and does not describe it",
    ),
    (
        "course_created",
        lambda s: s.pop("examples"),
        "course_created.json#/examples: there is no example",
    ),
    (
        "course_created",
        lambda s: s.update(examples=[]),
        "course_created.json#/examples: there is no example",
    ),
    (
        "course_created",
        lambda s: s["examples"][0]["body"].update(course_id="0"),
        "course_created.json#/examples/0/body/course_id: is not valid: must be an id",
    ),
    (
        "course_created",
        lambda s: s.update(title="Another"),
        "course_created.json#/$id: the file has changed since 1.1.0 was released; give it a "
        "higher version",
    ),
    (
        "course_created",
        lambda s: s.update({"$id": "urn:rollcall:canvas:course_created:0.9.0"}),
        "#/$id: the file has changed since 1.1.0 was released",
    ),
    (
        "bodies/course",
        lambda s: s["required"].append("account_uuid"),
        "course_created.json: would reject what was accepted: /properties/body/required now "
        "requires",
    ),
    (
        "common",
        lambda s: s["$defs"]["nullable_text"].update(minLength=1),
        "course_created.json: would reject what was accepted: "
        "/properties/body/properties/name/minLength",
    ),
    (
        "common",
        lambda s: s["$defs"]["nullable_text"].update(type="string"),
        "group_created.json: would reject what was accepted: /properties/attributes/prop",
    ),
    (
        "bodies/course",
        lambda s: s["properties"]["workflow_state"]["x-known-values"].remove("claimed"),
        "x-known-values no longer lists claimed",
    ),
    (
        "course_created",
        lambda s: s["properties"].update(iss={"type": "string"}),
        "would reject what was accepted: /properties/iss/type is a new constraint",
    ),
    (
        "released",
        lambda bundle: bundle["course_created"].update({"$id": 5}),
        "released.json#/course_created/$id: is no JSON Schema",
    ),
    (
        "released",
        lambda bundle: bundle.update(course_created=[]),
        "released.json#/course_created: is not a JSON object",
    ),
]


@pytest.mark.parametrize(("name", "change", "expected"), FAULTS)
def test_a_fault_is_found(folder: Path, name: str, change: Change, expected: str) -> None:
    edit(folder, name, change)
    assert expected in found(folder)


def test_every_problem_says_what_to_do(folder: Path) -> None:
    for name, change, _ in FAULTS[:3]:
        edit(folder, name, change)
    assert all(
        problem.remedy and str(problem).endswith(problem.remedy) for problem in problems(folder)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[]", "is not a JSON object"),
        (b'{"title": "a", "title": "b"}', 'the key "title" is twice'),
    ],
)
@pytest.mark.parametrize("name", ["course_created", "released"])
def test_a_file_that_is_no_schema(folder: Path, name: str, text: bytes, expected: str) -> None:
    (folder / f"{name}.json").write_bytes(text)
    assert found(folder).startswith(f"{name}.json: ")
    assert expected in found(folder)


def renamed(folder: Path, name: str) -> None:
    """Add an event type: the same as course_created, with another name."""
    text = (folder / "course_created.json").read_text().replace("course_created", name)
    (folder / f"{name}.json").write_text(text)


@pytest.mark.parametrize("name", ["course/created", "курс", "course created", "x" * 151])
def test_a_name_that_no_topic_can_have(folder: Path, name: str) -> None:
    if "/" in name:  # a shared part
        (folder / "course").mkdir()
        renamed(folder, name)
        assert "course/created.json#/properties" not in found(folder)
    else:
        renamed(folder, name)
        assert f"{name}.json: has a name that cannot be a part of a topic's name" in found(folder)


def test_names_that_metrics_do_not_tell_apart(folder: Path) -> None:
    renamed(folder, "course.created")
    assert (
        "course_created.json: differs from course.created.json only by '.' and '_', which Kafka's "
        "metrics do not tell apart; remove one" in found(folder)
    )


def test_a_released_schema_that_is_gone(folder: Path) -> None:
    (folder / "course_created.json").unlink()
    assert "course_created.json: was released and is gone" in found(folder)


def test_without_a_release_every_schema_is_new(folder: Path) -> None:
    (folder / RELEASED).unlink()
    edit(folder, "course_created", lambda schema: schema.update(title="A new course"))
    assert problems(folder) == []


def new_version(name: str, version: str) -> Change:
    return lambda schema: schema.update({"$id": f"urn:rollcall:canvas:{name}:{version}"})


def test_a_compatible_change_with_a_new_version_passes(folder: Path) -> None:
    """The way of docs/schemas.md: a new optional field, a new version of the body, and of the
    events that refer to it.
    """

    def add_field(schema: Any) -> None:
        schema["$id"] = "urn:rollcall:canvas:bodies:course:1.2.0"
        schema["properties"]["time_zone"] = {"description": "The time zone of the course."}
        schema["properties"]["workflow_state"]["x-known-values"].append("archived")

    edit(folder, "bodies/course", add_field)
    for name in ("course_created", "course_updated"):
        edit(folder, name, new_version(name, "1.2.0"))
        edit(
            folder,
            name,
            lambda schema: schema["properties"]["body"].update(
                {"$ref": "urn:rollcall:canvas:bodies:course:1.2.0"}
            ),
        )
    assert problems(folder) == []


def test_versions_are_numbers_and_not_text(folder: Path) -> None:
    older = new_version("course_created", "1.9.0")
    edit(folder, "released", lambda bundle: older(bundle["course_created"]))
    edit(folder, "course_created", new_version("course_created", "1.10.0"))
    assert problems(folder) == []


@pytest.mark.parametrize("name", ["course_archived", "courses.archived", "courses-lti.Archived2"])
def test_a_new_event_type_is_one_file(folder: Path, name: str) -> None:
    renamed(folder, name)
    assert problems(folder) == []
    event_types = read_event_types(read_schema_folder(folder))
    assert event_types[name] == replace(event_types["course_created"], name=name)
    assert list(load_validators(read_schema_folder(folder))) == list(event_types)


@pytest.mark.parametrize("part", [True, False])
@pytest.mark.parametrize("name", ["common", "envelope", "course_created", "bodies/course"])
def test_a_schema_may_be_true_or_false(folder: Path, name: str, part: bool) -> None:
    """JSON Schema allows it, wherever a schema stands. What follows from it is said, not raised."""
    document = json.loads((folder / f"{name}.json").read_text())
    for keyword in ("$defs", "properties"):
        for field in document.get(keyword, {}):
            edit(
                folder,
                name,
                lambda schema, keyword=keyword, field=field: schema[keyword].update({field: part}),  # type: ignore[misc]
            )
            assert problems(folder), "the same version says something else"
            (folder / f"{name}.json").write_text(json.dumps(document))


JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1.5,
        "",
        "urn:x",
        "#",
        [],
        {},
        [None],
        {"type": 1},
        {"$ref": "urn:rollcall:canvas:common:1.1.0#/$defs/id"},
    ]
)


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_schema_lint_answers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = some_schemas(tmp_path_factory.mktemp("lint") / "schemas")
    name = data.draw(
        st.sampled_from(
            [
                "common",
                "envelope",
                "course_created",
                "bodies/course",
                "released",
            ]
        )
    )

    def break_something(schema: Any) -> None:
        owner, key = schema, data.draw(st.sampled_from(sorted(schema)))
        while isinstance(owner[key], dict) and owner[key] and data.draw(st.booleans()):
            owner, key = owner[key], data.draw(st.sampled_from(sorted(owner[key])))
        owner[key] = data.draw(JUNK)

    edit(folder, name, break_something)
    found = problems(folder)
    assert all(str(problem) for problem in found)
    document = json.loads((folder / f"{name}.json").read_bytes())
    schemas = [document]
    if name == "released":
        schemas = [schema for schema in document.values() if isinstance(schema, dict)]
    are_schemas = all(map(Reference(Reference.META_SCHEMA).is_valid, schemas))
    refused = any(problem.fault.startswith("is no JSON Schema") for problem in found)
    assert refused is not are_schemas
