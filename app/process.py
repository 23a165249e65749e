"""A process that runs until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Protocol

from app.settings import Settings

log = logging.getLogger(__name__)

STOPPING_SECONDS = 4.5
"""Beside the draining of chunks, so much may the rest of the end take: with the default settings a process is gone within 10 s of SIGTERM."""


_SHOWN_FRAMES = 3


class Process(Protocol):
    """What runs until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises a :class:`app.errors.RollcallError` when the process must end for another reason."""


async def run_until_signalled(settings: Settings, new_process: Callable[[], Process]) -> None:
    """Run a process until SIGTERM or SIGINT.

    Raises a :class:`app.errors.RollcallError` for whatever a person can mend.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            _exit_after(settings.drain_seconds + STOPPING_SECONDS)

    for number in ending_signals():
        loop.add_signal_handler(number, end)
    await new_process().run(stop)


def ending_signals() -> list[signal.Signals]:
    """The signals that end a process in good order. A terminal that is closed is one, unless ``nohup`` has it ignored."""
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL else [])]


def _exit_after(seconds: float) -> None:
    """Whatever hangs while the process stops: it ends. What was not committed is done again by its successor."""

    def exit_now() -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        places = [f"{place.filename}:{place.lineno} {place.name}" for place in traceback.extract_stack(frame)[-_SHOWN_FRAMES:]]
        log.error("the process did not stop in time and is ended", extra={"at": places})
        logging.shutdown()
        os._exit(1)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()
