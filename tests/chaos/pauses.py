"""``python -m tests.chaos.pauses``: each fault of several brokers is done some times, and the
pauses that come of it are measured side by side.

A pause is the longest wait of a record: from when the bridge sends it until a reader has it, on the
raw topic (a plain producer and a plain consumer, with librdkafka's defaults but for the reader's
time-outs), on the typed topics, and in the rosters. The later ones contain the earlier ones.
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
"""A broker that was killed or stopped comes back after so long: twice a broker's session."""

CALM_SECONDS = 5.0
"""So long must all be calm before a fault, and after it."""

CALM_WAIT = 5.0
"""The longest wait of a record while all is calm. A loaded machine takes its time."""

DEADLINE = 600.0
"""So long may it take until all is calm."""


@dataclass(frozen=True)
class Fault:
    """What is measured. ``do`` gets the number of the try, and returns when the fault is over."""

    name: str
    title: str
    do: Callable[[FaultContext, int], None]


@dataclass(frozen=True)
class FaultContext:
    """What a fault may touch."""

    cluster: BrokerCluster
    prefix: str


@dataclass
class Measured:
    """By kind of topic, and for readiness, the seconds of each try."""

    pauses: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    unready: list[float] = field(default_factory=list)


class Readiness:
    """Notes when a process was last seen not to be ready. A context manager."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._begun = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readiness")
        self.seconds = 0.0
        """From the beginning until all were ready and stayed so; 0: they were all the time."""

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


def _in_turn(_scene: FaultContext, number: int) -> int:
    return number % 3


def _coordinator(context: FaultContext, _number: int) -> int:
    return context.cluster.coordinator_of(f"{context.prefix}-router")


def _leader(context: FaultContext, _number: int) -> int:
    return context.cluster.leader_of(f"{context.prefix}.raw", 0)


def _controller(context: FaultContext, _number: int) -> int:
    return context.cluster.controller()


Choice = Callable[[FaultContext, int], int]


def _away(
    end: Callable[[BrokerCluster, int], None], choose: Choice
) -> Callable[[FaultContext, int], None]:
    def do(context: FaultContext, number: int) -> None:
        broker = choose(context, number)
        end(context.cluster, broker)
        time.sleep(AWAY_SECONDS)
        context.cluster.start(broker)

    return do


def _hung(seconds: float) -> Callable[[FaultContext, int], None]:
    def do(context: FaultContext, number: int) -> None:
        context.cluster.suspend(number % 3)
        time.sleep(seconds)
        context.cluster.resume(number % 3)

    return do


def _two(context: FaultContext, number: int) -> None:
    for broker in (number % 3, (number + 1) % 3):
        context.cluster.kill(broker)
    time.sleep(AWAY_SECONDS)
    context.cluster.start_all()


def _parted(context: FaultContext, number: int) -> None:
    context.cluster.part(number % 3)
    time.sleep(2 * AWAY_SECONDS)
    context.cluster.join(number % 3)


def _moved(context: FaultContext, number: int) -> None:
    for partition in range(PARTITIONS):
        context.cluster.move_leader(f"{context.prefix}.raw", partition, (number + partition) % 3)


def _added(context: FaultContext, _number: int) -> None:
    topic = f"{context.prefix}.raw"
    context.cluster.add_partitions(topic, len(context.cluster.topics()[topic]) + 1)


FAULTS = (
    Fault("term", "SIGTERM, to each broker in turn", _away(BrokerCluster.stop, _in_turn)),
    Fault("kill", "SIGKILL, to each broker in turn", _away(BrokerCluster.kill, _in_turn)),
    Fault(
        "term-coordinator",
        "SIGTERM, to the coordinator of the routers",
        _away(BrokerCluster.stop, _coordinator),
    ),
    Fault(
        "kill-coordinator",
        "SIGKILL, to the coordinator of the routers",
        _away(BrokerCluster.kill, _coordinator),
    ),
    Fault(
        "kill-leader",
        "SIGKILL, to the leader of a raw partition",
        _away(BrokerCluster.kill, _leader),
    ),
    Fault("kill-controller", "SIGKILL, to the controller", _away(BrokerCluster.kill, _controller)),
    Fault("two", "SIGKILL, to two brokers at once, for 20 s", _two),
    Fault("hang-25", "SIGSTOP, to each broker in turn, for 25 s", _hung(25)),
    Fault("hang-40", "SIGSTOP, to each broker in turn, for 40 s", _hung(40)),
    Fault("hang-100", "SIGSTOP, to each broker in turn, for 100 s", _hung(100)),
    Fault(
        "part",
        "each broker in turn parted from the others for 40 s, and not from its clients",
        _parted,
    ),
    Fault("move", "the leaders of the raw topic moved", _moved),
    Fault("add", "a partition added to the raw topic", _added),
)


def _wait_calm(watcher: Watcher) -> dict[str, float]:
    """Wait until each kind of topic has new records, and none that waited long, for some seconds;
    returns the longest wait by kind until then.
    """
    longest = dict.fromkeys(KINDS, 0.0)

    def calm() -> bool:
        time.sleep(CALM_SECONDS)
        waits = watcher.taken()
        for kind in KINDS:
            longest[kind] = max(longest[kind], *waits[kind], 0.0)
        return all(waits[kind] and max(waits[kind]) < CALM_WAIT for kind in KINDS)

    wait_until(calm, DEADLINE, what="calm")
    return longest


def measure(
    system: System,
    watcher: Watcher,
    context: FaultContext,
    fault: Fault,
    number: int,
    into: Measured,
) -> None:
    """Do it once."""
    _wait_calm(watcher)
    with Readiness(system) as readiness:
        fault.do(context, number)
        context.cluster.mend()
        longest = _wait_calm(watcher)
        system.wait_ready(DEADLINE)
    for kind in KINDS:
        into.pauses[kind].append(longest[kind])
    into.unready.append(readiness.seconds)


def table_of(found: dict[Fault, Measured]) -> Table:
    """For people: medians, and the longest of all tries."""
    table = Table(
        "fault",
        "tries",
        *(f"{kind}: median, longest (s)" for kind in KINDS),
        "all ready after: median, longest (s)",
        title="Pauses",
    )
    for fault, measured in found.items():
        figures = [*(measured.pauses[kind] for kind in KINDS), measured.unready]
        table.add_row(
            fault.title,
            str(len(measured.unready)),
            *(f"{statistics.median(each):.1f}, {max(each):.1f}" for each in figures),
        )
    return table


def main() -> None:
    """Run, and print the table; after each fault, what is known by then."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.pauses", description=__doc__)
    parser.add_argument(
        "faults",
        nargs="*",
        metavar="FAULT",
        help=f"of {', '.join(fault.name for fault in FAULTS)} (default: all)",
    )
    parser.add_argument("--times", type=int, default=3, help="how often each is done (default: 3)")
    parser.add_argument("--rate", type=int, default=40, help="events per second (default: 40)")
    options = parser.parse_args()
    console, prefix = Console(width=200), "pauses"
    wanted = [fault for fault in FAULTS if not options.faults or fault.name in options.faults]
    jars = load_settings().data.absolute() / "kafka-libs"
    found = {fault: Measured() for fault in wanted}
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-pauses-") as folder,
        System(Path(folder), prefix, jars, brokers=3) as system,
    ):
        create_topic(system.bootstrap, f"{prefix}.raw", PARTITIONS)
        traffic = Traffic(system.bootstrap, prefix, rate=options.rate, seed=1)
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
                for fault in wanted:
                    measure(
                        system,
                        watcher,
                        FaultContext(system.cluster, prefix),
                        fault,
                        number,
                        found[fault],
                    )
                    last = {
                        kind: f"{pauses[-1]:.1f}" for kind, pauses in found[fault].pauses.items()
                    }
                    load = os.getloadavg()[0]
                    console.print(
                        f"{fault.title}: {last}, all ready after {found[fault].unready[-1]:.1f} "
                        f"s; load {load:.1f}"
                    )
        finally:
            traffic.end()
            watcher.end()
    console.print(table_of(found))


if __name__ == "__main__":
    main()
