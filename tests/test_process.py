"""How long the oldest unprocessed record waits, as partitions come to it, fall behind, stand still and catch up."""

from __future__ import annotations

from dataclasses import replace

from faust.types import TP

from app.process import OldestUnprocessed
from app.streaming.application import PartitionStatus
from app.streaming.lane import LaneState

NOW = 1_772_442_000.0
IDLE = PartitionStatus("router", TP("canvas.raw", 0), LaneState.OPEN, None, 10, 0, None, None, 0)
OTHER = replace(IDLE, tp=TP("canvas.raw", 1))


def read(seconds: float) -> PartitionStatus:
    """A partition of which a record of this age was read."""
    return replace(IDLE, lag=5, oldest_pending=int((NOW - seconds) * 1000))


def test_nothing_waits_where_there_is_no_lag() -> None:
    oldest = OldestUnprocessed()
    assert oldest.seconds([], NOW) == oldest.seconds([IDLE, OTHER], NOW) == 0


def test_of_what_was_read_the_age_is_known() -> None:
    oldest = OldestUnprocessed()
    assert oldest.seconds([IDLE, read(40)], NOW) == 40
    assert oldest.seconds([read(40), replace(read(70), tp=OTHER.tp)], NOW) == 70
    assert oldest.seconds([read(-3_600)], NOW) == 0, "a bridge's clock that is ahead"


def test_of_what_was_not_read_it_is_the_time_without_movement() -> None:
    oldest = OldestUnprocessed()
    halted = replace(IDLE, lag=100, state=LaneState.HALTED)
    assert [oldest.seconds([halted, OTHER], NOW + second) for second in range(4)] == [0, 1, 2, 3]
    assert oldest.seconds([halted, replace(read(2), tp=OTHER.tp)], NOW + 4) == 6


def test_lag_that_never_ends_is_no_standstill() -> None:
    """Under load there is always some partition that has lag at the moment."""
    oldest = OldestUnprocessed()
    moving = [replace(IDLE, lag=1_000, committed=10 + second) for second in range(600)]
    assert max(oldest.seconds([status], NOW + second) for second, status in enumerate(moving)) == 0
    turns = [[IDLE, replace(OTHER, lag=9)] if second % 2 else [replace(IDLE, lag=9), OTHER] for second in range(600)]
    assert max(oldest.seconds(statuses, NOW + second) for second, statuses in enumerate(turns)) == 0
