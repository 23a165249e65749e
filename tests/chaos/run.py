"""One run: traffic, faults, and what is found in the end."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from rollcall.events.registry import REGISTRY
from tests.chaos.broker_faults import BROKER_FAULTS
from tests.chaos.faults import FAULTS, REFUSALS, Fault, FaultContext, jump
from tests.chaos.system import End, System
from tests.chaos.traffic import Traffic, outcomes
from tests.healthy import TRACEBACK, complaints
from tests.kafka_client import committed, create_topic, read_all
from tests.processes import wait_until
from tests.rosters.cluster import PARTITIONS, RosterCluster, Rosters
from tests.serve.replica.test_follower import contents, expected
from tests.waiting import NotInTimeError

RECOVERY_SECONDS = 180.0
"""So long may it take after a fault until every process is ready again."""

LONG_SECONDS = 25.0
"""A session that passes, processes that start and tables that are loaded take less. What takes
longer may be worth a look.
"""

AT_ONCE = 0.3
"""So often does the next fault come before everything has got over the last one."""

OUR_ERRORS = '"level":"error","logger":"rollcall.'
"""What is done here is an error for a process; that it says so is well. What a library calls one,
or a traceback, is not.
"""

COMPLAINT_CHARACTERS = 400

SETTLING_SECONDS = 300.0
"""So long may it take in the end until everything is through."""


@dataclass
class Report:
    """What was done, and what came of it."""

    seconds: float = 0.0
    records: int = 0
    routed: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By fault, the seconds until all processes were ready again; not those of faults upon which
    the next one came at once.
    """
    long: list[str] = field(default_factory=list)
    """Of those that took longer than :data:`LONG_SECONDS`, what was waited for last."""
    done: Counter[str] = field(default_factory=Counter)
    """By fault, how often."""
    ends: list[End] = field(default_factory=list)
    """Processes that ended; killed ones too."""
    wrong: list[str] = field(default_factory=list)
    """What is not as it must be. Nothing, when all is well."""
    complaints: list[str] = field(default_factory=list)
    """What the processes' logs have that no process may write, whatever happens."""


@dataclass(frozen=True)
class Extent:
    """How long a run is: so many seconds, or so many faults, however long they take."""

    seconds: float = math.inf
    faults: float = math.inf


def run(
    folder: Path,
    prefix: str,
    jars: Path,
    extent: Extent,
    *,
    seed: int,
    rate: int,
    brokers: int = 1,
    say: Callable[[str], object] = print,
) -> Report:
    """Hurt a system, and look what became of its data.

    Args:
        folder: for what the processes write; empty.
        rate: events per second.
        brokers: 1 or 3.
        say: told what is going on.
    """
    rng = random.Random(seed)
    report = Report()
    with System(folder, prefix, jars, brokers=brokers, clock=True) as system:
        create_topic(system.bootstrap, f"{prefix}.raw", PARTITIONS)
        traffic = Traffic(system.bootstrap, prefix, rate=rate, seed=seed)
        system.wait_ready(RECOVERY_SECONDS)
        begun = time.monotonic()
        traffic.start()
        try:
            _hurt(FaultContext(system, traffic, rng, say), _faults(system), extent, report)
            system.cluster.mend()
        finally:
            truth = traffic.end()
        say(f"{traffic.sent:,} records sent; waiting until all is through")
        system.wait_ready(RECOVERY_SECONDS)
        cluster = RosterCluster(system.bootstrap, prefix)
        ends = {place[1]: end for place, end in cluster.ends([f"{prefix}.raw"]).items() if end > 0}
        wait_until(
            lambda: committed(system.bootstrap, f"{prefix}-router", f"{prefix}.raw") == ends,
            SETTLING_SECONDS,
            what="the end of the raw topic",
        )
        cluster.wait_quiet(system.idle, SETTLING_SECONDS)
        rosters = cluster.rosters()
        try:
            wait_until(lambda: contents(system.replica) == expected(rosters), RECOVERY_SECONDS)
        except NotInTimeError:  # in a run that is judged, rows that are not there are wrong
            report.wrong.append(_replica_findings(system, rosters, cluster.rosters()))
        report.seconds = time.monotonic() - begun
        system.stop()
        report.ends = system.ends
        report.complaints = _complaints(folder)
        report.records = traffic.sent
        _judge(system.bootstrap, prefix, traffic, report)
        report.rows = {relation: len(found) for relation, found in rosters.items()}
        try:
            cluster.assert_exactly(truth)
        except AssertionError as error:
            report.wrong.append(str(error))
    return report


def _faults(system: System) -> list[Fault]:
    """In the order in which they come first: with several brokers, what is done to them and the
    other faults by turns.
    """
    faults = [fault for fault in FAULTS if fault is not jump or system.has_clock]
    if len(system.cluster.brokers) == 1:
        return faults
    without_rights = [fault for fault in faults if fault not in REFUSALS]
    return [
        fault
        for pair in zip_longest(BROKER_FAULTS, without_rights)
        for fault in pair
        if fault is not None
    ]


def _hurt(context: FaultContext, faults: list[Fault], extent: Extent, report: Report) -> None:
    rng, say, waiting, until = (
        context.rng,
        context.say,
        list(faults),
        time.monotonic() + extent.seconds,
    )
    while time.monotonic() < until and report.done.total() < extent.faults:
        if not waiting:
            waiting = rng.sample(faults, len(faults))
        fault = waiting.pop(0)
        title = fault.__doc__ or fault.__name__
        say(f"{title}")
        fault(context)
        report.done[title] += 1
        if rng.random() < AT_ONCE:
            time.sleep(rng.uniform(0, 1))  # the next one comes before anybody has got over this one
            continue
        seconds = context.system.wait_ready(RECOVERY_SECONDS)
        report.recoveries[title].append(seconds)
        if seconds > LONG_SECONDS:
            report.long.append(
                f"{seconds:.0f} s after {title}: {'; '.join(context.system.waited_for)}"
            )
        time.sleep(rng.uniform(0, 3))


def _replica_findings(system: System, before: Rosters, after: Rosters) -> str:
    """In what the replica differs from the rosters, and what may explain it."""
    held, wanted = contents(system.replica), expected(before)
    sizes = {name: (len(rows), len(wanted[name])) for name, rows in held.items()}
    few = [
        (name, sorted(set(held[name]) ^ set(wanted[name]), key=repr)[:4])
        for name in held
        if held[name] != wanted[name]
    ]
    changed = "" if after == before else "; the rosters have changed since, too"
    statuses = [
        (
            process.get("/readyz"),
            {name: value for (name, _), value in process.metrics().items() if "replica" in name},
        )
        for process in system.named("serve")
    ]
    return (
        f"rows of the replica and of the rosters: {sizes}; in one of them only: "
        f"{few}{changed}; serve says {statuses}"
    )


def _complaints(folder: Path) -> list[str]:
    """The ends of the lines that are no line of a healthy process, nor an error that one of ours
    tells, and where they are.
    """
    found = [
        (log.name, line)
        for log in sorted(folder.glob("*.log"))
        for line in complaints(log.read_text(errors="replace"))
    ]
    return [
        f"{name}: {line[-COMPLAINT_CHARACTERS:]}"
        for name, line in found
        if OUR_ERRORS not in line or TRACEBACK in line
    ]


def _judge(bootstrap: str, prefix: str, traffic: Traffic, report: Report) -> None:
    """Compare the router's outputs to what was sent: each record once, where it belongs, byte for
    byte.
    """
    topics = [event_type.topic(prefix) for event_type in REGISTRY.values()]
    found = outcomes(
        prefix,
        read_all(
            bootstrap,
            [*topics, f"{prefix}.unknown", f"{prefix}.dead-letter"],
            at_least=traffic.sent - traffic.deleted,
        ),
    )
    report.routed = found.total() + traffic.deleted
    missing, surplus = traffic.expected - found, found - traffic.expected
    if missing:
        report.wrong.append(
            f"{missing.total()} records are missing, by topic: "
            f"{dict(Counter(topic for topic, _ in missing.elements()))}"
        )
    if surplus:
        report.wrong.append(
            f"{surplus.total()} records are too many, by topic: "
            f"{dict(Counter(topic for topic, _ in surplus.elements()))}"
        )
