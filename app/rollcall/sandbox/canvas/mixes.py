"""Mixes of event types in the simulated traffic: each type's share of valid events.

Imports nothing else of the simulated Canvas: the command line uses the names of the mixes, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Mix(StrEnum):
    """Mixes of event types."""

    ALL = "all"
    """All types, with shares as in a real institution: accesses, submissions, grades and logins
    lead.
    """
    ROSTERS = "rosters"
    """Only accounts, users, courses, sections, enrollments and groups."""


_ROSTERS: Mapping[str, float] = {
    "enrollment_created": 18,
    "enrollment_updated": 22,
    "enrollment_state_created": 9,
    "enrollment_state_updated": 16,
    "group_membership_created": 9,
    "group_membership_updated": 6,
    "group_created": 2,
    "group_updated": 2,
    "group_category_created": 1,
    "group_category_updated": 1,
    "account_created": 0.5,
    "account_updated": 0.5,
    "account_notification_created": 0.5,
    "user_created": 3,
    "user_updated": 3.5,
    "user_account_association_created": 2,
    "course_created": 1,
    "course_updated": 1.5,
    "course_section_created": 0.75,
    "course_section_updated": 0.75,
}

_ALL: Mapping[str, float] = {
    "asset_accessed": 30,
    "submission_updated": 9,
    "submission_created": 7,
    "grade_change": 8,
    "course_grade_change": 6,
    "logged_in": 6,
    "logged_out": 2,
    "quiz_submitted": 1.5,
    "submission_comment_created": 1.5,
    "discussion_entry_created": 2,
    "discussion_entry_submitted": 1,
    "course_progress": 1.5,
    "attachment_created": 1,
    "assignment_updated": 1,
    "conversation_message_created": 1,
    "learning_outcome_result_created": 0.5,
    "enrollment_created": 1.5,
    "enrollment_updated": 1.5,
    "enrollment_state_created": 1.5,
    "enrollment_state_updated": 2.5,
}

SHARES: Mapping[Mix, Mapping[str, float]] = {Mix.ALL: _ALL, Mix.ROSTERS: _ROSTERS}
"""Relative shares of the listed types, by mix."""

_RARE = 0.18
"""Share of a type that :attr:`Mix.ALL` does not list. In other mixes, such types do not occur."""


def shares_of(mix: Mix, event_names: Iterable[str]) -> dict[str, float]:
    """The relative share of each of these types that occurs in a mix, in their order."""
    listed = SHARES[mix]
    return {
        name: listed.get(name, _RARE) for name in event_names if mix is Mix.ALL or name in listed
    }
