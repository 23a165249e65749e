"""Runs a process until a signal ends it."""

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
"""Time limit for the rest of a stop, besides draining: with the default settings a process ends
within 10 s of SIGTERM.
"""


LOOP_CLOSE_SECONDS = 2.0
"""Time limit for tasks left in the event loop after the process."""

_LOGGED_FRAMES = 3


class Process(Protocol):
    """Runs until it is stopped."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set. Raises a :class:`rollcall.errors.RollcallError` if the process
        must end for another reason.
        """


def run_process(
    settings: Settings,
    new_process: Callable[[], Process],
    *,
    stopping_seconds: float | None = None,
) -> None:
    """Run a process in its own event loop until SIGTERM or SIGINT.

    Args:
        stopping_seconds: time limit of a stop. Default: that of a process with lanes.

    Tasks that clients leave in the loop delay nothing: asyncio would wait for them, and aiokafka's
    may never end (see kafka/bounded.py).

    Raises a :class:`rollcall.errors.RollcallError` for every problem that a user can correct.
    """
    runner = asyncio.Runner()
    code, message = 0, "the process has stopped"
    try:
        runner.run(
            _run_until_signalled(
                new_process,
                settings.drain_seconds + STOPPING_SECONDS
                if stopping_seconds is None
                else stopping_seconds,
            )
        )
    except BaseException as error:
        code, message = (
            error.exit_code if isinstance(error, RollcallError) else 1,
            str(error) or type(error).__name__,
        )
        raise
    finally:
        guard = _exit_after(
            LOOP_CLOSE_SECONDS,
            code,
            f"{message}; tasks of its clients did not end in time",
            runner.get_loop(),
        )
        runner.close()
        guard.cancel()


async def _run_until_signalled(new_process: Callable[[], Process], stopping_seconds: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            _exit_after(
                stopping_seconds,
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
    """End the process if its stop hangs. Uncommitted work is repeated by its successor."""

    def exit_now() -> None:
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        at = [
            f"{frame_summary.filename}:{frame_summary.lineno} {frame_summary.name}"
            for frame_summary in traceback.extract_stack(frame)[-_LOGGED_FRAMES:]
        ]
        log.log(
            logging.ERROR if code else logging.WARNING,
            "%s",
            message,
            extra={"at": at, "tasks": sorted(map(_position_of, asyncio.all_tasks(loop)))},
        )
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()
    return timer


def _position_of(task: asyncio.Task[Any]) -> str:
    """Position of a task: its innermost coroutine."""
    awaited: Any = task.get_coro()
    frames: list[str] = []
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        frames.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
        awaited = awaited.cr_await
    return " > ".join([task.get_name(), *frames[-_LOGGED_FRAMES:]])
