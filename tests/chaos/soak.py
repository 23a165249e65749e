"""``python -m tests.chaos.soak``: a steady load for a long time. Prints memory and lag of each
process every minute.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from rollcall.settings import load_settings
from tests.chaos.system import Supervised, System
from tests.chaos.traffic import Traffic
from tests.kafka_client import create_topic
from tests.rosters.cluster import PARTITIONS


def resident_bytes(each: Supervised) -> int:
    """Resident memory of a process. Linux only."""
    status = Path(f"/proc/{each.process.process.pid}/status").read_text()
    return 1024 * int(
        next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    )


def main() -> None:
    """Run, and print a line every minute."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=30, help="(default: 30)")
    parser.add_argument("--rate", type=int, default=3_000, help="events per second (default: 3000)")
    options = parser.parse_args()
    console, prefix = Console(width=160), "soak"
    jars = load_settings().data.absolute() / "kafka-libs"
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-soak-") as folder,
        System(Path(folder), prefix, jars) as system,
    ):
        create_topic(system.bootstrap, f"{prefix}.raw", PARTITIONS)
        traffic = Traffic(system.bootstrap, prefix, rate=options.rate, seed=1, tallied=False)
        system.wait_ready(120)
        names = [each.name for each in system.processes]
        console.print(
            f"{'minute':>6} {'events':>10} {'rows':>9}  "
            + "".join(f"{name + ' MB':>14}{'lag':>8}" for name in names)
        )
        traffic.start()
        try:
            begun = time.monotonic()
            for minute in range(1, options.minutes + 1):
                time.sleep(max(begun + 60 * minute - time.monotonic(), 0))
                cells = [
                    f"{resident_bytes(each) / 1e6:>14.0f}"
                    f"{each.process.metric('rollcall_consumer_lag_records'):>8.0f}"
                    for each in system.processes
                ]
                rows = sum(
                    process.metric("rollcall_table_rows") for process in system.named("rosters")
                )
                console.print(f"{minute:>6} {traffic.sent:>10,} {rows:>9,.0f}  " + "".join(cells))
        finally:
            traffic.end()
        console.print(
            "ended processes: "
            f"{[f'{end.name}: {end.code} {end.reason}' for end in system.ends] or 'none'}"
        )


if __name__ == "__main__":
    main()
