"""What Canvas shows and no event says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.serve.replica.derived import canvas_state, sortable_name


@pytest.mark.parametrize(
    ("name", "sortable"),
    [
        # As of canvas-lms, spec/models/user_spec.rb, "name_parts".
        ("Cody Cutrer", "Cutrer, Cody"),
        ("  Cody  Cutrer   ", "Cutrer, Cody"),
        ("Cutrer, Cody Houston", "Cutrer, Cody Houston"),
        ("St. Clair, John", "St. Clair, John"),
        ("John St. Clair", "Clair, John St."),
        ("Jefferson Thomas Cutrer IV", "Cutrer, Jefferson Thomas IV"),
        ("Jefferson Thomas Cutrer, IV", "Cutrer, Jefferson Thomas IV"),
        ("John Doe", "Doe, John"),
        ("Doe, John", "Doe, John"),
        ("John Doe Jr.", "Doe, John Jr."),
        ("John Doe, Jr.", "Doe, John Jr."),
        ("John Doe, Sr.", "Doe, John Sr."),
        ("John Doe Sr", "Doe, John Sr"),
        ("Cher", "Cher"),
        ("  Cher  ", "Cher"),
        ("John   Quincy  Adams", "Adams, John Quincy"),
        ("de la Cruz, Maria", "de la Cruz, Maria"),
        ("Cutrer, Jefferson, IV", "Cutrer, Jefferson IV"),
        ("Ho, Chi, Min", "Ho, Chi Min"),
        ("Doe, Jr.", "Doe, Jr."),
        ("", ""),
        ("   ", ""),
        (None, None),
        (17, None),
    ],
)
def test_sortable_names(name: object, sortable: str | None) -> None:
    """The surname first, with what follows a name where Canvas has it."""
    assert sortable_name(name) == sortable


@given(st.text(), st.text(st.characters(exclude_characters=",")))
@settings(max_examples=300, derandomize=True, database=None)
def test_no_word_of_a_name_is_lost(name: str, without_comma: str) -> None:
    """Any name has a sortable form, without spaces at its ends and with the same words."""
    for one in (name, without_comma):
        sortable = sortable_name(one)
        assert sortable is not None
        assert sortable == sortable.strip()
        assert sorted("".join(sortable.replace(",", "").split())) == sorted(
            "".join(one.replace(",", "").split())
        )


@given(st.lists(st.from_regex(r"[A-Z][a-z]{4,9}", fullmatch=True), min_size=2, max_size=4))
@settings(max_examples=100, derandomize=True, database=None)
def test_a_sortable_name_is_its_own(words: list[str]) -> None:
    """What has the surname first stays so."""
    sortable = sortable_name(" ".join(words))
    assert sortable == f"{words[-1]}, {' '.join(words[:-1])}"
    assert sortable_name(sortable) == sortable


@pytest.mark.parametrize(
    ("workflow_state", "state", "reason", "shown"),
    [
        ("active", "active", "enrollment", "active"),
        ("active", "deleted", "course_deleted", "deleted"),
        ("active", "deleted", "section_deleted", "deleted"),
        ("invited", "completed", "course_completed", "completed"),
        ("active", "completed", "dates", "active"),
        ("active", "pending_active", "dates", "active"),
        ("invited", "pending_invited", "dates", "invited"),
        ("invited", "completed", "dates", "invited"),
        ("creation_pending", "active", "dates", "active"),
        ("inactive", "pending_active", "dates", "active"),
        ("deleted", "completed", "dates", "completed"),
    ],
)
def test_states(workflow_state: str, state: str, reason: str, shown: str) -> None:
    """Canvas shows what somebody has set, not what it comes to by dates."""
    assert canvas_state(workflow_state, state, reason) == shown
