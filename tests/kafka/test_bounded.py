"""Work with a time limit, and clients that ignore their cancellation."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from rollcall.kafka import bounded
from rollcall.kafka.bounded import abandon, close, promptly, stop_reader
from tests.waiting import eventually, in_time

LONG = 600.0
"""Longer than any test waits."""

SHORT = 0.05


async def stubborn(let_go: asyncio.Event) -> str:
    """Mistakes a cancellation for that of an inner task, as clients do while they close, and keeps
    waiting.
    """
    while not let_go.is_set():
        try:
            await let_go.wait()
        except asyncio.CancelledError:
            continue
    return "late"


async def failing(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def test_a_result_and_an_error_come_through() -> None:
    assert await promptly(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ZeroDivisionError):
        await promptly(failing(ZeroDivisionError()))


async def test_it_does_not_wait_for_what_does_not_let_itself_be_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = asyncio.Event()
    with pytest.raises(TimeoutError):
        await in_time(promptly(stubborn(let_go), SHORT), what="the end of waiting")
    assert len(bounded._left) == 1
    let_go.set()
    await eventually(lambda: not bounded._left, what="the end of the work")
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_error_that_comes_as_the_caller_is_cancelled_is_not_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    caller = asyncio.ensure_future(promptly(work))
    await asyncio.sleep(0)
    work.set_exception(KafkaConnectionError())
    caller.cancel()
    await in_time(asyncio.wait({caller}), what="its end")
    assert caller.cancelled()
    await eventually(lambda: not bounded._left, what="the end of the work")
    del work, caller
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_an_error_of_abandoned_work_is_not_reported(
    caplog: pytest.LogCaptureFixture, turns: int
) -> None:
    """Not started, failing, failed."""
    work = asyncio.ensure_future(failing(KafkaConnectionError()))
    for _ in range(turns):
        await asyncio.sleep(0)
    abandon(work)
    await asyncio.wait({work})
    await eventually(lambda: not bounded._left, what="the end of the work")
    del work
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_reader_is_stopped_though_its_owner_is_cancelled_again(bootstrap: str) -> None:
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await reader.start()

    async def own() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await stop_reader(reader)

    owner = asyncio.create_task(own())
    for _ in range(2):
        await asyncio.sleep(0)
        owner.cancel()
    await in_time(asyncio.wait({owner}), what="its end")
    await eventually(lambda: not bounded._left, what="the end of the reader")
    assert reader._closed


async def test_what_a_client_has_cancelled_is_an_error_like_any_other() -> None:
    with pytest.raises(KafkaConnectionError, match="given up"):
        await promptly(failing(asyncio.CancelledError()))


async def test_a_late_error_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    async def late() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(True)
            await failing(ZeroDivisionError())

    cancelled: list[bool] = []
    with pytest.raises(TimeoutError):
        await promptly(late(), SHORT)
    await eventually(lambda: bool(cancelled) and not bounded._left, what="the error")
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_whoever_is_cancelled_meanwhile_cancels_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.set()

    waiting = asyncio.create_task(promptly(work()))
    await in_time(begun.wait(), what="the work")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await in_time(ended.wait(), what="the end of the work")


async def test_a_client_may_end_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "CLOSE_SECONDS", SHORT)
    let_go = asyncio.Event()
    await in_time(close(stubborn(let_go)), what="the end of closing")
    await in_time(close(asyncio.sleep(LONG)), what="the end of closing")
    let_go.set()
    errors: list[Callable[[], BaseException]] = [
        KafkaConnectionError,
        OSError,
        TimeoutError,
        asyncio.CancelledError,
    ]
    for error in errors:
        await close(failing(error()))  # that of a task of the client's own, let through
    with pytest.raises(ZeroDivisionError):
        await close(failing(ZeroDivisionError()))


async def test_a_reader_that_never_began_can_be_stopped() -> None:
    reader = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaConnectionError):
        await in_time(reader.start(), what="the refusal")
    await in_time(stop_reader(reader), what="the end of the reader")


def test_a_client_is_closed_however_slowly_the_loop_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With uvloop, which runs due timers before tasks that are ready."""

    class Reader:
        stopped = False

        async def stop(self) -> None:
            self.stopped = True

    async def stop_while_others_work(reader: Reader) -> None:
        loop = asyncio.get_running_loop()
        stopping = loop.create_task(stop_reader(reader))
        for _ in range(3):
            loop.call_soon(time.sleep, 0.05)
            await asyncio.sleep(0)
        await stopping

    monkeypatch.setattr(bounded, "CLOSE_SECONDS", 0.01)
    reader, loop = Reader(), uvloop.new_event_loop()
    try:
        loop.run_until_complete(stop_while_others_work(reader))
        loop.run_until_complete(asyncio.sleep(0.05))
    finally:
        loop.close()
    assert reader.stopped
