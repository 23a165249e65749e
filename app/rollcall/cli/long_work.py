"""Parts of commands that work for long: their logs, signals, and progress on a terminal."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rollcall.process.ending import ending_signals
from rollcall.process.logs import configure_logging
from rollcall.sandbox.demo.screen import Rate
from rollcall.settings import Settings

REFRESH_SECONDS = 0.2


def log_problems_only(settings: Settings, *silent: str) -> None:
    """Log what the command does not say itself.

    Args:
        silent: loggers of which nothing is logged.
    """
    configure_logging(settings.model_copy(update={"log_format": "text", "log_level": "WARNING"}))
    for name in silent:
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def run_until_signal(
    work: Coroutine[Any, Any, object], show: Callable[[], object]
) -> int | None:
    """Run, and show the progress. A signal cancels the work. Raises what the work raises.

    Returns the exit code of a command that a signal has ended; None: the work is done.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    signals: list[int] = []

    def interrupt(number: int) -> None:
        if not signals:
            task.cancel()
        signals.append(number)

    for number in ending_signals():
        loop.add_signal_handler(number, interrupt, number)
    while not task.done():
        show()
        await asyncio.wait({task}, timeout=REFRESH_SECONDS)
    try:
        task.result()
    except asyncio.CancelledError:
        return 128 + signals[0]
    return None


class ProgressLine:
    """Standard error: lines, and on a terminal a line with the progress below them. A context
    manager: the progress is shown during the block.

    Args:
        clock: seconds, for rate and remaining time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._rate = Rate()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            get_time=clock,
            disable=not self._console.is_terminal or self._console.is_dumb_terminal,
        )
        self._task = self._progress.add_task("", total=None, counts="")

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def begin(self, title: str, total: int | None) -> None:
        """Begin a part of the work, with a remaining time of its own.

        Args:
            total: None: unknown.
        """
        # a reset without a total keeps the one before
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=total, counts="")

    def rate(self, count: int) -> float:
        """What was done in a second, lately.

        Args:
            count: what is done.
        """
        return self._rate.at(self._clock(), count)

    def show(self, counts: str, completed: int, **others: Any) -> None:
        """Show the progress.

        Args:
            others: a new ``description`` or ``total``.
        """
        self._progress.update(self._task, counts=counts, completed=completed, **others)

    def print(self, line: str) -> None:
        """Print a line."""
        if self._progress.disable:
            print(line, file=sys.stderr)
        else:
            self._console.print(line, soft_wrap=True)
