"""A new event type is one file, in the folder of the schemas or in a user's own folder: its topic
and all else follow.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollcall.events.schemas.files import schema_folder
from rollcall.events.schemas.lint import lint
from tests.kafka_client import Sent, create_topic, headers, read_all, send
from tests.processes import RollcallProcess, wait_until

NEW = "lunch-menus.item_published"
"""Such names have other producers on Canvas's queue."""

LUNCH_BODY = "urn:rollcall:canvas:bodies:lunch:1.0.0"


def new_schema() -> Any:
    """A copy of the schema of course_created for the new type."""
    text = (schema_folder() / "course_created.json").read_text(encoding="utf-8")
    document = json.loads(text.replace("course_created", NEW))
    document["$id"] = f"urn:rollcall:canvas:{NEW}:3.0.0"
    return document | {"x-family": "lunch", "x-key": "/body/uuid"}


def in_the_folder(folder: Path, schema: Any) -> dict[str, Any]:
    """The arguments of a router of which the new type is a part."""
    shutil.copytree(schema_folder(), folder)
    (folder / f"{NEW}.json").write_text(json.dumps(schema), encoding="utf-8")
    program = [sys.executable, str(Path(__file__).with_name("with_schemas.py")), str(folder)]
    return {"program": program, "events": "course,lunch"}


def beside_the_folder(folder: Path, schema: Any) -> dict[str, Any]:
    """The arguments of a router that reads the new type from a user's folder, with a body of its
    own there.
    """
    (folder / "bodies").mkdir(parents=True)
    body = json.loads((schema_folder() / "bodies" / "course.json").read_text(encoding="utf-8"))
    text = json.dumps(schema).replace(body["$id"], LUNCH_BODY)
    assert LUNCH_BODY in text
    (folder / f"{NEW}.json").write_text(text, encoding="utf-8")
    (folder / "bodies" / "lunch.json").write_text(
        json.dumps({**body, "$id": LUNCH_BODY}), encoding="utf-8"
    )
    assert lint(schema_folder(), folder) == []
    return {"schemas": folder, "events": "course,lunch"}


@pytest.mark.parametrize("place", [in_the_folder, beside_the_folder])
def test_one_file_is_a_new_type(
    place: Callable[[Path, Any], dict[str, Any]], bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    schema = new_schema()
    event = schema["examples"][0]
    value, invalid = (
        json.dumps(each, indent=1).encode() for each in (event, {**event, "body": {}})
    )
    create_topic(bootstrap, f"{prefix}.raw", 2)
    send(bootstrap, f"{prefix}.raw", [Sent(value), Sent(invalid)])
    arguments = place(tmp_path / "schemas", schema)
    with RollcallProcess("router", tmp_path, bootstrap, prefix, **arguments) as router:
        wait_until(
            lambda: router.metric("rollcall_events_received_total") == 2,
            what="the end of the input",
        )
        assert router.metric("rollcall_events_routed_total", event_name=NEW) == 1
        assert (
            router.metric("rollcall_dead_letters_total", event_name=NEW, code="schema_violation")
            == 1
        )
        assert router.end() == 0
    (typed,) = read_all(bootstrap, [f"{prefix}.events.{NEW}"], at_least=1)
    assert typed.value() == value
    assert typed.key() == event["body"]["uuid"].encode()
    found = headers(typed)
    assert found["ce_type"] == NEW.encode()
    assert found["ce_dataschema"] == f"urn:rollcall:canvas:{NEW}:3.0.0".encode()
    (letter,) = read_all(bootstrap, [f"{prefix}.dead-letter"], at_least=1)
    assert letter.value() == invalid
