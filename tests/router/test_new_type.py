"""A new event type is one file in the folder of the schemas: its topic and all else follow."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from rollcall.events.schemas.files import schema_folder
from tests.kafka_client import Sent, create_topic, headers, read_all, send
from tests.processes import RollcallProcess, wait_until

NEW = "lunch-menus.item_published"
"""Such names have other producers on Canvas's queue."""


def folder_with_new_type(folder: Path) -> Any:
    """Add a copy of the schema of course_created to a copy of the folder; the new example."""
    shutil.copytree(schema_folder(), folder)
    text = (folder / "course_created.json").read_text(encoding="utf-8")
    document = json.loads(text.replace("course_created", NEW))
    document["$id"] = f"urn:rollcall:canvas:{NEW}:3.0.0"
    document |= {"x-family": "lunch", "x-key": "/body/uuid"}
    (folder / f"{NEW}.json").write_text(json.dumps(document), encoding="utf-8")
    return document["examples"][0]


def test_one_file_is_a_new_type(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    event = folder_with_new_type(tmp_path / "schemas")
    value, invalid = (
        json.dumps(each, indent=1).encode() for each in (event, {**event, "body": {}})
    )
    create_topic(bootstrap, f"{prefix}.raw", 2)
    send(bootstrap, f"{prefix}.raw", [Sent(value), Sent(invalid)])
    program = [
        sys.executable,
        str(Path(__file__).with_name("with_schemas.py")),
        str(tmp_path / "schemas"),
    ]
    with RollcallProcess("router", tmp_path, bootstrap, prefix, program=program) as router:
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
