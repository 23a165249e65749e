"""Partition of a key, the same as the Java producer's default partitioner chooses, so that other
consumers can co-partition.

Compiled in ``_murmur.pyx``. Otherwise a library's function is used, which releases the GIL for each
key: other threads then run in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from murmurhash2 import murmurhash2

_SEED = 0x9747B28C


def python_murmur2(data: bytes) -> int:
    """Does the same as :func:`rollcall.kafka._murmur.hashed`."""
    number: int = murmurhash2(data, _SEED)
    return number


class PythonPartitioner:
    """Does the same as :class:`rollcall.kafka._murmur.Partitioner`."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def __call__(self, key: bytes) -> int:
        return (python_murmur2(key) & 0x7FFFFFFF) % self._partitions


if TYPE_CHECKING:
    from rollcall.kafka._murmur import Partitioner as Partitioner
    from rollcall.kafka._murmur import hashed as hashed
else:
    try:
        from rollcall.kafka._murmur import Partitioner, hashed
    except ModuleNotFoundError:  # not compiled
        Partitioner, hashed = PythonPartitioner, python_murmur2


def murmur2(data: bytes) -> int:
    """32-bit murmur2 of ``data``, unsigned; otherwise the same as
    ``org.apache.kafka.common.utils.Utils.murmur2``.
    """
    return hashed(data)


def partitioner(partitions: int) -> Callable[[bytes], int]:
    """A function from key to partition, for topics with ``partitions`` partitions."""
    return Partitioner(partitions)
