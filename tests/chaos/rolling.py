"""``python -m tests.chaos.rolling``: restarts each process in turn while events arrive, and
measures the waits of records.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from confluent_kafka import OFFSET_END, Consumer
from rich.console import Console
from rich.table import Table

from rollcall.settings import load_settings
from tests.chaos.system import System
from tests.chaos.traffic import Traffic
from tests.kafka_client import create_topic, partitions_of
from tests.rosters.cluster import PARTITIONS, RELATIONS, RosterCluster

SESSION_SECONDS = 30
"""Session timeout. Within it, nobody else gets the partitions of a stopped static member."""

CALM_SECONDS = 10.0
"""Time between two restarts."""

TYPED, ROSTERS = "typed topics", "rosters"


class Watcher:
    """Reads topics, and measures the time from a record's raw topic to the reader.

    Args:
        bootstrap: the cluster.
        kinds: the kind of each topic, by name.
    """

    def __init__(self, bootstrap: str, kinds: dict[str, str]) -> None:
        self._kinds = kinds
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "watcher",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                # find new leaders fast: the measurement is about Rollcall, not about this reader
                "topic.metadata.refresh.interval.ms": 1000,
                "socket.timeout.ms": 5000,
                "log_level": 2,
            }
        )
        partitions = partitions_of(bootstrap, list(kinds))
        for partition in partitions:
            partition.offset = OFFSET_END
        self._consumer.assign(partitions)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher")
        self._thread.start()
        self._waits: dict[str, list[float]] = defaultdict(list)

    def take_waits(self) -> dict[str, list[float]]:
        """Seconds of all waits since the last call, by kind of topic."""
        waits, self._waits = self._waits, defaultdict(list)
        return waits

    def end(self) -> None:
        """Stop reading."""
        self._ending.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(1000, 0.1):
                if message.error() is None:
                    # outputs have the timestamp of the raw record
                    self._waits[self._kinds[str(message.topic())]].append(
                        time.time() - message.timestamp()[1] / 1000
                    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.rolling", description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="events per second (default: 500)")
    options = parser.parse_args()
    console, prefix = Console(), "rolling"
    table = Table(
        "restarted",
        *(
            f"{kind}: {what}"
            for kind in (TYPED, ROSTERS)
            for what in ("median wait (s)", "longest (s)")
        ),
        title="A rolling restart",
    )
    jars = load_settings().data.absolute() / "kafka-libs"
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-rolling-") as folder,
        System(
            Path(folder), prefix, jars, {"session_timeout_seconds": SESSION_SECONDS}, static=True
        ) as system,
    ):
        create_topic(system.bootstrap, f"{prefix}.raw", PARTITIONS)
        traffic = Traffic(system.bootstrap, prefix, rate=options.rate, seed=1)
        system.wait_ready(120)
        cluster = RosterCluster(system.bootstrap, prefix)
        watcher = Watcher(
            system.bootstrap,
            dict.fromkeys(cluster.typed, TYPED)
            | {cluster.roster(relation): ROSTERS for relation in RELATIONS},
        )
        traffic.start()
        try:
            time.sleep(CALM_SECONDS)
            watcher.take_waits()
            for each in (None, *system.processes[:4]):
                if each is not None:
                    before = each.process
                    before.end()
                    while each.process is before:
                        time.sleep(0.05)
                    system.wait_ready(120)
                time.sleep(CALM_SECONDS)
                waits = watcher.take_waits()
                figures = [
                    f"{value:.2f}"
                    for kind in (TYPED, ROSTERS)
                    for value in (statistics.median(waits[kind]), max(waits[kind]))
                ]
                table.add_row("nothing" if each is None else each.name, *figures)
        finally:
            traffic.end()
            watcher.end()
    console.print(table)


if __name__ == "__main__":
    main()
