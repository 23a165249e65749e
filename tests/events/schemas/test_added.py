"""A user's schema files beside those of Rollcall, and the clashes that are refused."""

from __future__ import annotations

import json
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


def write(folder: Path, name: str, change: Callable[[Any], object] = lambda _schema: None) -> Path:
    """A copy of a schema of Rollcall under another name."""
    folder.mkdir(exist_ok=True)
    schema = json.loads(OWN["course_created"].raw.replace(b"course_created", name.encode()))
    schema |= {"x-family": "lunch", "$id": f"urn:rollcall:canvas:{name}:1.0.0"}
    change(schema)
    (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")
    return folder


def test_added_types_stand_beside_rollcalls(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", "lunch_served")
    settings = load_settings(schemas=folder)
    known, selected = event_types(settings)
    assert known.keys() - OWN.keys() == {"lunch_served"}
    assert selected == known
    assert validators_of(settings, ["lunch_served"])["lunch_served"].event_type.family == "lunch"
    assert event_types(load_settings(schemas=folder, events="lunch,course")).selected.keys() == {
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
        ("lunch_served", {"x-key": "/body/dish"}, "x-key leads to a field that the schema"),
    ],
)
def test_a_clash_is_refused(name: str, change: dict[str, Any], fault: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "own", name, lambda schema: schema.update(change))
    settings = load_settings(schemas=folder)
    with pytest.raises(ConfigurationError) as caught:
        event_types(settings)
    message = str(caught.value)
    assert message.startswith("ROLLCALL_SCHEMAS: schema file ")
    assert fault in message
    assert message.endswith(f"'rollcall schemas lint' checks all files of {folder}")
    assert caught.value.exit_code == 2
    assert lint(schema_folder(), folder) != []


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_that_is_no_schema_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "lunch_served.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="ROLLCALL_SCHEMAS: schema file lunch_served"):
        schema_files(tmp_path)


def test_a_schema_that_cannot_be_compiled_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", "lunch_served", lambda schema: schema.update(type="lunch"))
    with pytest.raises(ConfigurationError, match=r"^ROLLCALL_SCHEMAS: schema urn.* cannot be "):
        validators_of(load_settings(schemas=folder))
