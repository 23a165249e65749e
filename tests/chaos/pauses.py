"""``python -m tests.chaos.pauses``: measures the pauses that each fault of several brokers causes.

A pause is the longest wait of a record: the time between the bridge's send and its arrival at a
reader. It is measured on the raw topic (a plain producer and a plain consumer, with librdkafka's
defaults except for the reader's time-outs), on the typed topics, and in the rosters. The later ones
include the earlier ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table

from rollcall.settings import load_settings
from tests.chaos.rolling import ROSTERS, TYPED, Watcher
from tests.chaos.system import System
from tests.chaos.traffic import Traffic
from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import create_topic
from tests.rosters.cluster import PARTITIONS, RELATIONS, RosterCluster
from tests.waiting import wait_until

RAW = "raw topic"
KINDS = (RAW, TYPED, ROSTERS)

AWAY_SECONDS = 20.0
"""Time until a killed or stopped broker is started again: twice a broker's session."""

CALM_SECONDS = 5.0
"""Duration of calm before and after each fault."""

CALM_WAIT = 5.0
"""Maximum wait of a record during calm, on a loaded machine."""

ATTENTIVE = {"topic.metadata.refresh.interval.ms": 1_000, "socket.timeout.ms": 10_000}
"""Options of an attentive producer."""

DEADLINE = 600.0
"""Time limit for calm to return."""


@dataclass(frozen=True)
class MeasuredFault:
    """A fault to measure."""

    name: str
    title: str
    inject: Callable[[MeasuredContext, int], None]
    """Takes the number of the try, and returns at the end of the fault."""


@dataclass(frozen=True)
class MeasuredContext:
    """The context of a fault."""

    cluster: BrokerCluster
    prefix: str


@dataclass
class Measurement:
    """Results for one fault, in seconds, with one value for each try."""

    pauses: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    """By kind of topic."""
    unready: list[float] = field(default_factory=list)
    """Time until all processes were ready."""


class Readiness:
    """Measures the time until all processes are ready and stay so. A context manager."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._begun = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readiness")
        self.seconds = 0.0
        """0: all were ready all the time."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(0.2):
            if any(each.unready for each in self._system.processes):
                self.seconds = time.monotonic() - self._begun


def _in_turn(_context: MeasuredContext, number: int) -> int:
    return number % 3


def _coordinator(context: MeasuredContext, _number: int) -> int:
    return context.cluster.coordinator_of(f"{context.prefix}-router")


def _leader(context: MeasuredContext, _number: int) -> int:
    return context.cluster.leader_of(f"{context.prefix}.raw", 0)


def _controller(context: MeasuredContext, _number: int) -> int:
    return context.cluster.controller()


Choice = Callable[[MeasuredContext, int], int]
"""Returns the number of a broker."""


def _take_away(
    end: Callable[[BrokerCluster, int], None], choose: Choice
) -> Callable[[MeasuredContext, int], None]:
    def inject(context: MeasuredContext, number: int) -> None:
        broker = choose(context, number)
        end(context.cluster, broker)
        time.sleep(AWAY_SECONDS)
        context.cluster.start(broker)

    return inject


def _suspend(seconds: float) -> Callable[[MeasuredContext, int], None]:
    def inject(context: MeasuredContext, number: int) -> None:
        context.cluster.suspend(number % 3)
        time.sleep(seconds)
        context.cluster.resume(number % 3)

    return inject


def _kill_two(context: MeasuredContext, number: int) -> None:
    for broker in (number % 3, (number + 1) % 3):
        context.cluster.kill(broker)
    time.sleep(AWAY_SECONDS)
    context.cluster.start_all()


def _isolate(context: MeasuredContext, number: int) -> None:
    context.cluster.isolate(number % 3)
    time.sleep(2 * AWAY_SECONDS)
    context.cluster.reconnect(number % 3)


def _move_leaders(context: MeasuredContext, number: int) -> None:
    for partition in range(PARTITIONS):
        context.cluster.move_leader(f"{context.prefix}.raw", partition, (number + partition) % 3)


def _add_partition(context: MeasuredContext, _number: int) -> None:
    topic = f"{context.prefix}.raw"
    context.cluster.add_partitions(topic, len(context.cluster.topics()[topic]) + 1)


FAULTS = (
    MeasuredFault(
        "term", "SIGTERM, to each broker in turn", _take_away(BrokerCluster.stop, _in_turn)
    ),
    MeasuredFault(
        "kill", "SIGKILL, to each broker in turn", _take_away(BrokerCluster.kill, _in_turn)
    ),
    MeasuredFault(
        "term-coordinator",
        "SIGTERM, to the coordinator of the routers",
        _take_away(BrokerCluster.stop, _coordinator),
    ),
    MeasuredFault(
        "kill-coordinator",
        "SIGKILL, to the coordinator of the routers",
        _take_away(BrokerCluster.kill, _coordinator),
    ),
    MeasuredFault(
        "kill-leader",
        "SIGKILL, to the leader of a raw partition",
        _take_away(BrokerCluster.kill, _leader),
    ),
    MeasuredFault(
        "kill-controller", "SIGKILL, to the controller", _take_away(BrokerCluster.kill, _controller)
    ),
    MeasuredFault("two", "SIGKILL, to two brokers at once, for 20 s", _kill_two),
    MeasuredFault("hang-25", "SIGSTOP, to each broker in turn, for 25 s", _suspend(25)),
    MeasuredFault("hang-40", "SIGSTOP, to each broker in turn, for 40 s", _suspend(40)),
    MeasuredFault("hang-100", "SIGSTOP, to each broker in turn, for 100 s", _suspend(100)),
    MeasuredFault(
        "part",
        "each broker in turn isolated from the others, not from its clients, for 40 s",
        _isolate,
    ),
    MeasuredFault("move", "the leaders of the raw topic moved", _move_leaders),
    MeasuredFault("add", "a partition added to the raw topic", _add_partition),
)


def _wait_calm(watcher: Watcher) -> dict[str, float]:
    """Wait for some seconds with new records on each kind of topic, and no long wait. Returns the
    longest wait until then, by kind.
    """
    longest = dict.fromkeys(KINDS, 0.0)

    def calm() -> bool:
        time.sleep(CALM_SECONDS)
        waits = watcher.take_waits()
        for kind in KINDS:
            longest[kind] = max(longest[kind], *waits[kind], 0.0)
        return all(waits[kind] and max(waits[kind]) < CALM_WAIT for kind in KINDS)

    wait_until(calm, DEADLINE, what="calm")
    return longest


def measure(
    system: System,
    watcher: Watcher,
    context: MeasuredContext,
    fault: MeasuredFault,
    number: int,
    measurement: Measurement,
) -> None:
    """Inject a fault once, and add the results."""
    _wait_calm(watcher)
    with Readiness(system) as readiness:
        fault.inject(context, number)
        context.cluster.repair()
        longest = _wait_calm(watcher)
        system.wait_ready(DEADLINE)
    for kind in KINDS:
        measurement.pauses[kind].append(longest[kind])
    measurement.unready.append(readiness.seconds)


def table_of(measurements: dict[MeasuredFault, Measurement]) -> Table:
    """A table with the median and the maximum of all tries."""
    table = Table(
        "fault",
        "tries",
        *(f"{kind}: median, longest (s)" for kind in KINDS),
        "all ready after: median, longest (s)",
        title="Pauses",
    )
    for fault, measurement in measurements.items():
        figures = [*(measurement.pauses[kind] for kind in KINDS), measurement.unready]
        table.add_row(
            fault.title,
            str(len(measurement.unready)),
            *(f"{statistics.median(each):.1f}, {max(each):.1f}" for each in figures),
        )
    return table


def main() -> None:
    """Measure, print the results of each fault, and finally the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.pauses", description=__doc__)
    parser.add_argument(
        "faults",
        nargs="*",
        metavar="FAULT",
        help=f"of {', '.join(fault.name for fault in FAULTS)} (default: all)",
    )
    parser.add_argument(
        "--times", type=int, default=3, help="number of tries of each fault (default: 3)"
    )
    parser.add_argument("--rate", type=int, default=10, help="events per second (default: 10)")
    parser.add_argument(
        "--attentive",
        action="store_true",
        help="the producer looks for new leaders each second, not only after its time-outs",
    )
    options = parser.parse_args()
    console, prefix = Console(width=200), "pauses"
    chosen = [fault for fault in FAULTS if not options.faults or fault.name in options.faults]
    jars = load_settings().data.absolute() / "kafka-libs"
    measurements = {fault: Measurement() for fault in chosen}
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-pauses-") as folder,
        System(Path(folder), prefix, jars, brokers=3) as system,
    ):
        create_topic(system.bootstrap, f"{prefix}.raw", PARTITIONS)
        traffic = Traffic(
            system.bootstrap,
            prefix,
            rate=options.rate,
            seed=1,
            producer=ATTENTIVE if options.attentive else None,
        )
        system.wait_ready(DEADLINE)
        cluster = RosterCluster(system.bootstrap, prefix)
        kinds = (
            {f"{prefix}.raw": RAW}
            | dict.fromkeys(cluster.typed, TYPED)
            | {cluster.roster(relation): ROSTERS for relation in RELATIONS}
        )
        watcher = Watcher(system.bootstrap, kinds)
        traffic.start()
        try:
            for number in range(options.times):
                for fault in chosen:
                    measure(
                        system,
                        watcher,
                        MeasuredContext(system.cluster, prefix),
                        fault,
                        number,
                        measurements[fault],
                    )
                    results = measurements[fault]
                    last = {kind: f"{pauses[-1]:.1f}" for kind, pauses in results.pauses.items()}
                    load = os.getloadavg()[0]
                    console.print(
                        f"{fault.title}: {last}, all ready after {results.unready[-1]:.1f} "
                        f"s; load {load:.1f}"
                    )
        finally:
            traffic.end()
            watcher.end()
    console.print(table_of(measurements))


if __name__ == "__main__":
    main()
