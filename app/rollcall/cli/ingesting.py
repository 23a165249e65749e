"""Runs ``rollcall ingest file``: signals, progress, and the result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import uvloop

from rollcall.cli.cluster import bootstrap_servers
from rollcall.cli.long_work import ProgressLine, log_problems_only, run_until_signal
from rollcall.errors import ConfigurationError, RollcallError
from rollcall.ingest.file.reading import STANDARD_INPUT, check_readable
from rollcall.ingest.file.sending import Fault, FileIngest
from rollcall.printable import printable
from rollcall.settings import load_settings

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
    log_problems_only(settings, "aiokafka", "rollcall.ingest.sink")
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


async def _run(ingest: FileIngest, names: Sequence[str], screen: _Screen) -> int:
    try:
        with screen.line:
            code = await run_until_signal(ingest.run(names), lambda: screen.show(ingest))
    except (RollcallError, OSError):
        if ingest.sent:
            screen.line.print(_interrupted(ingest, names))
        raise
    if code is not None:
        screen.line.print(_interrupted(ingest, names))
        return code
    print(f"sent {_events(ingest.sent)} to {ingest.topic}")
    if ingest.faults:
        screen.line.print(
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
        self.line = ProgressLine()
        self._problem_since = time.monotonic()
        self._is_problem_shown = False
        self._title = ""

    def report(self, fault: Fault) -> None:
        """Print a place that was not sent."""
        line, column, message = fault.broken
        self.line.print(f"{printable(fault.title)}:{line}:{column}: {message}")

    def show(self, ingest: FileIngest) -> None:
        """Show the progress, and say if Kafka is away."""
        self._show_problem(ingest.unavailable_reason, time.monotonic())
        if ingest.file is None:
            return
        if ingest.file.title != self._title:
            self._title = ingest.file.title
            self.line.begin(printable(self._title), ingest.file.size)
        rate = self.line.rate(ingest.sent)
        self.line.show(f"{ingest.sent:,} events, {rate:,.0f}/s", ingest.file.consumed_bytes)

    def _show_problem(self, problem: str | None, now: float) -> None:
        if problem is None:
            if self._is_problem_shown:
                self.line.print("rollcall: Kafka takes records again")
            self._problem_since, self._is_problem_shown = now, False
        elif not self._is_problem_shown and now - self._problem_since > PATIENCE_SECONDS:
            self._is_problem_shown = True
            self.line.print(f"rollcall: {problem}; waiting for it")
