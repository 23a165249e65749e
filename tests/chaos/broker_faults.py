"""What is done to one or two of several brokers. Each fault is over, and every broker there again,
when its function returns.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.chaos.faults import Fault, Scene
from tests.rosters.cluster import PARTITIONS

ZOMBIE_SECONDS = 61.0
"""Longer than any time-out of a client, and than a transaction may last."""

MOST_PARTITIONS = 2 * PARTITIONS
"""Of the raw topic: so many does it get, at most."""

COPY = "events.enrollment_updated"
"""A topic whose data is moved."""


def kill_in_turn(scene: Scene) -> None:
    """SIGKILL, to each broker in turn"""
    for number in range(len(scene.cluster.brokers)):
        scene.cluster.kill(number)
        _start_after(scene, 2, 8)


def stop_in_turn(scene: Scene) -> None:
    """SIGTERM, to each broker in turn"""
    for number in range(len(scene.cluster.brokers)):
        scene.cluster.stop(number)
        _start_after(scene, 2, 8)


def kill_by_role(scene: Scene) -> None:
    """SIGKILL, to a coordinator, a leader or the controller, for 2 to 20 s"""
    number = _by_role(scene)
    scene.cluster.kill(number)
    _start_after(scene, 2, 20)


def stop_by_role(scene: Scene) -> None:
    """SIGTERM, to a coordinator, a leader or the controller, for 2 to 20 s"""
    number = _by_role(scene)
    scene.cluster.stop(number)
    _start_after(scene, 2, 20)


def hang_by_role(scene: Scene) -> None:
    """SIGSTOP, to a coordinator, a leader or the controller, for 5 to 40 s"""
    number = _by_role(scene)
    scene.cluster.suspend(number)
    time.sleep(scene.rng.uniform(5, 40))
    scene.cluster.resume(number)


def zombie_of_routers(scene: Scene) -> None:
    """the routers' coordinator hangs for 61 s, and goes on when a router was just killed"""
    _zombie(scene, "router")


def zombie_of_rosters(scene: Scene) -> None:
    """the rosters' coordinator hangs for 61 s, and goes on when a roster application was just
    killed
    """
    _zombie(scene, "rosters")


def kill_two(scene: Scene) -> None:
    """SIGKILL, to two brokers at once, for 2 to 10 s"""
    numbers = scene.rng.sample(range(len(scene.cluster.brokers)), 2)
    for number in numbers:
        scene.cluster.kill(number)
    _start_after(scene, 2, 10)


def hang_one_kill_one(scene: Scene) -> None:
    """SIGSTOP and SIGKILL, to one broker each, for 5 to 20 s"""
    hung, killed = scene.rng.sample(range(len(scene.cluster.brokers)), 2)
    scene.cluster.suspend(hung)
    scene.cluster.kill(killed)
    time.sleep(scene.rng.uniform(5, 20))
    scene.cluster.resume(hung)
    _start_after(scene, 0, 1)


def part(scene: Scene) -> None:
    """a broker parted from the others, and not from its clients, for 5 to 40 s"""
    number = _by_role(scene)
    scene.cluster.part(number)
    time.sleep(scene.rng.uniform(5, 40))
    scene.cluster.join(number)


def move(scene: Scene) -> None:
    """leaders of the raw topic, and replicas of a typed topic, moved to other brokers"""
    raw, typed = f"{scene.system.prefix}.raw", f"{scene.system.prefix}.{COPY}"
    scene.cluster.wait_in_sync()
    for partition in range(PARTITIONS):
        scene.cluster.move_leader(raw, partition, scene.broker())
    for partition in range(PARTITIONS):
        numbers = scene.rng.sample(range(len(scene.cluster.brokers)), len(scene.cluster.brokers))
        scene.cluster.reassign(typed, partition, numbers[:-1])
        # the one that had lost its replica gets it again, and is to lead
        scene.cluster.reassign(typed, partition, reversed(numbers))


def add_partition(scene: Scene) -> None:
    """a partition added to the raw topic"""
    raw = f"{scene.system.prefix}.raw"
    scene.cluster.add_partitions(raw, min(len(scene.cluster.topics()[raw]) + 1, MOST_PARTITIONS))


def _zombie(scene: Scene, command: str) -> None:
    number = scene.cluster.coordinator_of(f"{scene.system.prefix}-{command}")
    scene.cluster.suspend(number)
    time.sleep(ZOMBIE_SECONDS)
    scene.one(command).process.send_signal(signal.SIGKILL)
    # Until its partitions are another one's: lanes open then, and one may have asked the broker
    # that hangs.
    time.sleep(scene.rng.uniform(0, 12))
    scene.cluster.resume(number)


def _by_role(scene: Scene) -> int:
    cluster, prefix = scene.cluster, scene.system.prefix
    roles: dict[str, Callable[[], int]] = {
        "the coordinator of the routers": lambda: cluster.coordinator_of(f"{prefix}-router"),
        "the coordinator of the rosters": lambda: cluster.coordinator_of(f"{prefix}-rosters"),
        "the coordinator of a lane's transactions": lambda: cluster.transaction_coordinator_of(
            f"{prefix}-router-0"
        ),
        "the leader of a raw partition": lambda: cluster.leader_of(f"{prefix}.raw", 0),
        "the controller": cluster.controller,
    }
    role = scene.rng.choice(list(roles))
    number = roles[role]()
    scene.say(f"  broker {number}, {role}")
    return number


def _start_after(scene: Scene, least: float, most: float) -> None:
    time.sleep(scene.rng.uniform(least, most))
    scene.cluster.start_all()


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
