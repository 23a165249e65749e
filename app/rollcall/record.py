"""A record of Kafka, as it is read, and its headers as Kafka stores them (record format 2,
https://kafka.apache.org/documentation/#recordheader).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

Header = tuple[str, bytes | None]
Headers = list[Header]

TRACE_HEADERS = frozenset({"traceparent", "tracestate"})
"""Headers of W3C Trace Context: the trace to which a record belongs."""

MOST_CACHED = 64
"""Characters of the longest header name that is encoded only once."""

EncodedHeaders = bytes
"""The headers of a record as Kafka stores them: their number, then each one."""


class Record(Protocol):
    """A fetched record, as aiokafka's decoder yields it, without the wrapper for single-record
    consumers.
    """

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int | None:
        """Milliseconds since the epoch; -1: not set by the producer."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[Header]: ...


def encode_varint(number: int) -> bytes:
    """A number of at most 64 bits as Kafka stores it: small ones take one byte."""
    left = number
    left = (left << 1) ^ (number >> 63)
    if left < 0x80:
        return _ONE_BYTE[left]
    encoded = bytearray()
    while left >= 0x80:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)


_ONE_BYTE = tuple(bytes((byte,)) for byte in range(0x80))


def encode_headers(headers: Sequence[Header]) -> EncodedHeaders:
    """Headers as Kafka stores them.

    Raises:
        TypeError, AttributeError, UnicodeEncodeError: a name is no string, or has half a surrogate
            pair, or a value is neither bytes nor None.
    """
    pieces = [encode_varint(len(headers))]
    for name, content in headers:
        pieces.append(_encode_name(name))
        if content is None:
            pieces.append(_NULL)
        else:
            pieces += (encode_varint(len(content)), content)
    return b"".join(pieces)


def encode_header(name: str, content: bytes | None) -> bytes:
    """One of several headers as Kafka stores it, without their number."""
    return encode_headers([(name, content)])[1:]


def _encode_name(name: str) -> bytes:
    # producers choose names: a cache of long ones would fill the memory
    return _encode_short_name(name) if len(name) <= MOST_CACHED else _encode_any_name(name)


def _encode_any_name(name: str) -> bytes:
    encoded = name.encode()
    return encode_varint(len(encoded)) + encoded


_encode_short_name = lru_cache(maxsize=1024)(_encode_any_name)


_NULL = encode_varint(-1)
NO_HEADERS: EncodedHeaders = encode_headers(())


def decode_headers(encoded: EncodedHeaders) -> Headers:
    """The headers that :func:`encode_headers` has encoded."""
    headers: Headers = []
    count, at = _decode_varint(encoded, 0)
    for _ in range(count):
        size, at = _decode_varint(encoded, at)
        name, at = encoded[at : at + size].decode(), at + size
        size, at = _decode_varint(encoded, at)
        if size < 0:
            headers.append((name, None))
        else:
            headers.append((name, encoded[at : at + size]))
            at += size
    return headers


def _decode_varint(encoded: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a position, and where the next piece begins."""
    left = shift = 0
    while True:
        byte = encoded[at]
        at += 1
        left |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (left >> 1) ^ -(left & 1), at
