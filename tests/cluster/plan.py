"""Ports, host names and Kafka's properties of a cluster's brokers."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from rollcall.sandbox.broker.node import Node, free_port, new_cluster_id

HOST = "127.0.0.1"
"""Address of all brokers, for clients."""

_PEERS, _PROXIED = "PEERS", "PROXIED"
"""Names of the listeners for other brokers, and for clients behind a proxy."""

_PORTS_EACH = 5
"""Number of ports of a broker."""

DEFAULT_TIMING = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
"""Kafka's defaults: the time after which the controller gives up a broker. The embedded broker has
shorter values.
"""


@dataclass(frozen=True)
class Member:
    """A broker of a cluster: its node, and additional ports."""

    node: Node
    peers: int
    """Port for other brokers."""
    proxied: int
    """Port for clients behind its proxy."""
    proxy: int
    """Port of its proxy."""


def plan_members(size: int) -> list[Member]:
    """The brokers of a new cluster, with free ports."""
    ports: list[int] = []
    while len(ports) < _PORTS_EACH * size:
        if (port := free_port(HOST)) not in ports:
            ports.append(port)
    cluster = new_cluster_id()
    return [
        Member(Node(cluster, HOST, *ports[at : at + 2]), *ports[at + 2 : at + _PORTS_EACH])
        for at in range(0, len(ports), _PORTS_EACH)
    ]


def properties(members: Sequence[Member], number: int) -> dict[str, str]:
    """Properties of a node in a cluster. Brokers connect to each other's names, which each resolves
    by its own file: :func:`hosts`.
    """
    own, size = members[number], len(members)
    replicas, min_in_sync = str(size), str(size // 2 + 1)
    advertised = {
        _PEERS: f"broker-{number}:{own.peers}",
        "CONTROLLER": f"broker-{number}:{own.node.controller_port}",
        _PROXIED: f"{HOST}:{own.proxy}",
    }
    return {
        "node.id": str(number + 1),
        "controller.quorum.voters": ",".join(
            f"{at + 1}@broker-{at}:{each.node.controller_port}" for at, each in enumerate(members)
        ),
        "listeners": f"{_PEERS}://{HOST}:{own.peers},{_PROXIED}://{HOST}:{own.proxied}",
        "advertised.listeners": ",".join(
            f"{name}://{address}" for name, address in advertised.items()
        ),
        "listener.security.protocol.map": f"{_PEERS}:PLAINTEXT,{_PROXIED}:PLAINTEXT",
        "inter.broker.listener.name": _PEERS,
        "default.replication.factor": replicas,
        "min.insync.replicas": min_in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": min_in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": min_in_sync,
        **(DEFAULT_TIMING if size > 1 else {}),
    }


def address(number: int, other: int, *, network: bool) -> str:
    """The address at which a broker finds another one. With proxies, each pair of brokers has its
    own address, so that a proxy knows the connecting broker.
    """
    return f"127.0.{number + 1}.{other + 1}" if network and number != other else HOST


def hosts(size: int, number: int, *, network: bool) -> str:
    """A broker's file of host names, in the format of ``/etc/hosts``."""
    names = [(HOST, "localhost"), (HOST, socket.gethostname())]
    names += [(address(number, other, network=network), f"broker-{other}") for other in range(size)]
    return "".join(f"{place} {name}\n" for place, name in names)
