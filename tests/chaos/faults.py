"""What is done to the system. Each fault is over when its function returns."""

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

from tests.chaos.system import Supervised, System
from tests.chaos.traffic import Traffic
from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import admin_client

SESSION_SECONDS = 6
"""After which a silent process loses its partitions: tests/processes.py."""

POISON = 400
"""Of the last 1,000 records of a partition not so many that the breaker opens: that waits for a
person, as it should.
"""


@dataclass(frozen=True)
class Scene:
    """What a fault may touch."""

    system: System
    traffic: Traffic
    rng: random.Random
    say: Callable[[str], object]

    @property
    def cluster(self) -> BrokerCluster:
        """The brokers."""
        return self.system.cluster

    def broker(self) -> int:
        """A broker, by chance."""
        return self.rng.randrange(len(self.cluster.brokers))

    def one(self, *commands: str) -> Supervised:
        """A process of these commands, by chance; of all of them when none is named."""
        return self.rng.choice(
            [
                each
                for each in self.system.processes
                if not commands or each.process.command in commands
            ]
        )


def kill(scene: Scene) -> None:
    """SIGKILL, to one process"""
    scene.one().process.send_signal(signal.SIGKILL)


def kill_all(scene: Scene) -> None:
    """SIGKILL, to all processes at once"""
    for each in scene.system.processes:
        each.process.send_signal(signal.SIGKILL)


def terminate(scene: Scene) -> None:
    """SIGTERM, to one process"""
    scene.one().process.send_signal(signal.SIGTERM)


def pause(scene: Scene) -> None:
    """SIGSTOP past the session, SIGCONT"""
    process = scene.one().process
    process.send_signal(signal.SIGSTOP)
    time.sleep(SESSION_SECONDS + scene.rng.uniform(1, 5))
    process.send_signal(signal.SIGCONT)


def kill_broker(scene: Scene) -> None:
    """a broker killed, and started after 2 to 10 s"""
    number = scene.broker()
    scene.cluster.kill(number)
    time.sleep(scene.rng.uniform(2, 10))
    scene.cluster.start(number)


def restart_broker(scene: Scene) -> None:
    """a broker stopped, and started after 2 to 10 s"""
    number = scene.broker()
    scene.cluster.stop(number)
    time.sleep(scene.rng.uniform(2, 10))
    scene.cluster.start(number)


def cut(scene: Scene) -> None:
    """all connections cut, five times"""
    for number in range(5):
        for proxy in scene.cluster.clients:
            proxy.cut(reset=number % 2 == 0)
        time.sleep(scene.rng.uniform(0.1, 1))


def slow(scene: Scene) -> None:
    """a slow network: 0.2 s for each 64 KiB, for 10 s"""
    for seconds in (0.2, 0.0):
        for proxy in scene.cluster.clients:
            proxy.slow(seconds)
        time.sleep(10 if seconds else 0)


def freeze(scene: Scene) -> None:
    """a network that passes on nothing, for 5 to 15 s"""
    for proxy in scene.cluster.clients:
        proxy.freeze()
    time.sleep(scene.rng.uniform(5, 15))
    for proxy in scene.cluster.clients:
        proxy.thaw()


def refuse_changelog(scene: Scene) -> None:
    """writing to a changelog refused, for 8 s"""
    _refuse(scene, f"{scene.system.prefix}-rosters-course-changelog")


def refuse_typed(scene: Scene) -> None:
    """writing to a typed topic refused, for 8 s"""
    _refuse(scene, f"{scene.system.prefix}.events.enrollment_updated")


def _refuse(scene: Scene, topic: str) -> None:
    admin = admin_client(scene.system.bootstrap)

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

    # Where there is a rule, only what a rule allows is allowed.
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


def poison(scene: Scene) -> None:
    """a poison chunk: 400 records of rubbish in one partition"""
    scene.traffic.poison(POISON)


def delete_topic(scene: Scene) -> None:
    """a typed topic deleted by mistake"""
    scene.traffic.delete_topic()


def jump(scene: Scene) -> None:
    """the clocks of two processes set 3 days ahead, then 2 days back, for 4 s each"""
    for offset in ("+3d", "-2d", "+0"):
        scene.system.clock.write_text(offset)
        time.sleep(4)  # they look once a second


Fault = Callable[[Scene], None]

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
"""In the order in which they come first, so that a short run has the most different ones."""

REFUSALS = (refuse_changelog, refuse_typed)
"""Those that need brokers which know of rights."""
