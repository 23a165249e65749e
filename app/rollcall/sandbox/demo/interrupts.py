"""Ctrl-C at any time: the first one ends the demo, later ones do not interrupt the cleanup."""

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
    """Turns the first SIGINT, SIGTERM or SIGHUP into a KeyboardInterrupt, with and without an event
    loop, and ignores later ones.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._awaited = False

    @property
    def exit_code(self) -> int:
        """The exit code of a shell: 130 for Ctrl-C."""
        return 128 + (self._number or signal.SIGINT)

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals in the block. Only for the main thread."""
        # With nohup, SIGHUP stays ignored.
        numbers = [
            number
            for number in _SIGNALS
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def awaited(self) -> None:
        """Wait within :meth:`run` for a signal as the regular end of the work."""
        self._awaited = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Like ``asyncio.run``. A signal cancels the work, waits for its end, and raises
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
        if self._number is not None and not self._awaited:  # too late to cancel the work
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
