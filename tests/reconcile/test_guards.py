"""Guards: nothing is deleted because of a limited token, an empty list or a fault of Canvas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.reconcile.guards import (
    ALL,
    MOST_SET_ASIDE,
    CourseLosses,
    set_aside_reason,
    stop_reason,
)


@pytest.mark.parametrize(
    ("current", "absent", "is_list_empty", "is_set_aside"),
    [
        (0, 0, True, False),
        (4, 4, False, False),
        (5, 5, True, False),
        (6, 6, True, True),
        (6, 5, True, True),
        (6, 0, True, False),
        (6, 6, False, True),
        (50, 5, False, False),
        (50, 6, False, True),
        (1_000, 100, False, False),
        (1_000, 101, False, True),
    ],
)
def test_a_course_that_shrinks(
    current: int, absent: int, is_list_empty: bool, is_set_aside: bool
) -> None:
    losses = CourseLosses("7", current, absent, is_list_empty)
    reason = set_aside_reason(losses, ())
    assert (reason is not None) is is_set_aside
    assert reason is None or str(current) in reason
    assert set_aside_reason(losses, ["8"]) == reason
    for permitted in (["7"], [ALL], ["8", "7"]):
        assert set_aside_reason(losses, permitted) is None


def losses_of(*courses: tuple[int, int]) -> dict[str, CourseLosses]:
    """Losses by course: current and absent rows."""
    return {
        str(number): CourseLosses(str(number), current, absent, False)
        for number, (current, absent) in enumerate(courses)
    }


def test_a_run_that_shrinks() -> None:
    assert stop_reason(losses_of((1_000, 10)), (), ()) is None
    reason = stop_reason(losses_of((1_000, 11)), (), ())
    assert reason is not None
    assert "11 of 1000" in reason
    assert stop_reason(losses_of((1_000, 11)), (), ["0"]) is None, "permitted"
    assert stop_reason(losses_of((1_000, 11)), (), [ALL]) is None
    assert stop_reason(losses_of((900, 5), (100, 6)), (), ["0"]) is None
    assert stop_reason(losses_of((30, 2)), (), ()) is None, "a small course alone"


def test_many_courses_that_were_set_aside() -> None:
    aside = [str(number) for number in range(MOST_SET_ASIDE + 1)]
    losses = losses_of(*[(100, 50)] * len(aside))
    assert stop_reason(losses, aside, ()) is not None
    assert stop_reason(losses_of((10, 0)), aside[1:], ()) is None
    assert stop_reason(losses, aside, [ALL]) is None


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), max_size=30))
def test_without_permission_a_run_takes_few_rows(shares: list[tuple[int, float]]) -> None:
    """Whatever Canvas answers, a run takes at most 1 % of all current rows, or 5."""
    losses = losses_of(*((current, int(current * share)) for current, share in shares))
    aside = [course for course, each in losses.items() if set_aside_reason(each, ()) is not None]
    left = {course: each for course, each in losses.items() if course not in aside}
    if stop_reason(left, aside, ()) is None:
        taken = sum(each.absent for each in left.values())
        assert taken <= max(5, sum(each.current for each in left.values()) / 100)
