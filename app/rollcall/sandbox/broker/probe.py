"""Reads a broker's cluster id and brokers: one Metadata request over a socket.

Without a client library, because it must work in any thread, with or without an event loop, many
times a second during a broker's start, and without log lines about a missing broker. The format is
version 4 in https://kafka.apache.org/protocol#The_Messages_Metadata.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_METADATA = 3
_VERSION = 4
_CLIENT_ID = b"rollcall-probe"
_MAX_BYTES = 10_000_000

NOT_AN_ANSWER = (struct.error, UnicodeDecodeError)
"""Exceptions of :func:`parse_answer` for bytes of another protocol."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The id of a cluster, and the addresses (host, port) of its active brokers."""

    cluster_id: str | None
    brokers: frozenset[tuple[str, int]]


def describe_cluster(host: str, port: int, *, timeout: float) -> Cluster | None:
    """The cluster of the broker at ``host:port``; None without a valid answer. Each step may take
    ``timeout`` seconds.
    """
    # an empty array of topics, and no topic creation
    request = (
        struct.pack(">hhih", _METADATA, _VERSION, 0, len(_CLIENT_ID))
        + _CLIENT_ID
        + struct.pack(">i?", 0, False)
    )
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 0 < size <= _MAX_BYTES:
                return None
            return parse_answer(_receive(connection, size))
    except (OSError, *NOT_AN_ANSWER):
        return None


def _receive(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("the broker closed the connection")
        received += part
    return bytes(received)


def parse_answer(answer: bytes) -> Cluster:
    """Parse a Metadata response (version 4) without its length.

    Raises:
        struct.error, UnicodeDecodeError: the bytes are of another protocol.
    """
    at = 8  # correlation id, throttle time

    def integer() -> int:
        nonlocal at
        (value,) = struct.unpack_from(">i", answer, at)
        at += 4
        return int(value)

    def text() -> str | None:
        nonlocal at
        (length,) = struct.unpack_from(">h", answer, at)
        at += 2
        if length < 0:
            return None
        value = answer[at : at + length].decode()
        at += length
        return value

    brokers = set()
    for _ in range(integer()):
        integer()  # node id
        host = text()
        brokers.add((host or "", integer()))
        text()  # rack
    return Cluster(text(), frozenset(brokers))
