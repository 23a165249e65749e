"""What a broker is asked that librdkafka has no call for, or would ask any broker: one exchange
over a socket.

The bytes are those of https://kafka.apache.org/protocol.
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
    """A partition as a broker knows it. ``leader``: a node's id; -1: none now."""

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


Topics = dict[str, dict[int, Partition]]


class _Answer:
    """The bytes of a response, read from front to back."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self, form: str) -> int:
        """The next number, of a form of :mod:`struct`."""
        (value,) = struct.unpack_from(f">{form}", self._content, self._at)
        self._at += struct.calcsize(f">{form}")
        return int(value)

    def varint(self) -> int:
        """The next unsigned number of a compact form."""
        value, shift = 0, 0
        while True:
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self, length: int) -> str:
        """The next characters; none for a negative length."""
        self._at += max(length, 0)
        return self._content[self._at - max(length, 0) : self._at].decode()

    def array(self, item: Callable[[], Item]) -> list[Item]:
        """The next array of the old form."""
        return [item() for _ in range(self.number("i"))]


def topics(host: str, port: int, timeout: float) -> Topics:
    """All topics, Kafka's own too, as this broker knows them.

    Raises:
        OSError: it does not answer.
    """
    answer = _ask(host, port, METADATA, 4, struct.pack(">i?", -1, False), timeout=timeout)
    answer.number("i")  # throttle time

    answer.array(
        lambda: (
            answer.number("i"),
            answer.text(answer.number("h")),
            answer.number("i"),
            answer.text(answer.number("h")),
        )
    )
    answer.text(answer.number("h"))  # the cluster's id
    answer.number("i")  # some broker, which KRaft gives out as the controller

    def partition() -> tuple[int, Partition]:
        answer.number("h")  # what is wrong with it
        index, leader = answer.number("i"), answer.number("i")
        return index, Partition(
            leader,
            tuple(answer.array(lambda: answer.number("i"))),
            tuple(answer.array(lambda: answer.number("i"))),
        )

    def topic() -> tuple[str, dict[int, Partition]]:
        answer.number("h")
        name = answer.text(answer.number("h"))
        answer.number("?")
        return name, dict(answer.array(partition))

    return dict(answer.array(topic))


def find_coordinator(host: str, port: int, name: str, timeout: float, *, transactions: bool) -> int:
    """The node that coordinates a group, or the transactions of an id; -1: none now.

    Raises:
        OSError: the broker does not answer.
    """
    key = name.encode()
    answer = _ask(
        host,
        port,
        FIND_COORDINATOR,
        1,
        struct.pack(">h", len(key)) + key + struct.pack(">b", transactions),
        timeout=timeout,
    )
    answer.number("i")  # throttle time
    code = answer.number("h")
    answer.text(answer.number("h"))
    return answer.number("i") if code == 0 else -1


def controller(host: str, port: int, timeout: float) -> int:
    """The node that is the active controller; -1: there is none.

    Raises:
        OSError: the broker does not answer.
    """
    log = _compact_array(
        [
            _compact_text("__cluster_metadata")
            + _compact_array([struct.pack(">i", 0) + _NO_TAGS])
            + _NO_TAGS
        ]
    )
    answer = _ask(host, port, DESCRIBE_QUORUM, 0, log + _NO_TAGS, timeout=timeout)
    assert answer.varint() == 0, "tags where none are"
    if answer.number("h") != 0 or answer.varint() != 2:
        return -1
    answer.text(answer.varint() - 1)
    assert answer.varint() == 2, "not one partition"
    answer.number("i")
    return answer.number("i") if answer.number("h") == 0 else -1


def reassign(
    host: str, port: int, topic: str, partition: int, replicas: Sequence[int], timeout: float
) -> int:
    """Have a partition's replicas moved to these nodes; returns Kafka's error code. It is not done
    yet then.

    Raises:
        OSError: the broker does not answer.
    """
    nodes = _compact_array([struct.pack(">i", node) for node in replicas])
    places = _compact_array(
        [
            _compact_text(topic)
            + _compact_array([struct.pack(">i", partition) + nodes + _NO_TAGS])
            + _NO_TAGS
        ]
    )
    answer = _ask(
        host,
        port,
        ALTER_PARTITION_REASSIGNMENTS,
        0,
        struct.pack(">i", int(timeout * 1000)) + places + _NO_TAGS,
        timeout=timeout,
    )
    return _code_of_partition(answer, explained=True)


def elect_preferred(host: str, port: int, topic: str, partition: int, timeout: float) -> int:
    """Have the first replica of a partition lead it; returns Kafka's error code. librdkafka's
    Python binding has the call, and it raises ``SystemError``.

    Raises:
        OSError: the broker does not answer.
    """
    places = _compact_array(
        [_compact_text(topic) + _compact_array([struct.pack(">i", partition)]) + _NO_TAGS]
    )
    answer = _ask(
        host,
        port,
        ELECT_LEADERS,
        2,
        b"\0" + places + struct.pack(">i", int(timeout * 1000)) + _NO_TAGS,
        timeout=timeout,
    )
    return _code_of_partition(answer, explained=False)


def _code_of_partition(answer: _Answer, *, explained: bool) -> int:
    """The error code of a response about one partition: that of all, or the partition's.
    ``explained``: with a message about all.
    """
    assert answer.varint() == 0, "tags where none are"
    answer.number("i")  # throttle time
    code = answer.number("h")
    if explained:
        answer.text(answer.varint() - 1)
    if code != 0:
        return code
    assert answer.varint() == 2, "not one topic"
    answer.text(answer.varint() - 1)
    assert answer.varint() == 2, "not one partition"
    answer.number("i")
    return answer.number("h")


def _ask(host: str, port: int, kind: int, version: int, body: bytes, *, timeout: float) -> _Answer:
    """The response to a request, from behind its correlation id on. Bodies of the compact form
    bring a header of that form.
    """
    tags = b"" if kind in (METADATA, FIND_COORDINATOR) else _NO_TAGS
    request = struct.pack(">hhih", kind, version, 0, len(_CLIENT_ID)) + _CLIENT_ID + tags + body
    with (
        socket.create_connection((host, port), timeout=timeout) as connection,
        connection.makefile("rb") as incoming,
    ):
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _whole(incoming.read(4), 4))
        return _Answer(_whole(incoming.read(size), size)[4:])


def _whole(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise ConnectionError("the broker closed the connection")
    return content


def _compact_text(text: str) -> bytes:
    return bytes([len(text.encode()) + 1]) + text.encode()


def _compact_array(items: Sequence[bytes]) -> bytes:
    return bytes([len(items) + 1]) + b"".join(items)
