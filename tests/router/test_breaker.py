"""The breaker, compared with a model, and its notes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.process.breaker import Breaker, BreakerPolicy


@given(st.lists(st.booleans(), max_size=60), st.floats(0, 1), st.integers(1, 20))
def test_it_opens_by_the_ratio_of_the_last_events(
    outcomes: list[bool], ratio: float, events: int
) -> None:
    breaker = Breaker(BreakerPolicy(ratio, events))
    seen: list[bool] = []
    reported = 0
    for number, dead in enumerate(outcomes):
        seen.append(dead)
        if dead:
            breaker.passed(number - reported)  # all since the last call
            reported = number + 1
            last = seen[-events:]
            assert breaker.failed() == (
                ratio > 0 and len(seen) >= events and sum(last) > ratio * events
            )


def test_a_breaker_that_opened_stays_open_until_the_limit_is_raised() -> None:
    breaker = Breaker(BreakerPolicy(0.5, 4))
    assert [breaker.failed() for _ in range(4)] == [False, False, False, True]
    halt = breaker.halt()
    assert "100% of the last 4 events" in halt.reason
    for ratio, is_open in ((0.5, True), (0.4, True), (0.6, False), (0, False), (1, False)):
        assert (Breaker(BreakerPolicy(ratio, 4)).resume(halt.note) is not None) == is_open


@pytest.mark.parametrize("note", ["", "by another tool", "rollcall-breaker", "rollcall-breaker x"])
def test_other_notes_are_ignored(note: str) -> None:
    assert Breaker(BreakerPolicy(0.5, 4)).resume(note) is None
