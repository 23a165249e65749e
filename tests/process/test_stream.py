"""Age of the oldest unprocessed record, and reconnecting to the cluster."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from rollcall.events.registry import REGISTRY
from rollcall.kafka.rights import Rights
from rollcall.process import stream as stream_process
from rollcall.process.metrics import RouterMetrics
from rollcall.process.stream import OldestUnprocessed, StreamProcess, Work
from rollcall.settings import load_settings
from rollcall.streaming.lane import LaneState
from rollcall.streaming.survey import PartitionStatus
from tests.waiting import in_time

NOW = 1_772_442_000.0
IDLE = PartitionStatus("router", TP("canvas.raw", 0), LaneState.OPEN, None, 10, 0, None, None, 0)
OTHER = replace(IDLE, tp=TP("canvas.raw", 1))


def read(seconds: float) -> PartitionStatus:
    """A partition with a read record of this age."""
    return replace(IDLE, lag=5, oldest_pending=int((NOW - seconds) * 1000))


def test_the_age_is_zero_without_lag() -> None:
    oldest = OldestUnprocessed()
    assert oldest.seconds([], NOW) == oldest.seconds([IDLE, OTHER], NOW) == 0


def test_the_age_of_read_records() -> None:
    oldest = OldestUnprocessed()
    assert oldest.seconds([IDLE, read(40)], NOW) == 40
    assert oldest.seconds([read(40), replace(read(70), tp=OTHER.tp)], NOW) == 70
    assert oldest.seconds([read(-3_600)], NOW) == 0, "the bridge's clock may be ahead"


def test_for_unread_records_it_is_the_time_without_progress() -> None:
    oldest = OldestUnprocessed()
    halted = replace(IDLE, lag=100, state=LaneState.HALTED)
    assert [oldest.seconds([halted, OTHER], NOW + second) for second in range(4)] == [0, 1, 2, 3]
    assert oldest.seconds([halted, replace(read(2), tp=OTHER.tp)], NOW + 4) == 6


def test_permanent_lag_with_progress_has_no_age() -> None:
    """Under load some partition always has lag."""
    oldest = OldestUnprocessed()
    moving = [replace(IDLE, lag=1_000, committed=10 + second) for second in range(600)]
    assert max(oldest.seconds([status], NOW + second) for second, status in enumerate(moving)) == 0
    turns = [
        [IDLE, replace(OTHER, lag=9)] if second % 2 else [replace(IDLE, lag=9), OTHER]
        for second in range(600)
    ]
    assert max(oldest.seconds(statuses, NOW + second) for second, statuses in enumerate(turns)) == 0


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_hanging_or_cancelled_client_does_not_end_the_process(
    monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """A client may hang, or raise CancelledError without a cancellation of the process. The process
    tries to connect again.
    """
    monkeypatch.setattr(stream_process, "PREPARING_SECONDS", 0.05)
    monkeypatch.setattr(stream_process, "RETRY_SECONDS", 0.01)
    stop = asyncio.Event()
    reasons: list[list[str]] = []

    async def prepare() -> Work:
        reasons.append(process.not_ready())
        if len(reasons) == 3:
            stop.set()
        if hangs:
            await asyncio.Event().wait()
        raise asyncio.CancelledError

    metrics = RouterMetrics(CollectorRegistry(), REGISTRY)
    settings = load_settings(port=0)
    process = StreamProcess(
        settings,
        "kafka:9092",
        name="router",
        rights=Rights("router", (), ()),
        default_port=0,
        default_gather=0.0,
        prepare=prepare,
        metrics=metrics,
    )
    await in_time(process.run(stop), what="the end of the process")
    kind = "TimeoutError" if hangs else "KafkaConnectionError"
    assert reasons == [
        ["the topics are being checked"],
        *[[f"Kafka at kafka:9092 does not answer ({kind}); look at the brokers' logs"]] * 2,
    ]
    assert process.not_ready() == ["the process is ending"]
