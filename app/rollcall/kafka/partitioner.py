"""The partition of a key, as the Java producer's default partitioner chooses it, so that foreign
consumers can co-partition.

Compiled (``_murmur.pyx``) where a C compiler is. Otherwise it is a library's, which lets go of the
GIL for each key: other threads then take turns in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from murmurhash2 import murmurhash2

_SEED = 0x9747B28C


def plain_hashed(data: bytes) -> int:
    """Does what :func:`rollcall.kafka._murmur.hashed` does."""
    number: int = murmurhash2(data, _SEED)
    return number


class PlainPartitioner:
    """Does what :class:`rollcall.kafka._murmur.Partitioner` does."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def __call__(self, key: bytes) -> int:
        return (plain_hashed(key) & 0x7FFFFFFF) % self._partitions


if TYPE_CHECKING:
    from rollcall.kafka._murmur import Partitioner as Partitioner
    from rollcall.kafka._murmur import hashed as hashed
else:
    try:
        from rollcall.kafka._murmur import Partitioner, hashed
    except ModuleNotFoundError:  # it was not compiled
        Partitioner, hashed = PlainPartitioner, plain_hashed


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of ``data``, unsigned; same as
    ``org.apache.kafka.common.utils.Utils.murmur2`` but for the sign.
    """
    return hashed(data)


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """A function from key to partition, for topics with so many ``partitions``."""
    return Partitioner(partitions)
