"""A cluster of three real brokers, each a controller too, whose nodes can be stopped, killed, hung
and parted from each other.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]

from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.broker.files import write_atomically
from tests.chaos.proxy import Proxy
from tests.cluster import protocol
from tests.cluster.plan import HOST, address, hosts, plan_members
from tests.cluster.plan import properties as plan_properties
from tests.kafka_client import admin_client
from tests.waiting import wait_until

DEADLINE = 120.0
"""So long may the cluster take over anything."""

ANSWER_SECONDS = 5.0

NONE, ELECTION_NOT_NEEDED = 0, 84
"""Error codes of Kafka."""

_OPTIONS = ("-XX:+UseSerialGC", "-Xss512k")
Answer = TypeVar("Answer")


class BrokerCluster:
    """Brokers with replicas of everything on each, of which a majority must be there for anything
    to be written. A context manager.

    Brokers are named by their index in ``brokers``; the node's id in Kafka is one higher. Every
    method blocks.

    How long a pause lasts is decided by the same settings as in production:
    :data:`tests.cluster.plan.KAFKAS_TIMING`.

    Args:
        folder: for everything that they write.
        jars: Kafka's libraries.
        size: the number of brokers.
        network: connections go through proxies: those between brokers, without which :meth:`part`
            cannot be, and those of clients that use ``network_bootstrap``.
        heap: of each.
        properties: further ones of all brokers.
    """

    def __init__(
        self,
        folder: Path,
        jars: Path,
        *,
        size: int = 3,
        network: bool = False,
        heap: str = "320m",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._size = size
        self._network = network
        self._suspended: dict[int, int] = {}
        """By broker, the process that hangs."""
        self._parted: set[int] = set()
        self._links: dict[tuple[int, int], list[Proxy]] = {}
        """Proxies by who calls and who is called."""
        self._stack = ExitStack()
        self.clients: list[Proxy] = []
        """Proxies between each broker and the clients that use ``network_bootstrap``."""
        self._members = plan_members(size)
        self.brokers = [
            EmbeddedBroker(
                folder / f"broker-{number}",
                jars=jars,
                heap=heap,
                options=(*_OPTIONS, f"-Djdk.net.hosts.file={folder / f'hosts-{number}'}"),
                properties=plan_properties(self._members, number) | dict(properties or {}),
            )
            for number in range(size)
        ]

    def __enter__(self) -> Self:
        with self._stack:
            for number, member in enumerate(self._members):
                directory = self.brokers[number].directory
                directory.mkdir(parents=True, exist_ok=True)
                write_atomically(directory / "node.json", json.dumps(asdict(member.node)))
                write_atomically(
                    self._folder / f"hosts-{number}",
                    hosts(self._size, number, network=self._network),
                )
                self._stack.callback(self.kill, number)
            if self._network:
                self._connect()
            self.start_all()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers."""
        return ",".join(member.node.bootstrap for member in self._members)

    @property
    def network_bootstrap(self) -> str:
        """The same through ``clients``; a client that begins there stays there."""
        return ",".join(f"{HOST}:{proxy.port}" for proxy in self.clients)

    # --- what is done to brokers

    def start(self, number: int) -> None:
        """Start a broker, and wait until it takes part."""
        self.brokers[number].start(DEADLINE)

    def start_all(self) -> None:
        """Start the brokers that do not run: at once, since none is ready before a majority is."""
        with ThreadPoolExecutor(self._size) as threads:
            list(threads.map(self.start, range(self._size)))

    def stop(self, number: int) -> None:
        """SIGTERM: the broker gives its leaderships away, and ends."""
        self.brokers[number].stop()

    def kill(self, number: int) -> None:
        """SIGKILL."""
        self._suspended.pop(number, None)
        self.brokers[number].kill()

    def suspend(self, number: int) -> None:
        """SIGSTOP: the broker hangs, and its connections stay."""
        pid = self.brokers[number].pid
        assert pid is not None, f"broker {number} does not run"
        self._suspended[number] = pid
        os.kill(pid, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """SIGCONT, if it hangs."""
        if pid := self._suspended.pop(number, None):
            os.kill(pid, signal.SIGCONT)

    def part(self, number: int) -> None:
        """Let nothing pass between a broker and the other ones, and tell none of them. Clients
        reach all.
        """
        assert self._network, "the brokers' connections go through no proxy"
        self._parted.add(number)
        for link in self._links_of(number):
            link.freeze()

    def join(self, number: int) -> None:
        """End what :meth:`part` began; what was sent meanwhile arrives."""
        self._parted.discard(number)
        for link in self._links_of(number):
            link.thaw()

    def mend(self) -> None:
        """Resume, join and start all brokers, and wait until every partition has all its replicas
        again.
        """
        for number in range(self._size):
            self.resume(number)
            self.join(number)
        self.start_all()
        self.wait_in_sync()

    # --- queries

    def in_touch(self, number: int) -> bool:
        """Whether a broker runs, neither hangs nor is parted from the others."""
        return (
            number not in self._suspended
            and number not in self._parted
            and self.brokers[number].pid is not None
        )

    def topics(self) -> protocol.Topics:
        """All topics and their partitions. Nodes' ids are one higher than brokers' indexes."""
        return self._ask(protocol.topics)

    def topics_by(self, number: int) -> protocol.Topics:
        """The same, as one broker knows it."""
        return protocol.topics(HOST, self._members[number].node.port, ANSWER_SECONDS)

    def leader_of(self, topic: str, partition: int) -> int:
        """The broker that leads a partition; waits until that is one :meth:`in_touch`, which takes
        until the controller has missed the one before.
        """
        return self._wait_for(
            lambda: self.topics().get(topic, {}).get(partition, _UNLED).leader,
            f"a leader of {topic} {partition}",
        )

    def coordinator_of(self, group: str) -> int:
        """The broker that coordinates a group."""
        return self._coordinator(group, transactions=False)

    def transaction_coordinator_of(self, transactional_id: str) -> int:
        """The broker that coordinates the transactions of an id."""
        return self._coordinator(transactional_id, transactions=True)

    def controller(self) -> int:
        """The broker that is the active controller."""
        return self._wait_for(lambda: self._ask(protocol.controller), "a controller")

    def wait_in_sync(self) -> None:
        """Wait until every partition has a leader and all its replicas."""
        wait_until(lambda: not self._behind(), DEADLINE, what="replicas that are in sync")

    # --- what is changed

    def add_partitions(self, topic: str, total: int) -> None:
        """Give a topic partitions until it has so many."""

        def more() -> bool:
            try:
                admin_client(self.bootstrap).create_partitions(
                    [NewPartitions(topic, total)], request_timeout=10
                )[topic].result(30)
            except KafkaException as error:
                if error.args[0].retriable() or error.args[0].code() in (
                    KafkaError._TIMED_OUT,
                    KafkaError._TRANSPORT,
                ):
                    return False
                raise
            return True

        wait_until(
            lambda: len(self.topics()[topic]) >= total or more(),
            DEADLINE,
            what="a change that the controller makes",
        )
        wait_until(
            lambda: len(self.topics().get(topic, {})) == total,
            DEADLINE,
            what=f"{total} partitions of {topic}",
        )

    def reassign(self, topic: str, partition: int, brokers: Iterable[int]) -> None:
        """Have a partition's replicas on these brokers, and wait until they are there. The first
        one is preferred as leader.
        """
        nodes = tuple(number + 1 for number in brokers)
        self._succeed(
            lambda host, port, timeout: protocol.reassign(
                host, port, topic, partition, nodes, timeout
            )
        )

        def done() -> bool:
            found = self.topics()[topic][partition]
            return found.replicas == nodes and set(found.in_sync) == set(nodes)

        wait_until(done, DEADLINE, what=f"the replicas {nodes} of {topic} {partition}")

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        """Have another broker lead a partition; all must be there."""
        self.reassign(
            topic,
            partition,
            [broker, *(number for number in range(self._size) if number != broker)],
        )
        self._succeed(
            lambda host, port, timeout: protocol.elect_preferred(
                host, port, topic, partition, timeout
            )
        )
        wait_until(
            lambda: self.leader_of(topic, partition) == broker,
            DEADLINE,
            what=f"broker {broker} as leader of {topic} {partition}",
        )

    # --- how it is made

    def _connect(self) -> None:
        self.clients = [
            self._stack.enter_context(Proxy(member.proxied, port=member.proxy))
            for member in self._members
        ]
        for number in range(self._size):
            for other, member in enumerate(self._members):
                if other != number:
                    at = address(number, other, network=True)
                    proxies = [
                        Proxy(port, host=at, port=port)
                        for port in (member.peers, member.node.controller_port)
                    ]
                    self._links[number, other] = [
                        self._stack.enter_context(proxy) for proxy in proxies
                    ]

    def _links_of(self, number: int) -> list[Proxy]:
        return [
            proxy for pair, proxies in self._links.items() if number in pair for proxy in proxies
        ]

    # --- connections

    def _ask(self, question: Callable[[str, int, float], Answer]) -> Answer:
        """Have a broker answer that is in touch with the others."""
        answers: list[Answer] = []

        def answered() -> bool:
            for number in filter(self.in_touch, range(self._size)):
                with suppress(OSError):
                    answers.append(question(HOST, self._members[number].node.port, ANSWER_SECONDS))
                    return True
            return False

        wait_until(answered, DEADLINE, what="an answer of a broker")
        return answers[0]

    def _succeed(self, change: Callable[[str, int, float], int]) -> None:
        """Have a broker change something, and again until Kafka's error code says that it is so."""
        wait_until(
            lambda: self._ask(change) in (NONE, ELECTION_NOT_NEEDED),
            DEADLINE,
            what="a change that the controller makes",
        )

    def _wait_for(self, node: Callable[[], int], what: str) -> int:
        """The index of the broker whose node's id is asked for; waits until it is one in touch.
        ``node`` may say -1: there is none.
        """
        found = -1

        def is_known() -> bool:
            nonlocal found
            found = node() - 1
            return found >= 0 and self.in_touch(found)

        wait_until(is_known, DEADLINE, what=what)
        return found

    def _coordinator(self, name: str, *, transactions: bool) -> int:
        def found() -> int:
            return self._ask(
                lambda host, port, timeout: protocol.find_coordinator(
                    host, port, name, timeout, transactions=transactions
                )
            )

        return self._wait_for(found, f"the coordinator of {name}")

    def _behind(self) -> Sequence[tuple[str, int]]:
        """Partitions without a leader, or with replicas that are not in sync."""
        return [
            (topic, number)
            for topic, partitions in self.topics().items()
            for number, partition in partitions.items()
            if partition.leader < 0 or len(partition.in_sync) < len(partition.replicas)
        ]


_UNLED = protocol.Partition(-1, (), ())
