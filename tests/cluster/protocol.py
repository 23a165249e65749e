"""Requests to one broker that librdkafka lacks, or that it sends to any broker. Each is one
exchange over a socket.

The format is that of https://kafka.apache.org/protocol.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

METADATA, FIND_COORDINATOR, ELECT_LEADERS, ALTER_PARTITION_REASSIGNMENTS, DESCRIBE_QUORUM = (
    3,
    10,
    43,
    45,
    55,
)

_CLIENT_ID = b"rollcall-tests"
_NO_TAGS = b"\0"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition in a broker's metadata. ``leader``: a node id; -1: none now."""

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


Topics = dict[str, dict[int, Partition]]


class _Response:
    """The bytes of a response, with a position."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, form: str) -> int:
        """The next number, in a format of :mod:`struct`."""
        (value,) = struct.unpack_from(f">{form}", self._content, self._at)
        self._at += struct.calcsize(f">{form}")
        return int(value)

    def varint(self) -> int:
        """The next unsigned number in the compact format."""
        value, shift = 0, 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self, length: int) -> str:
        """The next characters. A negative length (null) gives an empty text."""
        self._at += max(length, 0)
        return self._content[self._at - max(length, 0) : self._at].decode()

    def array(self, item: Callable[[], Item]) -> list[Item]:
        """The next array in the old format."""
        return [item() for _ in range(self.number("i"))]


def topics(host: str, port: int, timeout: float) -> Topics:
    """All topics in the metadata of a broker, with Kafka's own.

    Raises:
        OSError: the broker does not respond.
    """
    response = _send(host, port, METADATA, 4, struct.pack(">i?", -1, False), timeout=timeout)
    response.number("i")  # throttle time

    response.array(
        lambda: (
            response.number("i"),
            response.text(response.number("h")),
            response.number("i"),
            response.text(response.number("h")),
        )
    )
    response.text(response.number("h"))  # cluster id
    response.number("i")  # controller: in KRaft, any broker

    def partition() -> tuple[int, Partition]:
        response.number("h")  # error code
        index, leader = response.number("i"), response.number("i")
        return index, Partition(
            leader,
            tuple(response.array(lambda: response.number("i"))),
            tuple(response.array(lambda: response.number("i"))),
        )

    def topic() -> tuple[str, dict[int, Partition]]:
        response.number("h")
        name = response.text(response.number("h"))
        response.number("?")
        return name, dict(response.array(partition))

    return dict(response.array(topic))


def find_coordinator(host: str, port: int, name: str, timeout: float, *, transactions: bool) -> int:
    """The node that coordinates a group, or the transactions of an id; -1: none now.

    Raises:
        OSError: the broker does not respond.
    """
    key = name.encode()
    response = _send(
        host,
        port,
        FIND_COORDINATOR,
        1,
        struct.pack(">h", len(key)) + key + struct.pack(">b", transactions),
        timeout=timeout,
    )
    response.number("i")  # throttle time
    code = response.number("h")
    response.text(response.number("h"))
    return response.number("i") if code == 0 else -1


def controller(host: str, port: int, timeout: float) -> int:
    """The node that is the active controller; -1: there is none.

    Raises:
        OSError: the broker does not respond.
    """
    log = _compact_array(
        [
            _compact_text("__cluster_metadata")
            + _compact_array([struct.pack(">i", 0) + _NO_TAGS])
            + _NO_TAGS
        ]
    )
    response = _send(host, port, DESCRIBE_QUORUM, 0, log + _NO_TAGS, timeout=timeout)
    assert response.varint() == 0, "unexpected tags"
    if response.number("h") != 0 or response.varint() != 2:
        return -1
    response.text(response.varint() - 1)
    assert response.varint() == 2, "not one partition"
    response.number("i")
    return response.number("i") if response.number("h") == 0 else -1


def reassign(
    host: str, port: int, topic: str, partition: int, replicas: Sequence[int], timeout: float
) -> int:
    """Start to move a partition's replicas to these nodes. Returns Kafka's error code.

    Raises:
        OSError: the broker does not respond.
    """
    nodes = _compact_array([struct.pack(">i", node) for node in replicas])
    topics = _compact_array(
        [
            _compact_text(topic)
            + _compact_array([struct.pack(">i", partition) + nodes + _NO_TAGS])
            + _NO_TAGS
        ]
    )
    response = _send(
        host,
        port,
        ALTER_PARTITION_REASSIGNMENTS,
        0,
        struct.pack(">i", int(timeout * 1000)) + topics + _NO_TAGS,
        timeout=timeout,
    )
    return _code_of_partition(response, has_message=True)


def elect_preferred(host: str, port: int, topic: str, partition: int, timeout: float) -> int:
    """Make the first replica of a partition its leader. Returns Kafka's error code. In librdkafka's
    Python binding, this call raises ``SystemError``.

    Raises:
        OSError: the broker does not respond.
    """
    topics = _compact_array(
        [_compact_text(topic) + _compact_array([struct.pack(">i", partition)]) + _NO_TAGS]
    )
    response = _send(
        host,
        port,
        ELECT_LEADERS,
        2,
        b"\0" + topics + struct.pack(">i", int(timeout * 1000)) + _NO_TAGS,
        timeout=timeout,
    )
    return _code_of_partition(response, has_message=False)


def _code_of_partition(response: _Response, *, has_message: bool) -> int:
    """The error code of a response about one partition: that of the whole response, or that of the
    partition. ``has_message``: the response has an error message after its error code.
    """
    assert response.varint() == 0, "unexpected tags"
    response.number("i")  # throttle time
    code = response.number("h")
    if has_message:
        response.text(response.varint() - 1)
    if code != 0:
        return code
    assert response.varint() == 2, "not one topic"
    response.text(response.varint() - 1)
    assert response.varint() == 2, "not one partition"
    response.number("i")
    return response.number("h")


def _send(
    host: str, port: int, kind: int, version: int, body: bytes, *, timeout: float
) -> _Response:
    """The response to a request, from the end of its correlation id. Requests with a compact body
    also have a compact header.
    """
    tags = b"" if kind in (METADATA, FIND_COORDINATOR) else _NO_TAGS
    request = struct.pack(">hhih", kind, version, 0, len(_CLIENT_ID)) + _CLIENT_ID + tags + body
    with (
        socket.create_connection((host, port), timeout=timeout) as connection,
        connection.makefile("rb") as incoming,
    ):
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _complete(incoming.read(4), 4))
        return _Response(_complete(incoming.read(size), size)[4:])


def _complete(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise ConnectionError("the broker closed the connection")
    return content


def _compact_text(text: str) -> bytes:
    return bytes([len(text.encode()) + 1]) + text.encode()


def _compact_array(items: Sequence[bytes]) -> bytes:
    return bytes([len(items) + 1]) + b"".join(items)
