"""What docs/operations.md and the changelog tell about the upgrade to all event types."""

from __future__ import annotations

import re

import pytest

from rollcall.events.registry import REGISTRY
from rollcall.events.selection import EventSelection
from tests.docs.markdown import ROOT

FORMER = {
    *("account_created", "account_updated", "account_notification_created"),
    *("course_created", "course_updated", "course_section_created", "course_section_updated"),
    *("enrollment_created", "enrollment_updated"),
    *("enrollment_state_created", "enrollment_state_updated"),
    *("group_created", "group_updated", "group_category_created", "group_category_updated"),
    *("group_membership_created", "group_membership_updated"),
    *("user_created", "user_updated", "user_account_association_created"),
}

TYPES = 95
"""Number of event types after this upgrade. Later releases may have more."""


@pytest.mark.parametrize("document", ["docs/operations.md", "CHANGELOG.md"])
def test_the_setting_that_keeps_the_former_event_types(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    (value,) = re.findall(r"ROLLCALL_EVENTS=([a-z_]+(?:,[a-z_]+){9,})", text)
    families = value.split(",")
    assert {REGISTRY[name].family for name in FORMER} == set(families)
    assert EventSelection(families).select(REGISTRY).keys() >= FORMER


def test_the_numbers_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"{TYPES}" in text
    assert f"{TYPES - len(FORMER)}" in text
