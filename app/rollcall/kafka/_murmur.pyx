# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""Hash of the Java producer's default partitioner, for app/rollcall/kafka/partitioner.py."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t


def hashed(bytes data not None):
    """See app/rollcall/kafka/_murmur.pyi."""
    return murmur2(<const uint8_t*> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef class Partitioner:
    """See app/rollcall/kafka/_murmur.pyi."""

    cdef int partitions

    def __init__(self, int partitions):
        if partitions < 1:
            raise ValueError("a topic has at least one partition")
        self.partitions = partitions

    def __call__(self, bytes key not None):
        return partition_of(<const uint8_t*> PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key),
        self.partitions)
