"""The registry: names, topics, keys, stages."""

from __future__ import annotations

from rollcall.events.registry import EVENT_TYPES, REGISTRY
from tests.events.schemas.events import VALIDATORS, example


def test_twenty_event_types_by_name() -> None:
    assert len(EVENT_TYPES) == len(REGISTRY) == 20
    assert all(REGISTRY[event_type.name] is event_type for event_type in EVENT_TYPES)
    assert list(VALIDATORS) == [event_type.name for event_type in EVENT_TYPES]


def test_topics() -> None:
    assert REGISTRY["enrollment_created"].topic("canvas") == "canvas.events.enrollment_created"
    assert (
        REGISTRY["group_category_updated"].topic("prod-eu")
        == "prod-eu.events.group_category_updated"
    )


def test_keys() -> None:
    keys = {event_type.name: event_type.key for event_type in EVENT_TYPES}
    assert keys["enrollment_state_updated"] == "enrollment_id"
    assert keys["group_membership_created"] == "group_id"
    assert keys["group_category_created"] == "group_category_id"
    assert keys["user_account_association_created"] == "user_id"
    assert keys["account_notification_created"] == "account_notification_id"
    assert all(key in example(name)["body"] for name, key in keys.items())


def test_schema_ids_carry_a_version() -> None:
    assert VALIDATORS["course_created"].schema_id.startswith(
        "urn:rollcall:canvas:course_created:1."
    )
