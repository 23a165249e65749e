"""What the brokers of a cluster are told of each other: ports, names, Kafka's properties."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from rollcall.sandbox.broker.node import Node, free_port, new_cluster_id

HOST = "127.0.0.1"
"""Of all brokers, for their clients."""

_PEERS, _PROXIED = "PEERS", "PROXIED"
"""The listeners for other brokers, and for clients behind a proxy."""

_PORTS_EACH = 5

KAFKAS_TIMING = {"broker.session.timeout.ms": "9000", "broker.heartbeat.interval.ms": "2000"}
"""Kafka's defaults, which decide how long a broker that is away is waited for. The embedded broker,
whose clients wait for it alone, has shorter ones.
"""


@dataclass(frozen=True)
class Member:
    """A broker of a cluster: its node, and its further ports."""

    node: Node
    peers: int
    """For other brokers."""
    proxied: int
    """For clients behind its proxy."""
    proxy: int
    """Of that proxy."""


def plan_members(size: int) -> list[Member]:
    """So many brokers of a new cluster."""
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
    """What makes a node one of several. Peers call each other by names, which each finds in a file
    of its own: :func:`hosts`.
    """
    own, size = members[number], len(members)
    copies, least = str(size), str(size // 2 + 1)
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
        "default.replication.factor": copies,
        "min.insync.replicas": least,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": least,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": least,
        **(KAFKAS_TIMING if size > 1 else {}),
    }


def address(number: int, other: int, *, network: bool) -> str:
    """Where a broker finds another one. With a network in between that is an address of these two,
    so that a proxy knows who calls.
    """
    return f"127.0.{number + 1}.{other + 1}" if network and number != other else HOST


def hosts(size: int, number: int, *, network: bool) -> str:
    """A broker's file of names, in the form of ``/etc/hosts``."""
    names = [(HOST, "localhost"), (HOST, socket.gethostname())]
    names += [(address(number, other, network=network), f"broker-{other}") for other in range(size)]
    return "".join(f"{place} {name}\n" for place, name in names)
