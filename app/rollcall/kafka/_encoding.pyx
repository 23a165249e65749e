# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, embedsignature=True
"""Encodes records in Kafka's format (record format 2,
https://kafka.apache.org/documentation/#record), for app/rollcall/kafka/encoding.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

import time

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    FIRST_CAPACITY = 4_096
    VARINT = 10  # maximum bytes of a number
    # per record: length, attributes, timestamp, offset, and lengths of key and value
    MAX_OVERHEAD = 5 * VARINT + 1


cdef inline uint64_t zigzag(int64_t number) noexcept nogil:
    return (<uint64_t> number << 1) ^ <uint64_t> (number >> 63)


cdef uint8_t* write_varint(uint8_t* out, int64_t number) noexcept nogil:
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


cdef inline uint8_t* write_bytes(uint8_t* out, const uint8_t* content,
Py_ssize_t size) noexcept nogil:
    """Write bytes, preceded by their length. A negative size means null."""
    out = write_varint(out, size)
    if size > 0:
        memcpy(out, content, size)
        out += size
    return out


cdef inline const uint8_t* start_of(bytes content) noexcept:
    if content is None:
        return NULL
    return <const uint8_t*> PyBytes_AS_STRING(content)


cdef inline Py_ssize_t size_of(bytes content) noexcept:
    return -1 if content is None else PyBytes_GET_SIZE(content)


cdef Py_ssize_t encoded_size(list headers) except -1:
    cdef Py_ssize_t size = VARINT
    cdef Py_ssize_t name_size = 0
    for header in headers:
        name, content = <tuple?> header
        PyUnicode_AsUTF8AndSize(name, &name_size)
        size += name_size + 2 * VARINT
        if content is not None:
            size += PyBytes_GET_SIZE(<bytes?> content)
    return size


cdef uint8_t* encode_headers(uint8_t* out, list headers) except NULL:
    cdef Py_ssize_t name_size = 0
    cdef const char* name_text
    out = write_varint(out, len(headers))
    for header in headers:
        name, content = <tuple> header
        name_text = PyUnicode_AsUTF8AndSize(name, &name_size)
        out = write_bytes(out, <const uint8_t*> name_text, name_size)
        if content is None:
            out = write_varint(out, -1)
        else:
            out = write_bytes(out, <const uint8_t*> PyBytes_AS_STRING(content),
            PyBytes_GET_SIZE(content))
    return out


cdef class Room:
    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef uint8_t* of(self, Py_ssize_t size) except NULL:
        if size > self.capacity:
            PyMem_Free(self.data)
            self.capacity = 0
            self.data = <uint8_t*> PyMem_Malloc(2 * size)
            if self.data == NULL:
                raise MemoryError
            self.capacity = 2 * size
        return self.data


cdef class RecordBatch:
    """See app/rollcall/kafka/_encoding.pyi."""

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

    def __cinit__(self, Py_ssize_t max_bytes):
        self.batches = []
        self.headers = Room()
        self.max_bytes = max_bytes

    def append(self, timestamp, bytes key, bytes value, list headers not None):
        """See app/rollcall/kafka/_encoding.pyi."""
        cdef int64_t at = self.now() if timestamp is None else timestamp
        cdef uint8_t* encoded = self.headers.of(encoded_size(headers))
        cdef Py_ssize_t size = encode_headers(encoded, headers) - encoded
        self.put(at, start_of(key), size_of(key), start_of(value), size_of(value), encoded, size)

    cdef int64_t now(self) except? -1:
        return <int64_t> (time.time() * 1000)

    cdef int put(
        self, int64_t timestamp, const uint8_t* key, Py_ssize_t key_size, const uint8_t* value,
        Py_ssize_t value_size, const uint8_t* headers, Py_ssize_t headers_size
    ) except -1:
        """Add a record with encoded headers. A negative size means null."""
        cdef Py_ssize_t max_size = max(0, key_size) + max(0, value_size) + headers_size + MAX_OVERHEAD
        cdef RecordBatch batch = self.open
        cdef Py_ssize_t size
        cdef uint8_t* out
        if batch is None or (batch.count and batch.size + max_size > self.max_bytes):
            batch = self.open = RecordBatch()
            batch.first_timestamp = batch.max_timestamp = timestamp
            self.batches.append(batch)
        batch.reserve(max_size)
        size = 1 + varint_size(timestamp - batch.first_timestamp) + varint_size(batch.count) + headers_size
        size += varint_size(key_size) + max(0, key_size) + varint_size(value_size) + max(0,
        value_size)
        out = write_varint(batch.data + batch.size, size)
        out[0] = 0  # no attributes are defined
        out = write_varint(out + 1, timestamp - batch.first_timestamp)
        out = write_varint(out, batch.count)
        out = write_bytes(out, key, key_size)
        out = write_bytes(out, value, value_size)
        memcpy(out, headers, headers_size)
        batch.size = out + headers_size - batch.data
        batch.count += 1
        if timestamp > batch.max_timestamp:
            batch.max_timestamp = timestamp
        return 0
