"""A user's schema files beside those of Rollcall, and the clashes that are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollcall.errors import ConfigurationError
from rollcall.events.schemas.files import read_schema_folder, schema_folder
from rollcall.events.schemas.lint import lint
from rollcall.process.event_types import event_types, schema_files, validators_of
from rollcall.settings import load_settings

OWN = read_schema_folder()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with some of Rollcall's schema files: lint takes a while for all of them."""
    folder = tmp_path_factory.mktemp("few")
    for path in schema_folder().rglob("*.json"):
        if path.stem.startswith(("common", "envelope", "course", "outcome")):
            copied = folder / path.relative_to(schema_folder())
            copied.parent.mkdir(exist_ok=True)
            shutil.copy(path, copied)
    return folder


def write(folder: Path, name: str, change: Callable[[Any], object] = lambda _schema: None) -> Path:
    """A copy of a schema of Rollcall under another name."""
    folder.mkdir(exist_ok=True)
    schema = json.loads(OWN["course_created"].raw.replace(b"course_created", name.encode()))
    schema |= {"x-family": "lunch", "$id": f"urn:rollcall:canvas:{name}:1.0.0"}
    change(schema)
    (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")
    return folder


def known_values(values: object, **rules: str) -> dict[str, Any]:
    """A change of ``lunch_served``: a field of the body with known values."""
    raw = OWN["course_created"].raw.replace(b"course_created", b"lunch_served")
    properties = json.loads(raw)["properties"]
    properties["body"]["properties"] = {"dish": {"x-known-values": values, **rules}}
    return {"properties": properties}


def test_added_types_stand_beside_rollcalls(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", "lunch_served")
    settings = load_settings(schemas=folder)
    known, selected = event_types(settings)
    assert known.keys() - OWN.keys() == {"lunch_served"}
    assert selected == known
    assert validators_of(settings, ["lunch_served"])["lunch_served"].event_type.family == "lunch"
    few = load_settings(schemas=folder, events="lunch,course,-rollcall_snapshot")
    assert event_types(few).selected.keys() == {
        "lunch_served",
        "course_created",
        "course_updated",
    }
    assert lint(schema_folder(), folder) == []


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("course_created", {}, "course_created.json: is the name of a schema file of Rollcall"),
        ("common", {}, "common.json: is the name of a schema file of Rollcall"),
        (
            "lunch_served",
            {"$id": OWN["course_updated"].id},
            "lunch_served.json#/$id: does not name its file and a version",
        ),
        (
            "outcomes_retry_outcome_alignment_clone",
            {},
            "differs from outcomes.retry_outcome_alignment_clone.json only by '.' and '_'",
        ),
        ("course", {}, "course.json: has the name of the family of course_created, course_updated"),
        (
            "lunch_served",
            {"x-family": "course_created"},
            "course_created.json: has the name of the family of lunch_served",
        ),
        ("all", {}, "all.json: uses the word all"),
        ("lunch_served", {"x-family": "all"}, "lunch_served.json: uses the word all"),
        ("lunch_served", {"x-key": "/body/dish"}, "#/x-key: leads to a field that the schema"),
        ("lunch_served", {"x-family": ["lunch"]}, "#/x-family: is not a family"),
        ("lunch_served", {"$ref": OWN["common"].id}, "#/$ref: is not the envelope of all events"),
        ("lunch_served", {"$ref": 5}, "#/$ref: is no JSON Schema"),
        ("lunch_served", {"properties": [1]}, "#/properties: is no JSON Schema"),
        ("lunch_served", {"type": "lunch"}, "#/type: is no JSON Schema"),
        ("lunch_served", known_values(5), "x-known-values: is not a list of texts"),
        ("lunch_served", known_values([1]), "x-known-values: is not a list of texts"),
        ("lunch_served", known_values(["a"], type="array"), "than text"),
        ("lunch_served", known_values(["a"]), "than text"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    name: str,
    change: dict[str, Any],
    fault: str,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rollcall.process.event_types.schema_folder", lambda: few)
    folder = write(tmp_path / "own", name, lambda schema: schema.update(change))
    settings = load_settings(schemas=folder)
    with pytest.raises(ConfigurationError) as caught:
        event_types(settings)
    message = str(caught.value)
    assert message.startswith("ROLLCALL_SCHEMAS: schema file ")
    assert fault in message
    assert message.endswith(f"'rollcall schemas lint' checks all files of {folder}")
    assert "Traceback" not in message
    assert caught.value.exit_code == 2
    assert any(fault in str(problem) for problem in lint(few, folder))


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_that_is_no_schema_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "lunch_served.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="ROLLCALL_SCHEMAS: schema file lunch_served"):
        schema_files(tmp_path)


def test_hidden_files_are_not_read(tmp_path: Path) -> None:
    """A ConfigMap of Kubernetes has its files in a hidden folder, and links to them."""
    written = write(tmp_path / "written", "lunch_served")
    folder = tmp_path / "mounted"
    content = folder / "..2026_11_29"
    shutil.copytree(written, content)
    (folder / "..data").symlink_to(content.name)
    (folder / "lunch_served.json").symlink_to("..data/lunch_served.json")
    shutil.copy(written / "lunch_served.json", folder / "._lunch_served.json")
    assert schema_files(folder).keys() - OWN.keys() == {"lunch_served"}
    assert lint(schema_folder(), folder) == []


def test_a_name_that_is_too_long_for_a_topic_is_refused(few: Path, tmp_path: Path) -> None:
    longest = 249 - len(f"{'p' * 100}.events.")
    write(tmp_path / "own", "a" * longest)
    assert lint(few, tmp_path / "own") == []
    write(tmp_path / "own", "b" * (longest + 1))
    [problem] = lint(few, tmp_path / "own")
    assert "cannot be a part of a topic's name" in problem.fault
