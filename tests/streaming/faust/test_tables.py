"""End of the rest of Faust's recovery (app/rollcall/streaming/faust/tables.py)."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
import pytest
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped

from rollcall.streaming.faust.tables import LaneTables
from tests.waiting import in_time


@pytest.mark.parametrize("interruption", [ServiceStopped, RebalanceAgain])
async def test_an_interrupted_recovery_leaves_no_error(
    monkeypatch: pytest.MonkeyPatch, interruption: type[Exception]
) -> None:
    """Faust waits for it and is interrupted itself, so its exception is never retrieved."""

    async def interrupted(_recovery: Recovery, _generation_id: int = 0) -> None:
        raise interruption

    monkeypatch.setattr(Recovery, "on_recovery_completed", interrupted)
    app: Any = faust.App("recovery", TableManager=LaneTables)
    left = asyncio.create_task(app.tables.recovery.on_recovery_completed(0))
    await in_time(asyncio.wait({left}), what="its end")
    assert left.exception() is None


async def test_any_other_error_of_a_recovery_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(_recovery: Recovery, _generation_id: int = 0) -> None:
        raise ValueError

    monkeypatch.setattr(Recovery, "on_recovery_completed", failing)
    app: Any = faust.App("recovery", TableManager=LaneTables)
    with pytest.raises(ValueError, match=r"^$"):
        await app.tables.recovery.on_recovery_completed(0)


@pytest.mark.parametrize("upstream", [False, True])
async def test_a_slow_step_is_no_end_of_the_recovery(upstream: bool) -> None:
    """Otherwise a process on slow brokers got its partitions and read nothing."""
    app: Any = faust.App("recovery", TableManager=LaneTables)
    recovery = app.tables.recovery
    done = asyncio.Event()
    step = asyncio.create_task(done.wait())
    if upstream:
        with pytest.raises(ServiceStopped):
            await Recovery._wait(recovery, step, timeout=0.01)
    else:
        asyncio.get_running_loop().call_later(0.2, done.set)
        await in_time(recovery._wait(step, timeout=0.01), what="the step")
        assert done.is_set()
