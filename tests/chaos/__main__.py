"""``python -m tests.chaos``: everything goes wrong, for as long as you like, and then everything is
counted.
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
from tests.chaos.run import Extent, Report, run


def tables(report: Report) -> list[Table]:
    """The report for people."""
    done = Table(
        "fault", "times", "ready again after (s): median", "longest", title="What was done"
    )
    for title, count in report.done.most_common():
        waits = report.recoveries.get(title, [])
        done.add_row(
            title,
            str(count),
            f"{statistics.median(waits):.1f}" if waits else "-",
            f"{max(waits):.1f}" if waits else "-",
        )
    ends = Table(
        "process",
        "how it ended",
        "times",
        title="Processes that ended and were started again by the supervisor",
    )
    for (name, how), count in sorted(
        Counter((end.name, _how(end.code, end.reason)) for end in report.ends).items()
    ):
        ends.add_row(name, how, str(count))
    found = Table("", "", title="What was found", show_header=False)
    found.add_row("time", f"{report.seconds:.0f} s")
    found.add_row("records sent to the raw topic", f"{report.records:,}")
    found.add_row("records on the outputs of the router", f"{report.routed:,}")
    for relation, count in report.rows.items():
        found.add_row(f"rows of {relation}", f"{count:,}")
    if report.long:
        found.add_row("waited long", "\n".join(report.long))
    if report.complaints:
        found.add_row("in the logs", "\n".join(report.complaints))
    found.add_row(
        "wrong",
        "\n".join(report.wrong)
        or "nothing: nothing lost, nothing twice, rosters true, replica equal",
    )
    return [done, ends, found]


def _how(code: int, reason: str) -> str:
    if code < 0:
        return f"signal {-code}"
    return f"code {code}" if code == 0 else f"code {code}: {reason}"


def main() -> int:
    """Run, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="how long things go wrong (default: 10)"
    )
    parser.add_argument("--faults", type=int, help="so many faults, instead of minutes")
    parser.add_argument(
        "--brokers",
        type=int,
        choices=(1, 3),
        default=1,
        help="one broker, or a cluster of three, to which more is done (default: 1)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="another number, other faults at other times (default: 1)",
    )
    parser.add_argument("--rate", type=int, default=300, help="events per second (default: 300)")
    options = parser.parse_args()
    console = Console()
    jars = load_settings().data.absolute() / "kafka-libs"
    EmbeddedBroker(jars.parent / "kafka", jars=jars).ensure_libraries(announce=console.print)
    folder = Path(tempfile.mkdtemp(prefix="rollcall-chaos-"))
    console.print(f"what the processes write is in {folder}, and stays there unless all is well")
    extent = (
        Extent(faults=options.faults) if options.faults else Extent(seconds=options.minutes * 60)
    )
    report = run(
        folder,
        "chaos",
        jars,
        extent,
        seed=options.seed,
        rate=options.rate,
        brokers=options.brokers,
        say=lambda line: console.print(f"  {line}"),
    )
    if not report.wrong and not report.complaints and not report.long:
        shutil.rmtree(folder)
    for table in tables(report):
        console.print(table)
    return 1 if report.wrong or report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
