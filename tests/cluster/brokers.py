"""A cluster of three real brokers, which are also controllers. Tests can stop, kill, suspend and
isolate each broker.
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
"""Time limit for each change of the cluster, seconds."""

RESPONSE_SECONDS = 5.0
"""Time limit for a response of a broker."""

NONE, ELECTION_NOT_NEEDED = 0, 84
"""Kafka's error codes."""

_OPTIONS = ("-XX:+UseSerialGC", "-Xss512k")
Response = TypeVar("Response")


class BrokerCluster:
    """Brokers with a replica of each partition on each broker. Writes need a majority of them. A
    context manager; all methods block.

    A broker's number is its index in ``brokers``. Its node id in Kafka is one higher. The length of
    pauses depends on production's settings: :data:`tests.cluster.plan.DEFAULT_TIMING`.

    Args:
        folder: folder for the brokers' files.
        jars: Kafka's libraries.
        size: the number of brokers.
        network: whether connections go through proxies: those between brokers, which
            :meth:`isolate` needs, and those of clients that use ``network_bootstrap``.
        heap: heap size of each broker.
        properties: additional properties of all brokers.
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
        """Process ids of suspended brokers, by number."""
        self._isolated: set[int] = set()
        self._links: dict[tuple[int, int], list[Proxy]] = {}
        """Proxies by the numbers of the connecting and the other broker."""
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
        """Addresses of all brokers."""
        return ",".join(member.node.bootstrap for member in self._members)

    @property
    def network_bootstrap(self) -> str:
        """Addresses of all brokers behind the proxies in ``clients``. Clients that start with them
        also get proxies' addresses later.
        """
        return ",".join(f"{HOST}:{proxy.port}" for proxy in self.clients)

    # --- faults

    def start(self, number: int) -> None:
        """Start a broker, and wait until it is part of the cluster."""
        self.brokers[number].start(DEADLINE)

    def start_all(self) -> None:
        """Start all stopped brokers concurrently: none is ready before a majority is."""
        with ThreadPoolExecutor(self._size) as threads:
            list(threads.map(self.start, range(self._size)))

    def stop(self, number: int) -> None:
        """SIGTERM: the broker hands its leaderships over, and exits."""
        self.brokers[number].stop()

    def kill(self, number: int) -> None:
        """SIGKILL."""
        self._suspended.pop(number, None)
        self.brokers[number].kill()

    def suspend(self, number: int) -> None:
        """SIGSTOP: the broker hangs, and its connections stay open."""
        pid = self.brokers[number].pid
        assert pid is not None, f"broker {number} does not run"
        self._suspended[number] = pid
        os.kill(pid, signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """SIGCONT, if the broker is suspended."""
        if pid := self._suspended.pop(number, None):
            os.kill(pid, signal.SIGCONT)

    def isolate(self, number: int) -> None:
        """Hold back all data between a broker and the other ones. Connections stay open, and
        clients reach all brokers.
        """
        assert self._network, "the brokers' connections go through no proxy"
        self._isolated.add(number)
        for link in self._links_of(number):
            link.freeze()

    def reconnect(self, number: int) -> None:
        """Undo :meth:`isolate`. The data that was held back arrives."""
        self._isolated.discard(number)
        for link in self._links_of(number):
            link.thaw()

    def repair(self) -> None:
        """Resume, reconnect and start all brokers, and wait until all replicas are in sync."""
        for number in range(self._size):
            self.resume(number)
            self.reconnect(number)
        self.start_all()
        self.wait_in_sync()

    # --- queries

    def is_available(self, number: int) -> bool:
        """Whether a broker runs, and is neither suspended nor isolated."""
        return (
            number not in self._suspended
            and number not in self._isolated
            and self.brokers[number].pid is not None
        )

    def topics(self) -> protocol.Topics:
        """All topics and their partitions. Node ids are one higher than brokers' numbers."""
        return self._request(protocol.topics)

    def topics_of(self, number: int) -> protocol.Topics:
        """All topics and their partitions in the metadata of one broker."""
        return protocol.topics(HOST, self._members[number].node.port, RESPONSE_SECONDS)

    def leader_of(self, topic: str, partition: int) -> int:
        """The broker that leads a partition. Waits until the leader is :meth:`is_available`: the
        controller first has to notice that an earlier leader is not.
        """
        return self._wait_for(
            lambda: self.topics().get(topic, {}).get(partition, _WITHOUT_LEADER).leader,
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
        return self._wait_for(lambda: self._request(protocol.controller), "a controller")

    def wait_in_sync(self) -> None:
        """Wait until each partition has a leader, and all replicas are in sync."""
        wait_until(lambda: not self._out_of_sync(), DEADLINE, what="replicas that are in sync")

    # --- changes of topics

    def add_partitions(self, topic: str, total: int) -> None:
        """Add partitions to a topic, up to a total."""

        def create() -> bool:
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
            lambda: len(self.topics()[topic]) >= total or create(),
            DEADLINE,
            what="a change that the controller makes",
        )
        wait_until(
            lambda: len(self.topics().get(topic, {})) == total,
            DEADLINE,
            what=f"{total} partitions of {topic}",
        )

    def reassign(self, topic: str, partition: int, brokers: Iterable[int]) -> None:
        """Move a partition's replicas to these brokers, and wait until it is done. The first broker
        is the preferred leader.
        """
        nodes = tuple(number + 1 for number in brokers)
        self._change(
            lambda host, port, timeout: protocol.reassign(
                host, port, topic, partition, nodes, timeout
            )
        )

        def done() -> bool:
            found = self.topics()[topic][partition]
            return found.replicas == nodes and set(found.in_sync) == set(nodes)

        wait_until(done, DEADLINE, what=f"the replicas {nodes} of {topic} {partition}")

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        """Make another broker the leader of a partition. All brokers must be available."""
        self.reassign(
            topic,
            partition,
            [broker, *(number for number in range(self._size) if number != broker)],
        )
        self._change(
            lambda host, port, timeout: protocol.elect_preferred(
                host, port, topic, partition, timeout
            )
        )
        wait_until(
            lambda: self.leader_of(topic, partition) == broker,
            DEADLINE,
            what=f"broker {broker} as leader of {topic} {partition}",
        )

    # --- proxies

    def _connect(self) -> None:
        self.clients = [
            self._stack.enter_context(Proxy(member.proxied, port=member.proxy))
            for member in self._members
        ]
        for number in range(self._size):
            for other, member in enumerate(self._members):
                if other != number:
                    host = address(number, other, network=True)
                    proxies = [
                        Proxy(port, host=host, port=port)
                        for port in (member.peers, member.node.controller_port)
                    ]
                    self._links[number, other] = [
                        self._stack.enter_context(proxy) for proxy in proxies
                    ]

    def _links_of(self, number: int) -> list[Proxy]:
        return [
            proxy for pair, proxies in self._links.items() if number in pair for proxy in proxies
        ]

    # --- requests

    def _request(self, send: Callable[[str, int, float], Response]) -> Response:
        """The response of an available broker."""
        responses: list[Response] = []

        def has_response() -> bool:
            for number in filter(self.is_available, range(self._size)):
                with suppress(OSError):
                    responses.append(send(HOST, self._members[number].node.port, RESPONSE_SECONDS))
                    return True
            return False

        wait_until(has_response, DEADLINE, what="a response of a broker")
        return responses[0]

    def _change(self, send: Callable[[str, int, float], int]) -> None:
        """Send a request until its error code is that of a success."""
        wait_until(
            lambda: self._request(send) in (NONE, ELECTION_NOT_NEEDED),
            DEADLINE,
            what="a change that the controller makes",
        )

    def _wait_for(self, node: Callable[[], int], what: str) -> int:
        """The number of the broker with a node id. Waits until this broker is available.

        Args:
            node: returns the node id; -1: none now.
            what: the awaited broker, for the error message.
        """
        number = -1

        def is_known() -> bool:
            nonlocal number
            number = node() - 1
            return number >= 0 and self.is_available(number)

        wait_until(is_known, DEADLINE, what=what)
        return number

    def _coordinator(self, name: str, *, transactions: bool) -> int:
        def node() -> int:
            return self._request(
                lambda host, port, timeout: protocol.find_coordinator(
                    host, port, name, timeout, transactions=transactions
                )
            )

        return self._wait_for(node, f"the coordinator of {name}")

    def _out_of_sync(self) -> Sequence[tuple[str, int]]:
        """Partitions without a leader, or with replicas that are not in sync."""
        return [
            (topic, number)
            for topic, partitions in self.topics().items()
            for number, partition in partitions.items()
            if partition.leader < 0 or len(partition.in_sync) < len(partition.replicas)
        ]


_WITHOUT_LEADER = protocol.Partition(-1, (), ())
