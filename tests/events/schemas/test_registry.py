"""The registry: names, topics, families, keys."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from rollcall.events.event_type import Key
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import read_schema_folder
from tests.events.schemas.events import NAMES, VALIDATORS, example


def test_a_schema_file_is_an_event_type() -> None:
    files = {name for name, file in read_schema_folder().items() if file.is_event}
    assert REGISTRY.keys() == VALIDATORS.keys() == files
    assert all(REGISTRY[name].name == name for name in files)


def test_order_of_family_and_name() -> None:
    places = [(event_type.family, event_type.name) for event_type in REGISTRY.values()]
    assert places == sorted(places)
    assert list(VALIDATORS) == list(REGISTRY)


@pytest.mark.parametrize("name", NAMES)
def test_topics(name: str) -> None:
    assert REGISTRY[name].topic("prod-eu") == f"prod-eu.events.{name}"


def test_keys() -> None:
    keys = {name: event_type.key for name, event_type in REGISTRY.items()}
    assert keys["enrollment_state_updated"] == Key(("body", "enrollment_id"), True)
    assert keys["group_membership_created"] == Key(("body", "group_id"), True)
    assert keys["group_category_created"] == Key(("body", "group_category_id"), True)
    assert keys["user_account_association_created"] == Key(("body", "user_id"), True)
    assert keys["course_progress"] == Key(("body", "user", "id"), True)
    assert keys["learning_outcome_result_created"] == Key(("body", "id"), True)
    assert keys["logged_out"] == Key(("metadata", "user_id"), True)
    assert keys["quiz_export_complete"] == Key(("body", "content_export_id"), False)
    assert keys["quizzes_next_quiz_duplicated"] == Key(("body", "new_course_uuid"), False)
    assert keys["heartbeat"] is None


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_its_key(name: str) -> None:
    event, key = example(name), REGISTRY[name].key
    if key is not None:
        assert key.value(event["metadata"], event["body"])


def test_a_key_in_words() -> None:
    assert [str(REGISTRY[name].key) for name in ("course_created", "course_progress")] == [
        "course_id",
        "user.id",
    ]
    assert str(REGISTRY["logged_in"].key) == "metadata.user_id"


def test_a_key_that_is_not_published() -> None:
    login, course = REGISTRY["logged_in"], REGISTRY["course_created"]
    assert login.published_key(["user_id"]) is None
    assert login.published_key(["user_login"]) == login.key
    assert course.published_key(["course_id", "body"]) == course.key


def test_a_value_in_the_way_of_a_key() -> None:
    key = Key(("body", "user", "id"), True)
    assert key.value({}, {"user": {"id": "7"}}) == "7"
    users: list[Any] = [None, "7", [{"id": "7"}], {}]
    for user in users:
        assert key.value({}, {"user": user}) is None
    assert key.value({}, {}) is None


def test_schema_ids_carry_a_version() -> None:
    assert VALIDATORS["course_created"].schema_id.startswith(
        "urn:rollcall:canvas:course_created:1."
    )


def test_importing_event_types_reads_no_schema() -> None:
    """Only the registry reads the folder."""
    code = (
        "import sys, rollcall.events.event_type, rollcall.events.outcomes, rollcall.cli.main; "
        "print('rollcall.events.registry' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout.strip() == b"False"
