# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""Encodes records in Kafka's format (record format 2,
https://kafka.apache.org/documentation/#record), for app/rollcall/kafka/encoding.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

import time

cdef enum:
    FIRST_CAPACITY = 4_096
    VARINT = 10  # maximum bytes of a number
    # per record: length, attributes, timestamp, offset, and lengths of key and value
    MAX_OVERHEAD = 5 * VARINT + 1


cdef inline uint64_t zigzag(int64_t number) noexcept nogil:
    return (<uint64_t> number << 1) ^ <uint64_t> (number >> 63)


cdef inline uint8_t* write_varint(uint8_t* out, int64_t number) noexcept nogil:
    cdef uint64_t left = zigzag(number)
    while left >= 0x80:
        out[0] = <uint8_t> (left | 0x80)
        out += 1
        left >>= 7
    out[0] = <uint8_t> left
    return out + 1


cdef inline int varint_size(int64_t number) noexcept nogil:
    cdef uint64_t left = zigzag(number)
    cdef int size = 1
    while left >= 0x80:
        left >>= 7
        size += 1
    return size


cdef inline Py_ssize_t size_of(bytes content) noexcept:
    return -1 if content is None else PyBytes_GET_SIZE(content)


cdef inline uint8_t* write_bytes(uint8_t* out, bytes content) noexcept:
    """Write bytes, or null, with their length before them."""
    out = write_varint(out, size_of(content))
    if content is not None:
        memcpy(out, PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))
        out += PyBytes_GET_SIZE(content)
    return out


cdef class RecordBatch:
    """See app/rollcall/kafka/_encoding.pyi."""

    cdef uint8_t* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef int views  # of what is in the data, which must not move meanwhile
    cdef readonly int count
    cdef readonly int64_t first_timestamp
    cdef readonly int64_t max_timestamp

    def __dealloc__(self):
        PyMem_Free(self.data)

    def __getbuffer__(self, Py_buffer* buffer, int _flags):
        buffer.obj = self
        buffer.buf = self.data
        buffer.len = self.size
        buffer.readonly = True
        buffer.format = "B"
        buffer.itemsize = buffer.ndim = 1
        buffer.shape = &buffer.len
        buffer.strides = &buffer.itemsize
        buffer.suboffsets = NULL
        buffer.internal = NULL
        self.views += 1

    def __releasebuffer__(self, Py_buffer* _buffer):
        self.views -= 1

    @property
    def encoded(self):
        """See app/rollcall/kafka/_encoding.pyi."""
        return memoryview(self) if self.data != NULL else b""

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Make room for ``more`` bytes."""
        cdef Py_ssize_t capacity = self.capacity or FIRST_CAPACITY
        cdef uint8_t* moved
        if self.size + more <= self.capacity:
            return 0
        if self.views:
            raise BufferError("the batch is being read, and must not grow")
        while capacity < self.size + more:
            capacity *= 2
        moved = <uint8_t*> PyMem_Realloc(self.data, capacity)
        if moved == NULL:
            raise MemoryError
        self.data = moved
        self.capacity = capacity
        return 0


cdef class RecordBatches:
    """See app/rollcall/kafka/_encoding.pyi."""

    cdef readonly list batches
    cdef RecordBatch open
    cdef Py_ssize_t max_bytes

    def __cinit__(self, Py_ssize_t max_bytes):
        self.batches = []
        self.max_bytes = max_bytes

    def append(self, timestamp, bytes key, bytes value, bytes headers not None):
        """See app/rollcall/kafka/_encoding.pyi."""
        cdef int64_t at = <int64_t> (time.time() * 1000) if timestamp is None else timestamp
        cdef Py_ssize_t headers_size = PyBytes_GET_SIZE(headers)
        cdef Py_ssize_t max_size = (
            max(0, size_of(key)) + max(0, size_of(value)) + headers_size + MAX_OVERHEAD
        )
        cdef RecordBatch batch = self.open
        cdef Py_ssize_t size
        cdef uint8_t* out
        if batch is None or (batch.count and batch.size + max_size > self.max_bytes):
            batch = self.open = RecordBatch()
            batch.first_timestamp = batch.max_timestamp = at
            self.batches.append(batch)
        batch.reserve(max_size)
        size = 1 + varint_size(at - batch.first_timestamp) + varint_size(batch.count) + headers_size
        size += varint_size(size_of(key)) + max(0, size_of(key))
        size += varint_size(size_of(value)) + max(0, size_of(value))
        out = write_varint(batch.data + batch.size, size)
        out[0] = 0  # no attributes are defined
        out = write_varint(out + 1, at - batch.first_timestamp)
        out = write_varint(out, batch.count)
        out = write_bytes(out, key)
        out = write_bytes(out, value)
        memcpy(out, PyBytes_AS_STRING(headers), headers_size)
        batch.size = out + headers_size - batch.data
        batch.count += 1
        if at > batch.max_timestamp:
            batch.max_timestamp = at
