"""Runs ``rollcall ingest file``: signals, progress, and the result."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rollcall.cli.cluster import bootstrap_servers
from rollcall.errors import ConfigurationError, RollcallError
from rollcall.ingest.file.reading import STANDARD_INPUT, check_readable
from rollcall.ingest.file.sending import Fault, FileIngest
from rollcall.printable import printable
from rollcall.process.ending import ending_signals
from rollcall.process.logs import configure_logging
from rollcall.sandbox.demo.screen import Rate
from rollcall.settings import Settings, load_settings

REFRESH_SECONDS = 0.2
PATIENCE_SECONDS = 2.0
"""Shorter problems of Kafka are not shown."""


def ingest_files(names: Sequence[str], *, rate: float | None, is_resumed: bool) -> int:
    """Send the events of files to the raw topic. Returns the exit code.

    Raises:
        RollcallError: an operator must act.
    """
    _check_names(names, is_resumed=is_resumed)
    settings = load_settings()
    bootstrap = bootstrap_servers(settings)
    _configure_logging(settings)
    screen = _Screen()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            _run(
                FileIngest(
                    settings,
                    bootstrap,
                    rate=rate,
                    is_resumed=is_resumed,
                    report=screen.report,
                ),
                names,
                screen,
            )
        )


def _check_names(names: Sequence[str], *, is_resumed: bool) -> None:
    for name in names:
        check_readable(name, is_resumed=is_resumed)
    if names.count(STANDARD_INPUT) > 1:
        raise ConfigurationError("standard input (-) can be read only once: name it once")


def _configure_logging(settings: Settings) -> None:
    """Only what the screen does not say."""
    configure_logging(settings.model_copy(update={"log_format": "text", "log_level": "WARNING"}))
    for name in ("aiokafka", "rollcall.ingest.sink"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def _run(ingest: FileIngest, names: Sequence[str], screen: _Screen) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(ingest.run(names))
    signals: list[int] = []

    def interrupt(number: int) -> None:
        if not signals:
            work.cancel()
        signals.append(number)

    for number in ending_signals():
        loop.add_signal_handler(number, interrupt, number)
    try:
        with screen.live():
            while not work.done():
                screen.show(ingest)
                await asyncio.wait({work}, timeout=REFRESH_SECONDS)
        work.result()
    except (RollcallError, OSError, asyncio.CancelledError) as error:
        if ingest.sent or isinstance(error, asyncio.CancelledError):
            screen.print(_interrupted(ingest, names))
        if isinstance(error, asyncio.CancelledError):
            return 128 + signals[0]
        raise
    print(f"sent {_events(ingest.sent)} to {ingest.topic}")
    if ingest.faults:
        screen.print(
            f"rollcall: {ingest.faults:,} place{'' if ingest.faults == 1 else 's'} not sent; mend "
            "them, and send only the mended events"
        )
    return int(bool(ingest.faults))


def _interrupted(ingest: FileIngest, names: Sequence[str]) -> str:
    advice = (
        "standard input cannot be resumed: all events have to be sent again"
        if STANDARD_INPUT in names
        else "run the command again with --resume to send the rest"
    )
    were = "was" if ingest.sent == 1 else "were"
    return f"rollcall: interrupted; {_events(ingest.sent)} {were} sent; {advice}"


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


class _Screen:
    """Standard error: faults, and on a terminal, the progress."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._rate = Rate()
        self._problem_since = time.monotonic()
        self._is_problem_shown = False
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal or self._console.is_dumb_terminal,
        )
        self._task = self._progress.add_task("", total=None, counts="")
        self._title = ""

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the progress during the block."""
        with self._progress:
            yield

    def report(self, fault: Fault) -> None:
        """Print a place that was not sent."""
        line, column, message = fault.broken
        self.print(f"{printable(fault.title)}:{line}:{column}: {message}")

    def show(self, ingest: FileIngest) -> None:
        """Show the progress, and say if Kafka is away."""
        self._show_problem(ingest.unavailable_reason, time.monotonic())
        if ingest.file is None:
            return
        if ingest.file.title != self._title:
            self._title = ingest.file.title
            self._progress.reset(
                self._task, total=ingest.file.size, description=printable(self._title)
            )
        rate = self._rate.at(time.monotonic(), ingest.sent)
        self._progress.update(
            self._task,
            completed=ingest.file.consumed_bytes,
            counts=f"{ingest.sent:,} events, {rate:,.0f}/s",
        )

    def _show_problem(self, problem: str | None, now: float) -> None:
        if problem is None:
            if self._is_problem_shown:
                self.print("rollcall: Kafka takes records again")
            self._problem_since, self._is_problem_shown = now, False
        elif not self._is_problem_shown and now - self._problem_since > PATIENCE_SECONDS:
            self._is_problem_shown = True
            self.print(f"rollcall: {problem}; waiting for it")

    def print(self, line: str) -> None:
        """Print a line."""
        if self._progress.disable:
            print(line, file=sys.stderr)
        else:
            self._console.print(line, soft_wrap=True)
