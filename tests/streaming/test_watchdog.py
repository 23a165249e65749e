"""The watchdog, with a clock that the test sets."""

from __future__ import annotations

from threading import Event

from rollcall.streaming.watchdog import EXIT_CODE, Watchdog
from tests.waiting import wait_until


class Clock:
    """Clock with a time that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lag_without_progress_is_stuck() -> None:
    clock = Clock()
    dog = Watchdog(10, clock=clock)
    for clock.now in (0, 100, 200):
        dog.beat({})
        assert dog.verdict is None, "without work, the process is not stuck"
    clock.now = 205
    dog.beat({"a has lag": 7, "b has lag": 1})
    clock.now = 214
    dog.beat({"a has lag": 7, "b has lag": 2})
    assert dog.verdict is None, "time counts from the beginning of the work"
    clock.now = 216
    dog.beat({"a has lag": 7, "b has lag": 3})
    assert str(dog.verdict) == "a has lag for 11 s", "although b makes progress"
    dog.beat({"a has lag": 8, "b has lag": 3})
    assert dog.verdict is None


def test_a_blocked_event_loop_is_stuck() -> None:
    clock = Clock()
    dog = Watchdog(10, clock=clock)
    dog.beat({})
    clock.now = 11
    assert "event loop" in str(dog.verdict)


def test_it_ends_the_process() -> None:
    ended, codes = Event(), []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    dog = Watchdog(0.05, end=end)
    dog.start()
    wait_until(ended.is_set, what="the end of the process")
    assert codes == [EXIT_CODE]


def test_it_can_be_disabled() -> None:
    clock = Clock()
    dog = Watchdog(0, clock=clock)
    dog.start()
    clock.now = 1e9
    assert dog.verdict is None
    dog.stop()
