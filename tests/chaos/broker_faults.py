"""Faults of one or two of several brokers. Each fault ends, and all brokers run again, before its
function returns.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.faults import Fault, FaultContext
from tests.rosters.cluster import PARTITIONS

ZOMBIE_SECONDS = 61.0
"""Longer than all time-outs of clients and the transaction time-out."""

MAX_PARTITIONS = 2 * PARTITIONS
"""Maximum number of partitions of the raw topic."""

MOVED_TOPIC = "events.enrollment_updated"
"""The typed topic whose replicas move."""


def kill_in_turn(context: FaultContext) -> None:
    """SIGKILL, to each broker in turn"""
    for number in range(len(context.cluster.brokers)):
        context.cluster.kill(number)
        _start_after(context, 2, 8)


def stop_in_turn(context: FaultContext) -> None:
    """SIGTERM, to each broker in turn"""
    for number in range(len(context.cluster.brokers)):
        context.cluster.stop(number)
        _start_after(context, 2, 8)


def kill_by_role(context: FaultContext) -> None:
    """SIGKILL, to a coordinator, a leader or the controller, for 2 to 20 s"""
    number = _by_role(context)
    context.cluster.kill(number)
    _start_after(context, 2, 20)


def stop_by_role(context: FaultContext) -> None:
    """SIGTERM, to a coordinator, a leader or the controller, for 2 to 20 s"""
    number = _by_role(context)
    context.cluster.stop(number)
    _start_after(context, 2, 20)


def hang_by_role(context: FaultContext) -> None:
    """SIGSTOP, to a coordinator, a leader or the controller, for 5 to 40 s"""
    number = _by_role(context)
    context.cluster.suspend(number)
    time.sleep(context.rng.uniform(5, 40))
    context.cluster.resume(number)


def zombie_of_routers(context: FaultContext) -> None:
    """SIGSTOP to the routers' coordinator for 61 s; it resumes after a router was killed"""
    _zombie(context, "router")


def zombie_of_rosters(context: FaultContext) -> None:
    """SIGSTOP to the rosters' coordinator for 61 s; it resumes after a process was killed"""
    _zombie(context, "rosters")


def kill_two(context: FaultContext) -> None:
    """SIGKILL, to two brokers at once, for 2 to 10 s"""
    numbers = context.rng.sample(range(len(context.cluster.brokers)), 2)
    for number in numbers:
        context.cluster.kill(number)
    _start_after(context, 2, 10)


def hang_one_kill_one(context: FaultContext) -> None:
    """SIGSTOP and SIGKILL, to one broker each, for 5 to 20 s"""
    suspended, killed = context.rng.sample(range(len(context.cluster.brokers)), 2)
    context.cluster.suspend(suspended)
    context.cluster.kill(killed)
    time.sleep(context.rng.uniform(5, 20))
    context.cluster.resume(suspended)
    _start_after(context, 0, 1)


def isolate(context: FaultContext) -> None:
    """a broker isolated from the other brokers, not from its clients, for 5 to 40 s"""
    number = _by_role(context)
    context.cluster.isolate(number)
    time.sleep(context.rng.uniform(5, 40))
    context.cluster.reconnect(number)


def move(context: FaultContext) -> None:
    """leaders of the raw topic, and replicas of a typed topic, moved to other brokers"""
    raw, typed = f"{context.system.prefix}.raw", f"{context.system.prefix}.{MOVED_TOPIC}"
    context.cluster.wait_in_sync()
    for partition in range(PARTITIONS):
        context.cluster.move_leader(raw, partition, context.broker())
    for partition in range(PARTITIONS):
        numbers = context.rng.sample(
            range(len(context.cluster.brokers)), len(context.cluster.brokers)
        )
        context.cluster.reassign(typed, partition, numbers[:-1])
        # the broker that lost its replica gets it again, as preferred leader
        context.cluster.reassign(typed, partition, reversed(numbers))


def add_partition(context: FaultContext) -> None:
    """a partition added to the raw topic"""
    raw = f"{context.system.prefix}.raw"
    context.cluster.add_partitions(raw, min(len(context.cluster.topics()[raw]) + 1, MAX_PARTITIONS))


def _zombie(context: FaultContext, command: str) -> None:
    number = context.cluster.coordinator_of(f"{context.system.prefix}-{command}")
    context.cluster.suspend(number)
    time.sleep(ZOMBIE_SECONDS)
    context.one(command).process.send_signal(signal.SIGKILL)
    # until other processes get its partitions and open lanes: they may have sent a request to the
    # suspended broker
    time.sleep(context.rng.uniform(0, 12))
    context.cluster.resume(number)


def _by_role(context: FaultContext) -> int:
    cluster, prefix = context.cluster, context.system.prefix
    roles: dict[str, Callable[[], int]] = {
        "the coordinator of the routers": lambda: cluster.coordinator_of(f"{prefix}-router"),
        "the coordinator of the rosters": lambda: cluster.coordinator_of(f"{prefix}-rosters"),
        "the coordinator of a lane's transactions": lambda: cluster.transaction_coordinator_of(
            f"{prefix}-router-0"
        ),
        "the leader of a raw partition": lambda: cluster.leader_of(f"{prefix}.raw", 0),
        "the controller": cluster.controller,
    }
    role = context.rng.choice(list(roles))
    number = roles[role]()
    context.say(f"  broker {number}, {role}")
    return number


def _start_after(context: FaultContext, min_seconds: float, max_seconds: float) -> None:
    time.sleep(context.rng.uniform(min_seconds, max_seconds))
    context.cluster.start_all()


BROKER_FAULTS: tuple[Fault, ...] = (
    kill_by_role,
    zombie_of_routers,
    isolate,
    stop_by_role,
    add_partition,
    hang_by_role,
    kill_two,
    move,
    zombie_of_rosters,
    kill_in_turn,
    hang_one_kill_one,
    stop_in_turn,
)
"""In the order of a run."""
