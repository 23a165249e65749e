"""The consumer's thread."""

from __future__ import annotations

import asyncio
import threading

from mode.threads import ServiceThread

from app.streaming.consumer_thread import DaemonThread


class Stubborn(ServiceThread):
    """Has a task that takes its cancellation for that of another one, and waits on."""

    abstract = False
    Worker = DaemonThread

    async def on_thread_started(self) -> None:
        self._task = asyncio.create_task(self._wait_on())
        await asyncio.sleep(0)

    async def _wait_on(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue


def test_a_thread_that_does_not_end_holds_up_nobody() -> None:
    stopped = threading.Event()

    async def start_and_stop() -> None:
        thread = Stubborn()
        await thread.start()
        await thread.stop()
        assert thread._thread is not None
        assert not thread._thread.is_alive()
        stopped.set()

    threading.Thread(target=lambda: asyncio.run(start_and_stop()), daemon=True).start()
    assert stopped.wait(30)
