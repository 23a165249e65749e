"""One run: traffic, faults, and the comparison at the end."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, zip_longest
from pathlib import Path

from rollcall.events.registry import REGISTRY
from rollcall.sandbox.canvas.rest.equality import rows_by_id, wrong_rows
from tests.chaos.broker_faults import BROKER_FAULTS
from tests.chaos.faults import (
    FAULTS,
    QUEUE_FAULTS,
    RECONCILE_FAULTS,
    REFUSALS,
    Fault,
    FaultContext,
    delete_topic,
    jump,
)
from tests.chaos.queue import FaultyQueue, faulty_queue
from tests.chaos.reconciling import ReconcileRuns
from tests.chaos.system import INGEST, End, System
from tests.chaos.traffic import Traffic, outcomes
from tests.healthy import TRACEBACK, complaints
from tests.kafka_client import committed, create_topic, read_all
from tests.processes import wait_until
from tests.rosters.cluster import PARTITIONS, RosterCluster, Rosters
from tests.serve.replica.test_follower import contents, expected
from tests.waiting import NotInTimeError

RECOVERY_SECONDS = 180.0
"""Time limit for all processes to be ready after a fault."""

LONG_SECONDS = 25.0
"""A session timeout, starts of processes and loading of tables take less. Longer waits are
reported.
"""

OVERLAP_SHARE = 0.3
"""Share of faults that follow immediately, before the system has recovered."""

OWN_ERRORS = '"level":"error","logger":"rollcall.'
"""Rollcall's own error lines are expected during faults. Error lines of libraries, and tracebacks,
are not.
"""

COMPLAINT_CHARACTERS = 400

SETTLING_SECONDS = 300.0
"""Time limit for processing all records at the end."""


@dataclass
class Report:
    """Faults and results of a run."""

    seconds: float = 0.0
    records: int = 0
    routed: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds until all processes were ready again, by fault. Faults that were followed immediately
    by the next one are left out.
    """
    long_waits: list[str] = field(default_factory=list)
    """Recoveries above :data:`LONG_SECONDS`, with the last reasons for not being ready."""
    faults: Counter[str] = field(default_factory=Counter)
    """Number of each fault."""
    ends: list[End] = field(default_factory=list)
    """All ends of processes, with those by faults."""
    errors: list[str] = field(default_factory=list)
    """Differences between actual and expected data."""
    complaints: list[str] = field(default_factory=list)
    """Log lines that no process may write, even during faults."""


@dataclass(frozen=True)
class Duration:
    """Duration of a run, in seconds or in faults."""

    seconds: float = math.inf
    faults: float = math.inf


def run(
    folder: Path,
    prefix: str,
    jars: Path,
    duration: Duration,
    *,
    seed: int,
    rate: int,
    brokers: int = 1,
    reconciled: bool = False,
    queued: bool = False,
    say: Callable[[str], object] = print,
) -> Report:
    """Inject faults into a system, and compare its data to the expected data.

    Args:
        folder: empty folder for files of the processes.
        prefix: topic and group prefix.
        jars: Kafka's libraries.
        duration: duration of the faults.
        seed: seed of the choice of faults and times.
        rate: events per second.
        brokers: 1 or 3.
        reconciled: the institution is older than its subscription, and reconcile runs, too. In the
            end, rosters are compared with Canvas's tables instead of the events.
        queued: events come through a queue and ingest, at least once.
        say: called with each progress message.
    """
    rng = random.Random(seed)
    report = Report()
    with ExitStack() as stack:
        queue = stack.enter_context(faulty_queue(seed)) if queued else None
        system = stack.enter_context(
            System(folder, prefix, jars, brokers=brokers, clock=True, queue=queue)
        )
        create_topic(system.bootstrap, f"{prefix}.raw", PARTITIONS)
        if queue is not None:
            queue.watch(system.bootstrap, prefix, PARTITIONS)
        traffic = Traffic(
            system.bootstrap, prefix, rate=rate, seed=seed, asked=reconciled, queue=queue
        )
        runs = ReconcileRuns(folder, prefix, system, traffic) if reconciled else None
        system.wait_ready(RECOVERY_SECONDS)
        begun = time.monotonic()
        context = FaultContext(system, traffic, rng, say, runs, queue)
        traffic.start()
        try:
            _inject(context, _faults(context), duration, report)
            system.cluster.repair()
        finally:
            truth = traffic.end()
        say("waiting until all records are processed")
        cluster = RosterCluster(system.bootstrap, prefix)
        report.errors += _finish(context, cluster)
        rosters = cluster.rosters()
        try:
            wait_until(lambda: contents(system.replica) == expected(rosters), RECOVERY_SECONDS)
        except NotInTimeError:
            report.errors.append(_replica_differences(system, rosters, cluster.rosters()))
        report.seconds = time.monotonic() - begun
        system.stop()
        report.ends = system.ends
        report.complaints = _complaints(folder)
        report.records = traffic.sent
        _compare_outputs(system.bootstrap, prefix, traffic, report)
        report.rows = {relation: len(found) for relation, found in rosters.items()}
        if runs is not None:
            traffic.close()
            wrong = wrong_rows(traffic.tables(), rows_by_id(rosters))
            report.errors += [f"not as in Canvas: {row}" for row in wrong[:10]]
            return report
        try:
            cluster.assert_exactly(truth)
        except AssertionError as error:
            report.errors.append(str(error))
    return report


def _finish(context: FaultContext, cluster: RosterCluster) -> list[str]:
    """Wait until all is processed, also what ingest and reconcile write. Returns what is wrong with
    that.
    """
    system, traffic = context.system, context.traffic
    queue, runs = context.queue, context.reconcile
    # so that the raw topic has an end
    if queue is not None:
        _empty(queue, system)
    if runs is not None:
        runs.kill()
    _settle(system, cluster)
    if runs is not None:
        wrong = wrong_rows(traffic.tables(), rows_by_id(cluster.rosters()))
        context.say(f"{len(wrong):,} rows are not as in Canvas; run {runs.finish()} is complete")
        _settle(system, cluster)
    return [] if queue is None and runs is None else traffic.expect_written()


def _settle(system: System, cluster: RosterCluster) -> None:
    """Wait until all records are processed."""
    system.wait_ready(RECOVERY_SECONDS)
    raw = f"{system.prefix}.raw"
    ends = {place[1]: end for place, end in cluster.ends([raw]).items() if end > 0}
    wait_until(
        lambda: committed(system.bootstrap, f"{system.prefix}-router", raw) == ends,
        SETTLING_SECONDS,
        what="the end of the raw topic",
    )
    cluster.wait_quiet(system.idle, SETTLING_SECONDS)


def _empty(queue: FaultyQueue, system: System) -> None:
    """Wait until ingest has moved all messages."""

    def is_done() -> bool:
        return queue.is_empty() and not any(
            process.metric("rollcall_ingest_sqs_in_hand_messages")
            for process in system.named(INGEST)
        )

    queue.stop_duplicates()
    system.wait_ready(RECOVERY_SECONDS)
    wait_until(is_done, SETTLING_SECONDS, what=lambda: f"an empty queue: {queue.remaining()}")


def _faults(context: FaultContext) -> list[Fault]:
    """All faults of a system, in the order of a run. Faults of the queue and of reconcile, and with
    several brokers those of brokers, alternate with the other ones.
    """
    system = context.system
    faults = [fault for fault in FAULTS if fault is not jump or system.has_clock]
    own = _alternating(
        RECONCILE_FAULTS if context.reconcile is not None else (),
        QUEUE_FAULTS if context.queue is not None else (),
    )
    if context.queue is not None:
        # all of its records must be there, and some are still in the queue
        faults.remove(delete_topic)
    if own:
        faults = [fault for pair in zip(cycle(own), faults, strict=False) for fault in pair]
    if len(system.cluster.brokers) == 1:
        return faults
    return _alternating(BROKER_FAULTS, [fault for fault in faults if fault not in REFUSALS])


def _alternating(*lists: Sequence[Fault]) -> list[Fault]:
    """Faults of all lists in turn. When a list has ended, those of the others."""
    return [fault for turn in zip_longest(*lists) for fault in turn if fault is not None]


def _inject(context: FaultContext, faults: list[Fault], duration: Duration, report: Report) -> None:
    rng, pending, until = context.rng, list(faults), time.monotonic() + duration.seconds
    while time.monotonic() < until and report.faults.total() < duration.faults:
        if not pending:
            pending = rng.sample(faults, len(faults))
        fault = pending.pop(0)
        title = " ".join((fault.__doc__ or fault.__name__).split())
        context.say(title)
        fault(context)
        report.faults[title] += 1
        if rng.random() < OVERLAP_SHARE:
            time.sleep(rng.uniform(0, 1))
            continue
        seconds = context.system.wait_ready(RECOVERY_SECONDS)
        report.recoveries[title].append(seconds)
        if seconds > LONG_SECONDS:
            report.long_waits.append(
                f"{seconds:.0f} s after {title}: {'; '.join(context.system.waited_for)}"
            )
        time.sleep(rng.uniform(0, 3))


def _replica_differences(system: System, before: Rosters, after: Rosters) -> str:
    """Differences between replica and rosters, with possible reasons."""
    actual, wanted = contents(system.replica), expected(before)
    sizes = {name: (len(rows), len(wanted[name])) for name, rows in actual.items()}
    examples = [
        (name, sorted(set(actual[name]) ^ set(wanted[name]), key=repr)[:4])
        for name in actual
        if actual[name] != wanted[name]
    ]
    changed = "" if after == before else "; the rosters have changed since"
    statuses = [
        (
            process.get("/readyz"),
            {name: value for (name, _), value in process.metrics().items() if "replica" in name},
        )
        for process in system.named("serve")
    ]
    return (
        f"rows of the replica and of the rosters: {sizes}; in one of them only: "
        f"{examples}{changed}; statuses of serve: {statuses}"
    )


def _complaints(folder: Path) -> list[str]:
    """Ends of log lines that are neither those of a healthy process nor Rollcall's own errors, with
    the names of the logs.
    """
    found = [
        (log.name, line)
        for log in sorted(folder.glob("*.log"))
        for line in complaints(log.read_text(errors="replace"))
    ]
    return [
        f"{name}: {line[-COMPLAINT_CHARACTERS:]}"
        for name, line in found
        if OWN_ERRORS not in line or TRACEBACK in line
    ]


def _compare_outputs(bootstrap: str, prefix: str, traffic: Traffic, report: Report) -> None:
    """Compare the router's outputs to the sent records: each once, on its topic, with its bytes."""
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
        report.errors.append(
            f"{missing.total()} records are missing, by topic: "
            f"{dict(Counter(topic for topic, _ in missing.elements()))}"
        )
    if surplus:
        report.errors.append(
            f"{surplus.total()} records are surplus, by topic: "
            f"{dict(Counter(topic for topic, _ in surplus.elements()))}"
        )
