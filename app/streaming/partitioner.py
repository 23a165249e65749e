"""The partition of a key, as the Java producer's default partitioner chooses it, so that foreign consumers can co-partition."""

from __future__ import annotations

from collections.abc import Callable

from murmurhash2 import murmurhash2

_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of ``data``, unsigned; same as ``org.apache.kafka.common.utils.Utils.murmur2`` but for the sign."""
    hashed: int = murmurhash2(data, _SEED)
    return hashed


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """A function from key to partition, for topics with so many ``partitions``. Each call gives other threads a turn: the library lets go of the GIL."""

    def partition(key: bytes) -> int:
        place: int = (murmurhash2(key, _SEED) & 0x7FFFFFFF) % partitions
        return place

    return partition
