"""A process that runs until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from rollcall.errors import RollcallError
from rollcall.process.ending import ending_signals
from rollcall.settings import Settings

log = logging.getLogger(__name__)

STOPPING_SECONDS = 4.5
"""Beside the draining of chunks, so much may the rest of the end take: with the default settings a
process is gone within 10 s of SIGTERM.
"""


LEFT_SECONDS = 2.0
"""So long may what is left in the event loop take to end, once the process has."""

_SHOWN_FRAMES = 3


class Process(Protocol):
    """What runs until it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises a :class:`rollcall.errors.RollcallError` when the
        process must end for another reason.
        """


def run_process(settings: Settings, new_process: Callable[[], Process]) -> None:
    """Run a process in an event loop of its own until SIGTERM or SIGINT.

    Whatever clients have left in the loop holds up nobody: asyncio would wait for it to end, and
    aiokafka's tasks may never (see kafka/bounded.py).

    Raises a :class:`rollcall.errors.RollcallError` for whatever a person can mend.
    """
    runner = asyncio.Runner()
    code, told = 0, "the process has stopped"
    try:
        runner.run(_run_until_signalled(settings, new_process))
    except BaseException as error:
        code, told = (
            error.exit_code if isinstance(error, RollcallError) else 1,
            str(error) or type(error).__name__,
        )
        raise
    finally:
        guard = _exit_after(
            LEFT_SECONDS,
            code,
            f"{told}; what its clients had begun did not end in time",
            runner.get_loop(),
        )
        runner.close()
        guard.cancel()


async def _run_until_signalled(settings: Settings, new_process: Callable[[], Process]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            _exit_after(
                settings.drain_seconds + STOPPING_SECONDS,
                1,
                "the process did not stop in time and is ended: keep the log",
                loop,
            )

    for number in ending_signals():
        loop.add_signal_handler(number, end)
    await new_process().run(stop)


def _exit_after(
    seconds: float, code: int, message: str, loop: asyncio.AbstractEventLoop
) -> threading.Timer:
    """Whatever hangs while the process stops: it ends. What was not committed is done again by its
    successor.
    """

    def exit_now() -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        at = [
            f"{place.filename}:{place.lineno} {place.name}"
            for place in traceback.extract_stack(frame)[-_SHOWN_FRAMES:]
        ]
        log.log(
            logging.ERROR if code else logging.WARNING,
            "%s",
            message,
            extra={"at": at, "tasks": sorted(map(_place_of, asyncio.all_tasks(loop)))},
        )
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()
    return timer


def _place_of(task: asyncio.Task[Any]) -> str:
    """Where a task waits: the innermost of its coroutines."""
    waits: Any = task.get_coro()
    places: list[str] = []
    while (frame := getattr(waits, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
        waits = waits.cr_await
    return " > ".join([task.get_name(), *places[-_SHOWN_FRAMES:]])
