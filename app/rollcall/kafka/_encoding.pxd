# cython: language_level=3
"""Interface of app/rollcall/kafka/_encoding.pyx for other compiled modules."""

from libc.stdint cimport int64_t, uint8_t


cdef class Room:
    """Reusable scratch memory: each use overwrites the one before."""

    cdef uint8_t* data
    cdef Py_ssize_t capacity

    cdef uint8_t* of(self, Py_ssize_t size) except NULL
    """Memory for ``size`` bytes."""


cdef class RecordBatch:
    cdef uint8_t* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef int views  # views of ``data``, which must not move while they exist
    cdef readonly int count
    cdef readonly int64_t first_timestamp
    cdef readonly int64_t max_timestamp

    cdef int reserve(self, Py_ssize_t more) except -1


cdef class RecordBatches:
    cdef readonly list batches
    cdef RecordBatch open
    cdef Py_ssize_t max_bytes
    cdef Room headers

    cdef int64_t now(self) except? -1
    cdef int put(
        self, int64_t timestamp, const uint8_t* key, Py_ssize_t key_size, const uint8_t* value,
        Py_ssize_t value_size, const uint8_t* headers, Py_ssize_t headers_size
    ) except -1


cdef Py_ssize_t encoded_size(list headers) except -1
"""Maximum encoded size of headers, with their number."""

cdef uint8_t* encode_headers(uint8_t* out, list headers) except NULL
"""Write headers, preceded by their number. Returns the end of the output."""

cdef uint8_t* write_varint(uint8_t* out, int64_t number) noexcept nogil
