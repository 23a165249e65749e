"""The partition of a key, as the Java producer's default partitioner chooses it, so that foreign consumers can co-partition."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import unpack_from

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C

CACHED_KEYS = 1 << 16
"""Keys whose partition is remembered: hashing in Python costs microseconds, and the keys of a burst repeat. About 10 MB."""

MOST_CACHED_BYTES = 64
"""Longer keys are not remembered: a key can be as long as a record."""


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of ``data``, unsigned; same as ``org.apache.kafka.common.utils.Utils.murmur2`` but for the sign."""
    length = len(data)
    words = length >> 2
    h = _SEED ^ length
    for k in unpack_from(f"<{words}I", data):
        k = (k * _M) & _MASK
        k ^= k >> 24
        h = ((h * _M) ^ (k * _M)) & _MASK
    rest = data[words << 2 :]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """A function from key to partition, for topics with so many ``partitions``."""

    def hashed(key: bytes) -> int:
        return (murmur2(key) & 0x7FFFFFFF) % partitions

    remembered = lru_cache(maxsize=CACHED_KEYS)(hashed)

    def partition(key: bytes) -> int:
        return remembered(key) if len(key) <= MOST_CACHED_BYTES else hashed(key)

    return partition
