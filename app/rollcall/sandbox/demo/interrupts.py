"""Ctrl-C at any moment: the first one ends what is going on, further ones do not disturb the
clearing up.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns the first of SIGINT, SIGTERM and SIGHUP into a KeyboardInterrupt, in code with and
    without an event loop, and ignores the rest.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._awaited = False

    @property
    def exit_code(self) -> int:
        """As shells have it: 130 for Ctrl-C."""
        return 128 + (self._number or signal.SIGINT)

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals while the context is open. For the main thread."""
        # nohup has SIGHUP ignored, and that is meant.
        heeded = [
            number
            for number in _SIGNALS
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._handle) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def awaited(self) -> None:
        """Wait for a signal within :meth:`run`, as what ends the work in good order."""
        self._awaited = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Like ``asyncio.run``; a signal cancels the work, waits for its end and raises
        KeyboardInterrupt.
        """

        async def cancellable() -> T:
            task = asyncio.ensure_future(work)
            self._running = (asyncio.get_running_loop(), task)
            try:
                return await task
            finally:
                self._running = None

        try:
            result = asyncio.run(cancellable())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        if self._number is not None and not self._awaited:  # too late to be noticed by the work
            raise KeyboardInterrupt
        return result

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._number is not None:
            return
        self._number = number
        if self._running is None:
            raise KeyboardInterrupt
        loop, task = self._running
        loop.call_soon_threadsafe(task.cancel)
