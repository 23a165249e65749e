"""The documented examples, verbatim: all are valid, but for the one with a typo."""

from __future__ import annotations

from typing import Any

import pytest

from rollcall.events.schemas.violations import Violation
from tests.events.schemas.events import (
    DOCUMENTED,
    NAMES,
    ORACLES,
    VALIDATORS,
    changed,
    documented,
    example,
)

TYPO = "user_updated"
DOCUMENTS = {
    *("account_created", "account_updated", "account_notification_created"),
    *(
        "group_category_created",
        "group_category_updated",
        "group_created",
        "group_updated",
        "group_membership_created",
        "group_membership_updated",
    ),
    *("user_created", "user_updated", "user_account_association_created"),
    *("enrollment_created", "enrollment_state_updated"),
}


def test_every_document_is_here() -> None:
    assert set(documented()) == DOCUMENTS


@pytest.mark.parametrize("name", sorted(DOCUMENTS - {TYPO}))
def test_a_documented_event_is_valid(name: str) -> None:
    event = documented()[name]
    assert event["metadata"]["event_name"] == name
    assert VALIDATORS[name].violations(event) == []
    assert VALIDATORS[name].is_valid(event)
    assert ORACLES[name].is_valid(event)


def test_the_typo_is_refused_and_located() -> None:
    event = documented()[TYPO]
    assert event["body"]["updated_at"] == "019-11-01T19:11:01.163Z"
    assert not VALIDATORS[TYPO].is_valid(event)
    assert not ORACLES[TYPO].is_valid(event)
    message = (
        "must be a time that exists, written like 2019-11-01T19:11:01.163Z, "
        "2024-03-29T15:43:00-07:00 or 2019-10-05 05:38:00 -0800"
    )
    assert VALIDATORS[TYPO].violations(event) == [Violation("/body/updated_at", "pattern", message)]


def test_the_typo_repaired_is_the_example_of_its_schema() -> None:
    assert changed(
        documented()[TYPO], "body", "updated_at", to="2019-11-01T19:11:01.163Z"
    ) == example(TYPO)


def test_the_typo_stands_in_the_fixture_as_in_the_document() -> None:
    assert '"updated_at": "019-11-01T19:11:01.163Z"' in (DOCUMENTED / f"{TYPO}.json").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_each_schema_is_valid(name: str) -> None:
    event: Any = example(name)
    assert event["metadata"]["event_name"] == name
    assert VALIDATORS[name].is_valid(event)
    assert ORACLES[name].is_valid(event)
