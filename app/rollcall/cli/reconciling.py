"""Runs ``rollcall reconcile``: signals, progress, differences, and the result."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rollcall.cli.cluster import bootstrap_servers
from rollcall.cli.printing import print_parts, until_output_closes
from rollcall.printable import printable
from rollcall.process.ending import ending_signals
from rollcall.process.logs import configure_logging
from rollcall.reconcile.application import Reconcile, RunOptions
from rollcall.reconcile.comparing import Difference
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.summary import Kind, Outcome, Summary
from rollcall.sandbox.demo.screen import Rate
from rollcall.settings import load_settings

REFRESH_SECONDS = 0.2
_COUNTED = (
    *(Kind.READ, Kind.EQUAL, Kind.NEW, Kind.DIFFERENT, Kind.ABSENT, Kind.RECENT),
    *(Kind.AHEAD, Kind.MISSED, Kind.UNJUDGED, Kind.UNUSABLE),
)
_ALWAYS = frozenset({Kind.READ, Kind.EQUAL, Kind.NEW, Kind.DIFFERENT, Kind.ABSENT, Kind.RECENT})


def reconcile_courses(options: RunOptions, *, as_json: bool, show_names: bool) -> int:
    """Run, and print the result. Returns the exit code.

    Raises:
        RollcallError: an operator must act.
    """
    settings = load_settings()
    bootstrap = bootstrap_servers(settings)
    configure_logging(settings.model_copy(update={"log_format": "text", "log_level": "WARNING"}))
    for name in ("aiokafka", "httpx", "rollcall.ingest.sink"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    output = _Output(is_dry=options.is_dry, as_json=as_json, show_names=show_names)
    work = Reconcile(settings, bootstrap, options, output.take)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run(work))
    if code is not None:
        again = "" if options.is_triggered else " with --resume"
        print(f"rollcall: interrupted; run the command again{again} to go on", file=sys.stderr)
        return code
    with until_output_closes():
        if as_json:
            differences = output.differences if options.is_dry else None
            print(_json(work, differences, show_names=show_names))
        else:
            print_parts(_table(work.summary), *work.notices, _result(work.summary, options.is_dry))
            for line in work.summary.reasons():
                print(printable(line))
    return int(work.summary.outcome is not Outcome.COMPLETE)


async def _run(work: Reconcile) -> int | None:
    """Run. Returns the exit code if a signal has ended it."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work.run())
    signals: list[int] = []

    def interrupt(number: int) -> None:
        if not signals:
            task.cancel()
        signals.append(number)

    for number in ending_signals():
        loop.add_signal_handler(number, interrupt, number)
    screen = _Screen()
    with screen.progress:
        while not task.done():
            screen.show(work)
            await asyncio.wait({task}, timeout=REFRESH_SECONDS)
    try:
        task.result()
    except asyncio.CancelledError:
        return 128 + signals[0]
    return None


class _Screen:
    """Standard error: the progress, on a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._rate = Rate()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        self._task = self.progress.add_task("", total=None, counts="")

    def show(self, work: Reconcile) -> None:
        """Show the progress."""
        rate = self._rate.at(time.monotonic(), work.calls)
        self.progress.update(
            self._task,
            description=work.progress.step,
            total=work.progress.total,
            completed=work.progress.courses,
            counts=f"{work.progress.courses:,} courses, {work.calls:,} calls, {rate:,.1f}/s",
        )


class _Output:
    """Differences of a dry run: printed, or kept for the JSON object."""

    def __init__(self, *, is_dry: bool, as_json: bool, show_names: bool) -> None:
        self._is_dry = is_dry
        self._as_json = as_json
        self._show_names = show_names
        self._course = ""
        self.differences: list[Difference] = []

    def take(self, difference: Difference) -> None:
        """Print a difference, or keep it."""
        if not self._is_dry:
            return
        if self._as_json:
            self.differences.append(difference)
            return
        if difference.course != self._course:
            self._course = difference.course
            print(f"course {self._course}")
        fact = difference.fact
        fields = ", ".join(
            f"{name}: {_value(difference, name)}" if self._show_names else name
            for name in difference.fields
        )
        print(printable(f"  {difference.kind} {fact.entity} {fact.id}  {fields}".rstrip()))


def _value(difference: Difference, name: str) -> str:
    row = difference.row
    before = None if row is None else row.get(name)
    return f"{before!r} -> {difference.fact.stated.get(name)!r}"


def _table(summary: Summary) -> Table:
    kinds = [kind for kind in _COUNTED if kind in _ALWAYS or summary.of_kind(kind)]
    table = Table("rows", *map(str, kinds), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for entity in Entity:
        counts = [summary.counts[entity, kind] for kind in kinds]
        if any(counts):
            table.add_row(f"{entity}s", *(f"{count:,}" for count in counts))
    return table


def _result(summary: Summary, is_dry: bool) -> str:
    courses = f"{summary.courses:,} course{'' if summary.courses == 1 else 's'} read"
    verb = "would be written" if is_dry else "written"
    return f"{summary.outcome}: {courses}, {summary.written:,} snapshots {verb}"


def _json(work: Reconcile, differences: list[Difference] | None, *, show_names: bool) -> str:
    result: dict[str, Any] = {
        **work.summary.as_json(),
        "calls": work.calls,
        "notices": work.notices,
        "reasons": work.summary.reasons(),
    }
    if differences is not None:
        result["differences"] = [
            {
                "course": each.course,
                "kind": each.kind,
                "entity": each.fact.entity,
                "id": each.fact.id,
                "fields": {
                    name: [each.row.get(name) if each.row else None, each.fact.stated.get(name)]
                    for name in each.fields
                }
                if show_names
                else each.fields,
            }
            for each in differences
        ]
    return json.dumps(result)
