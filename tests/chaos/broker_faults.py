"""What is done to one or two of several brokers. Each fault is over, and every broker there again,
when its function returns.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.faults import Fault, FaultContext
from tests.rosters.cluster import PARTITIONS

ZOMBIE_SECONDS = 61.0
"""Longer than any time-out of a client, and than a transaction may last."""

MOST_PARTITIONS = 2 * PARTITIONS
"""Of the raw topic: so many does it get, at most."""

COPY = "events.enrollment_updated"
"""A topic whose data is moved."""


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
    """the routers' coordinator hangs for 61 s, and goes on when a router was just killed"""
    _zombie(context, "router")


def zombie_of_rosters(context: FaultContext) -> None:
    """the rosters' coordinator hangs for 61 s, and goes on when a roster application was just
    killed
    """
    _zombie(context, "rosters")


def kill_two(context: FaultContext) -> None:
    """SIGKILL, to two brokers at once, for 2 to 10 s"""
    numbers = context.rng.sample(range(len(context.cluster.brokers)), 2)
    for number in numbers:
        context.cluster.kill(number)
    _start_after(context, 2, 10)


def hang_one_kill_one(context: FaultContext) -> None:
    """SIGSTOP and SIGKILL, to one broker each, for 5 to 20 s"""
    hung, killed = context.rng.sample(range(len(context.cluster.brokers)), 2)
    context.cluster.suspend(hung)
    context.cluster.kill(killed)
    time.sleep(context.rng.uniform(5, 20))
    context.cluster.resume(hung)
    _start_after(context, 0, 1)


def part(context: FaultContext) -> None:
    """a broker parted from the others, and not from its clients, for 5 to 40 s"""
    number = _by_role(context)
    context.cluster.part(number)
    time.sleep(context.rng.uniform(5, 40))
    context.cluster.join(number)


def move(context: FaultContext) -> None:
    """leaders of the raw topic, and replicas of a typed topic, moved to other brokers"""
    raw, typed = f"{context.system.prefix}.raw", f"{context.system.prefix}.{COPY}"
    context.cluster.wait_in_sync()
    for partition in range(PARTITIONS):
        context.cluster.move_leader(raw, partition, context.broker())
    for partition in range(PARTITIONS):
        numbers = context.rng.sample(
            range(len(context.cluster.brokers)), len(context.cluster.brokers)
        )
        context.cluster.reassign(typed, partition, numbers[:-1])
        # the one that had lost its replica gets it again, and is to lead
        context.cluster.reassign(typed, partition, reversed(numbers))


def add_partition(context: FaultContext) -> None:
    """a partition added to the raw topic"""
    raw = f"{context.system.prefix}.raw"
    context.cluster.add_partitions(
        raw, min(len(context.cluster.topics()[raw]) + 1, MOST_PARTITIONS)
    )


def _zombie(context: FaultContext, command: str) -> None:
    number = context.cluster.coordinator_of(f"{context.system.prefix}-{command}")
    context.cluster.suspend(number)
    time.sleep(ZOMBIE_SECONDS)
    context.one(command).process.send_signal(signal.SIGKILL)
    # Until its partitions are another one's: lanes open then, and one may have asked the broker
    # that hangs.
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


def _start_after(context: FaultContext, least: float, most: float) -> None:
    time.sleep(context.rng.uniform(least, most))
    context.cluster.start_all()


BROKER_FAULTS: tuple[Fault, ...] = (
    kill_by_role,
    zombie_of_routers,
    part,
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
"""In the order in which they come first."""
