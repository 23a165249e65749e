"""``python -m tests.chaos``: injects faults into a system for some time, then compares all records
and rows.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import load_settings
from tests.chaos import queue
from tests.chaos.run import Duration, Report, run
from tests.chaos.system import End

RATE = 300


def tables(report: Report) -> list[Table]:
    """The tables of a report."""
    faults = Table("fault", "times", "ready again after (s): median", "longest", title="Faults")
    for title, count in report.faults.most_common():
        waits = report.recoveries.get(title, [])
        faults.add_row(
            title,
            str(count),
            f"{statistics.median(waits):.1f}" if waits else "-",
            f"{max(waits):.1f}" if waits else "-",
        )
    ends = Table(
        "process",
        "end",
        "times",
        title="Ends of processes; the supervisor restarted them",
    )
    for (name, cause), count in sorted(
        Counter((end.name, _cause(end)) for end in report.ends).items()
    ):
        ends.add_row(name, cause, str(count))
    results = Table("", "", title="Results", show_header=False)
    results.add_row("time", f"{report.seconds:.0f} s")
    results.add_row("records sent to the raw topic", f"{report.records:,}")
    results.add_row("records on the outputs of the router", f"{report.routed:,}")
    for relation, count in report.rows.items():
        results.add_row(f"rows of {relation}", f"{count:,}")
    if report.long_waits:
        results.add_row("long waits", "\n".join(report.long_waits))
    if report.complaints:
        results.add_row("in the logs", "\n".join(report.complaints))
    results.add_row(
        "errors",
        "\n".join(report.errors)
        or "none: no record lost or duplicated, rosters and replica as expected",
    )
    return [faults, ends, results]


def _cause(end: End) -> str:
    if end.code < 0:
        return f"signal {-end.code}"
    return f"code {end.code}: {end.reason}" if end.code else "code 0"


def main() -> int:
    """Run, print the tables, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="duration of the faults (default: 10)"
    )
    parser.add_argument("--faults", type=int, help="number of faults, instead of minutes")
    parser.add_argument(
        "--brokers",
        type=int,
        choices=(1, 3),
        default=1,
        help="one broker, or a cluster of three with more faults (default: 1)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="seed of the choice of faults and times (default: 1)",
    )
    parser.add_argument(
        "--reconcile",
        action="store_true",
        help="an institution that is older than its subscription, and runs of rollcall reconcile",
    )
    parser.add_argument(
        "--ingest",
        action="store_true",
        help="events come through a queue of SQS and rollcall ingest sqs, with faults of the queue",
    )
    parser.add_argument(
        "--rate",
        type=int,
        help=f"events per second (default: {RATE}, with --ingest {queue.RATE}: the queue's server "
        "takes no more)",
    )
    options = parser.parse_args()
    console = Console()
    jars = load_settings().data.absolute() / "kafka-libs"
    EmbeddedBroker(jars.parent / "kafka", jars=jars).ensure_libraries(announce=console.print)
    folder = Path(tempfile.mkdtemp(prefix="rollcall-chaos-"))
    console.print(f"files of the processes: {folder}; deleted if there are no errors")
    duration = (
        Duration(faults=options.faults)
        if options.faults
        else Duration(seconds=options.minutes * 60)
    )
    report = run(
        folder,
        "chaos",
        jars,
        duration,
        seed=options.seed,
        rate=options.rate or (queue.RATE if options.ingest else RATE),
        brokers=options.brokers,
        reconciled=options.reconcile,
        queued=options.ingest,
        say=lambda line: console.print(f"  {line}"),
    )
    if not report.errors and not report.complaints and not report.long_waits:
        shutil.rmtree(folder)
    for table in tables(report):
        console.print(table)
    return 1 if report.errors or report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
