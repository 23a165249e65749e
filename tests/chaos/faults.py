"""The faults. Each fault ends before its function returns. The function's docstring is the fault's
title in reports: no sentence, and no full stop.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.chaos.queue import FaultyQueue
from tests.chaos.reconciling import ReconcileRuns
from tests.chaos.system import INGEST, Supervised, System
from tests.chaos.traffic import Traffic
from tests.cluster.brokers import BrokerCluster
from tests.ingest.shim import HANG, Refusal
from tests.kafka_client import admin_client

SESSION_SECONDS = 6
"""Session timeout, after which a process loses its partitions: tests/processes.py."""

POISON = 400
"""Too few of a partition's last 1,000 records for the breaker to open: it would wait for an
operator.
"""


@dataclass(frozen=True)
class FaultContext:
    """The context of a fault."""

    system: System
    traffic: Traffic
    rng: random.Random
    say: Callable[[str], object]
    reconcile: ReconcileRuns | None = None
    queue: FaultyQueue | None = None

    @property
    def cluster(self) -> BrokerCluster:
        """The brokers."""
        return self.system.cluster

    def broker(self) -> int:
        """The number of a random broker."""
        return self.rng.randrange(len(self.cluster.brokers))

    def one(self, *commands: str) -> Supervised:
        """A random process of these commands, or of all commands."""
        return self.rng.choice(
            [
                each
                for each in self.system.processes
                if not commands or each.process.command in commands
            ]
        )


def kill(context: FaultContext) -> None:
    """SIGKILL, to one process"""
    context.one().process.send_signal(signal.SIGKILL)


def kill_all(context: FaultContext) -> None:
    """SIGKILL, to all processes at once"""
    for each in context.system.processes:
        each.process.send_signal(signal.SIGKILL)


def terminate(context: FaultContext) -> None:
    """SIGTERM, to one process"""
    context.one().process.send_signal(signal.SIGTERM)


def pause(context: FaultContext) -> None:
    """SIGSTOP past the session, SIGCONT"""
    process = context.one().process
    process.send_signal(signal.SIGSTOP)
    time.sleep(SESSION_SECONDS + context.rng.uniform(1, 5))
    process.send_signal(signal.SIGCONT)


def kill_broker(context: FaultContext) -> None:
    """a broker killed, and started after 2 to 10 s"""
    number = context.broker()
    context.cluster.kill(number)
    time.sleep(context.rng.uniform(2, 10))
    context.cluster.start(number)


def restart_broker(context: FaultContext) -> None:
    """a broker stopped, and started after 2 to 10 s"""
    number = context.broker()
    context.cluster.stop(number)
    time.sleep(context.rng.uniform(2, 10))
    context.cluster.start(number)


def cut(context: FaultContext) -> None:
    """all connections cut, five times"""
    for number in range(5):
        for proxy in context.cluster.clients:
            proxy.cut(reset=number % 2 == 0)
        time.sleep(context.rng.uniform(0.1, 1))


def slow(context: FaultContext) -> None:
    """a slow network: 0.2 s for each 64 KiB, for 10 s"""
    for seconds in (0.2, 0.0):
        for proxy in context.cluster.clients:
            proxy.slow(seconds)
        time.sleep(10 if seconds else 0)


def freeze(context: FaultContext) -> None:
    """a network that passes on nothing, for 5 to 15 s"""
    for proxy in context.cluster.clients:
        proxy.freeze()
    time.sleep(context.rng.uniform(5, 15))
    for proxy in context.cluster.clients:
        proxy.thaw()


def refuse_changelog(context: FaultContext) -> None:
    """writing to a changelog refused, for 8 s"""
    _refuse(context, f"{context.system.prefix}-rosters-course-changelog")


def refuse_typed(context: FaultContext) -> None:
    """writing to a typed topic refused, for 8 s"""
    _refuse(context, f"{context.system.prefix}.events.enrollment_updated")


def _refuse(context: FaultContext, topic: str) -> None:
    admin = admin_client(context.system.bootstrap)

    def rule(operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        return AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            "User:ANONYMOUS",
            "*",
            operation,
            permission,
        )

    # With an ACL on a resource, everything without an ACL is denied.
    rules = [
        rule(AclOperation.ALL, AclPermissionType.ALLOW),
        rule(AclOperation.WRITE, AclPermissionType.DENY),
    ]
    for future in admin.create_acls(rules).values():
        future.result(30)
    time.sleep(8)
    filters = [
        AclBindingFilter(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            "User:ANONYMOUS",
            "*",
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
    ]
    for future in admin.delete_acls(filters).values():
        future.result(30)


def poison(context: FaultContext) -> None:
    """a poison chunk: 400 invalid records in one partition"""
    context.traffic.poison(POISON)


def delete_topic(context: FaultContext) -> None:
    """a typed topic deleted by mistake"""
    context.traffic.delete_topic()


def jump(context: FaultContext) -> None:
    """the clocks of two processes set 3 days ahead, then 2 days back, for 4 s each"""
    for offset in ("+3d", "-2d", "+0"):
        context.system.clock.write_text(offset)
        time.sleep(4)  # the processes read the file once a second


Fault = Callable[[FaultContext], None]


def kill_reconcile(context: FaultContext) -> None:
    """a run of reconcile, resumed, and killed after 1 to 8 s"""
    assert context.reconcile is not None
    context.reconcile.start("--resume")
    time.sleep(context.rng.uniform(1, 8))
    context.reconcile.kill()


def reconcile_twice(context: FaultContext) -> None:
    """two runs of reconcile at once"""
    assert context.reconcile is not None
    context.reconcile.start()
    time.sleep(context.rng.uniform(0, 3))
    context.reconcile.start()
    time.sleep(context.rng.uniform(1, 8))


RECONCILE_FAULTS = (kill_reconcile, reconcile_twice)


def fail_queue(context: FaultContext) -> None:
    """all calls to the queue answered with 503, for 5 s"""
    _answer(context, Refusal(503, "ServiceUnavailable"), 5)


def expire_credentials(context: FaultContext) -> None:
    """expired credentials for the queue, for 10 s"""
    _answer(context, Refusal(400, "ExpiredToken"), 10)


def hang_queue(context: FaultContext) -> None:
    """no answer from the queue, for 10 s"""
    _answer(context, HANG, 10)


def _answer(context: FaultContext, refusal: Refusal | str, seconds: float) -> None:
    assert context.queue is not None
    context.queue.refuse(refusal)
    time.sleep(seconds)
    context.queue.refuse(None)


def kill_ingest(context: FaultContext) -> None:
    """SIGKILL, to one process of ingest"""
    context.one(INGEST).process.send_signal(signal.SIGKILL)


QUEUE_FAULTS = (kill_ingest, fail_queue, expire_credentials, hang_queue)

FAULTS: tuple[Fault, ...] = (
    kill,
    pause,
    kill_broker,
    cut,
    refuse_changelog,
    poison,
    terminate,
    slow,
    delete_topic,
    restart_broker,
    freeze,
    jump,
    kill_all,
    refuse_typed,
)
"""In the order of a run, so that a short run has the most different faults."""

REFUSALS = (refuse_changelog, refuse_typed)
"""Faults that need brokers with an authorizer."""
