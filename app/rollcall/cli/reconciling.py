"""Runs ``rollcall reconcile``: signals, progress, differences, and the result."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop
from rich.table import Table

from rollcall.cli.cluster import bootstrap_servers
from rollcall.cli.long_work import ProgressLine, log_problems_only, run_until_signal
from rollcall.cli.printing import print_parts, until_output_closes
from rollcall.printable import printable
from rollcall.reconcile.application import Reconcile, RunOptions
from rollcall.reconcile.comparing import Difference
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.summary import Kind, Outcome, Summary
from rollcall.settings import load_settings

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
    log_problems_only(settings, "aiokafka", "httpx", "rollcall.ingest.sink")
    output = _Output(is_dry=options.is_dry, as_json=as_json, show_names=show_names)
    work = Reconcile(settings, bootstrap, options, output.take)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_run(work))
    if code is not None:
        again = "" if options.is_triggered else " with --resume"
        print(f"rollcall: interrupted; run the command again{again} to go on", file=sys.stderr)
        return code
    with until_output_closes():
        _print_result(work, output)
    return int(work.summary.outcome is not Outcome.COMPLETE)


async def _run(work: Reconcile) -> int | None:
    line = ProgressLine()

    def show() -> None:
        progress, rate = work.progress, line.rate(work.calls)
        line.show(
            f"{progress.courses:,} courses, {work.calls:,} calls, {rate:,.1f}/s",
            progress.courses,
            description=progress.step,
            total=progress.total,
        )

    with line:
        return await run_until_signal(work.run(), show)


class _Output:
    """Differences of a dry run: printed, or kept for the JSON object."""

    def __init__(self, *, is_dry: bool, as_json: bool, show_names: bool) -> None:
        self.is_dry = is_dry
        self.as_json = as_json
        self.show_names = show_names
        self._course = ""
        self.differences: list[Difference] = []

    def take(self, difference: Difference) -> None:
        """Print a difference, or keep it."""
        if not self.is_dry:
            return
        if self.as_json:
            self.differences.append(difference)
            return
        if difference.course != self._course:
            self._course = difference.course
            print(f"course {self._course}")
        fact = difference.fact
        fields = ", ".join(
            f"{name}: {_value(difference, name)}" if self.show_names else name
            for name in difference.fields
        )
        print(printable(f"  {difference.kind} {fact.entity} {fact.id}  {fields}".rstrip()))


def _print_result(work: Reconcile, output: _Output) -> None:
    if output.as_json:
        print(_json(work, output))
        return
    print_parts(_table(work.summary), *work.notices, _result(work.summary, output.is_dry))
    for line in work.summary.reasons():
        print(printable(line))


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


def _json(work: Reconcile, output: _Output) -> str:
    result: dict[str, Any] = {
        **work.summary.as_json(),
        "calls": work.calls,
        "notices": work.notices,
        "reasons": work.summary.reasons(),
    }
    if output.is_dry:
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
                if output.show_names
                else each.fields,
            }
            for each in output.differences
        ]
    return json.dumps(result)
