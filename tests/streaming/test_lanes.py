"""Lanes at the end of a process: rebalances still happen, without any effect."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from rollcall.streaming import lanes as module
from rollcall.streaming.chunks import ChunkAgent, ChunkPolicy
from rollcall.streaming.lane import Lane, LaneContext, LaneState
from rollcall.streaming.lanes import Lanes, PartitionsError
from tests.waiting import in_time

PARTITIONS = {TP("in", 0), TP("in", 1)}


class SlowLane:
    """Closes when the test allows it."""

    def __init__(
        self, _agent: ChunkAgent, _partition: int, inputs: Collection[TP], context: Any
    ) -> None:
        self.inputs = inputs
        self._context = context
        context.opened.append(self)

    async def close(self) -> None:
        """Wait for the test, even if cancelled."""
        await self._context.may_close.wait()


@pytest.fixture
def context() -> Any:
    return SimpleNamespace(opened=[], failures=[], may_close=asyncio.Event())


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch, context: Any) -> Lanes:
    monkeypatch.setattr(module, "Lane", SlowLane)
    lanes = Lanes([ChunkAgent("agent", ("in",), "group", cast(Any, None))])
    context.fatal = context.failures.append
    lanes.configure(cast(LaneContext, context))
    return lanes


async def test_after_the_end_no_lane_opens(lanes: Lanes, context: Any) -> None:
    context.may_close.set()
    lanes.assign(PARTITIONS)
    await lanes.revoke()
    lanes.assign(PARTITIONS)
    assert len(context.opened) == 4, "before the end, two assignments open four lanes"
    await lanes.end()
    lanes.assign(PARTITIONS)
    assert len(context.opened) == 4
    assert not list(lanes)
    assert not lanes.assigned


async def test_the_end_waits_for_lanes_that_a_rebalance_is_closing(
    lanes: Lanes, context: Any
) -> None:
    """Otherwise the process would end during their transactions."""
    lanes.assign(PARTITIONS)
    rebalance = asyncio.create_task(lanes.revoke())
    await asyncio.sleep(0)
    ending = asyncio.create_task(lanes.end())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not ending.done()
    context.may_close.set()
    await in_time(ending, what="the end")
    await in_time(rebalance, what="the rebalance")


async def test_at_the_end_a_rebalance_may_fail(lanes: Lanes, context: Any) -> None:
    error = PartitionsError("different numbers")
    lanes.fail(error)
    context.may_close.set()
    await lanes.end()
    lanes.fail(error)
    assert context.failures == [error], "only the first may end the process"


class SilentProducer:
    """Never finishes its start, like a producer whose broker hangs."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.stopped = False

    async def start(self) -> None:
        """Wait for ever."""
        self.begun.set()
        await asyncio.Event().wait()

    async def abort_transaction(self) -> None:
        """Ignored: there is no transaction."""

    async def stop(self) -> None:
        """Record the call."""
        self.stopped = True


async def test_a_lane_that_waits_for_its_producer_closes_at_once() -> None:
    """There is no transaction to finish."""
    producer, failures = SilentProducer(), list[BaseException]()
    policy = ChunkPolicy(
        max_records=1, max_bytes=1, gather=0.0, drain=1e6, transaction=1e6, reopen=1e6
    )
    context = SimpleNamespace(
        policy=policy,
        new_producer=lambda _transactional_id: producer,
        offsets=None,
        tables=SimpleNamespace(drop=lambda *_: None, changelog=lambda *_: None),
        observer=SimpleNamespace(expired=None),
        seek=None,
        on_room=None,
        fatal=failures.append,
    )
    lane = Lane(
        ChunkAgent("agent", ("in",), "group", cast(Any, None)),
        0,
        [TP("in", 0)],
        cast(LaneContext, context),
    )
    await asyncio.wait_for(producer.begun.wait(), 60)
    await asyncio.wait_for(lane.close(), 60)
    assert lane.state is LaneState.CLOSED
    assert producer.stopped
    assert not failures
