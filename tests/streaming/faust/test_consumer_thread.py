"""Thread of the consumer."""

from __future__ import annotations

import asyncio
import itertools
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode.threads import ServiceThread
from mode.utils.locks import Event

from rollcall.streaming.faust.consumer_thread import (
    ChunkConsumerThread,
    DaemonThread,
    StoppableThread,
)
from tests.waiting import eventually, in_time, wait_until


class Stubborn(StoppableThread):
    """Has a task that mistakes its cancellation for another task's, and keeps waiting."""

    abstract = False

    async def on_thread_started(self) -> None:
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._wait_on())
        await asyncio.sleep(0)

    async def _wait_on(self) -> None:
        while not self._enough.is_set():
            try:
                await self._enough.wait()
            except asyncio.CancelledError:
                continue

    def end(self) -> None:
        """End the thread."""
        assert self._thread is not None
        assert self._thread.is_alive()
        self.thread_loop.call_soon_threadsafe(self._enough.set)
        self._thread.join()


def test_a_thread_that_does_not_end_does_not_block_its_stop() -> None:
    async def start_and_stop() -> None:
        thread = Stubborn()
        stopping.append(thread)
        await thread.start()
        await thread.stop()

    stopping: list[Stubborn] = []
    stopper = threading.Thread(target=lambda: asyncio.run(start_and_stop()), daemon=True)
    stopper.start()
    wait_until(lambda: not stopper.is_alive(), what="the end of stopping")
    stopping[0].end()


class Crashing(StoppableThread):
    """Crashes on request."""

    abstract = False


class Upstream(ServiceThread):
    """A thread without Rollcall's override."""

    abstract = False
    Worker = DaemonThread


async def _stop_after_its_end(thread: ServiceThread) -> None:
    await thread.start()
    assert thread._thread is not None
    await thread.crash(ArithmeticError("the service's own"))
    await asyncio.to_thread(thread._thread.join)
    assert thread.thread_loop.is_closed()
    await thread.stop()


async def test_a_thread_that_has_ended_by_itself_can_be_stopped() -> None:
    thread = Crashing()
    await in_time(_stop_after_its_end(thread), what="the end of stopping")
    assert thread._stopped.is_set()


async def test_upstream_cannot_stop_a_thread_that_has_ended_by_itself() -> None:
    """Otherwise StoppableThread is no longer needed."""
    with pytest.raises(RuntimeError, match="closed"):
        await in_time(_stop_after_its_end(Upstream()), what="the end of stopping")


class Joined(DaemonThread):
    """Has ended when its start returns."""

    def start(self) -> None:
        super().start()
        self.join()


@pytest.mark.parametrize("worker", [DaemonThread, Joined])
async def test_a_crash_at_the_start_is_reported_once(
    worker: type[DaemonThread],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        await asyncio.to_thread(awaited.wait)
        raise error

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        others.append(context)

    error, others, awaited = ArithmeticError("no broker"), list[object](), threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(note)
    monkeypatch.setattr(threading, "excepthook", others.append)
    thread = Crashing(Worker=worker)
    monkeypatch.setattr(thread, "on_start", fail)
    if worker is Joined:
        awaited.set()
        await thread.start()
    else:
        loop.call_soon(awaited.set)
        with pytest.raises(ArithmeticError):
            await thread.start()
    assert thread._thread is not None
    await in_time(asyncio.to_thread(thread._thread.join), what="the end of the thread")
    await in_time(thread.stop(), what="the end of stopping")
    assert others == []
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


class Watched(StoppableThread):
    """A thread with mode's wake-up timer."""

    abstract = False


class UpstreamWatched(ServiceThread):
    """A thread with mode's wake-up timer, without Rollcall's override."""

    abstract = False
    Worker = DaemonThread


@pytest.mark.parametrize(("kind", "complains"), [(Watched, False), (UpstreamWatched, True)])
async def test_a_suspended_process_is_no_error_of_its_thread(
    kind: type[ServiceThread],
    complains: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(step=10)  # mode complains after 3 s
    monkeypatch.setattr("mode.threads.monotonic", lambda: float(next(clock)))
    thread, wakeups = kind(), asyncio.Queue[None]()
    wake = thread._wakeup_timer_in_thread

    async def wake_and_count() -> None:
        await wake()
        wakeups.put_nowait(None)

    monkeypatch.setattr(thread, "_wakeup_timer_in_thread", wake_and_count)
    await thread.start()
    for _ in range(3):
        await in_time(wakeups.get(), what="a turn")
    await thread.stop()
    assert ("not responding" in caplog.text) is complains


class Closed:
    """Part of a consumer that notes in which thread it is closed."""

    def __init__(self) -> None:
        self.closed_in: list[threading.Thread] = []

    async def close(self) -> None:
        self.closed_in.append(threading.current_thread())


@pytest.mark.parametrize("upstream", [False, True])
async def test_the_main_thread_does_not_close_the_connections_of_the_consumers_thread(
    upstream: bool,
) -> None:
    """Faust asks for it when the group rebalances while the process stops."""
    client, coordinator = Closed(), Closed()
    thread = cast(
        ChunkConsumerThread,
        SimpleNamespace(
            _consumer=SimpleNamespace(_client=client, _coordinator=coordinator, _closed=False),
            app=SimpleNamespace(loop=asyncio.get_running_loop()),
        ),
    )
    (AIOKafkaConsumerThread if upstream else ChunkConsumerThread).close(thread)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.closed_in == coordinator.closed_in == [threading.main_thread()] * upstream


def callers(loop: asyncio.AbstractEventLoop) -> set[threading.Thread]:
    """The threads that call the loop's ``call_soon`` from now on."""
    threads: set[threading.Thread] = set()
    call_soon = loop.call_soon

    def note_caller(*arguments: Any, **options: Any) -> asyncio.Handle:
        threads.add(threading.current_thread())
        return call_soon(*arguments, **options)

    loop.call_soon = note_caller  # type: ignore[method-assign,assignment]
    return threads


async def test_a_crash_of_the_main_thread_wakes_waiters_in_their_own_thread() -> None:
    thread = Watched(thread_loop=asyncio.SelectorEventLoop())
    await thread.start()
    assert thread._thread is not None
    await eventually(lambda: bool(thread._crashed._waiters), what="a waiter")
    found = callers(thread.thread_loop)
    thread._crash(ArithmeticError("another service's"))
    await in_time(asyncio.to_thread(thread._thread.join), what="the end of the thread")
    assert found == {thread._thread}
    await thread.stop()
    thread.thread_loop.close()


def test_an_event_is_set_from_another_thread() -> None:
    async def wait_for_event() -> set[threading.Thread]:
        loop = asyncio.get_running_loop()
        event, found = Event(loop=loop), callers(loop)
        threading.Timer(0.1, event.set).start()
        await in_time(event.wait(), what="the event")
        return found

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(wait_for_event()) == {threading.current_thread()}


async def test_an_event_of_a_closed_loop_is_set() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    event = Event(loop=loop)
    event.set()
    assert event.is_set()
