# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Hash of the Java producer's default partitioner:
``org.apache.kafka.common.utils.Utils.murmur2``.
"""

from libc.stdint cimport uint8_t, uint32_t


cdef inline uint32_t murmur2(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    cdef uint32_t mixer = 0x5BD1E995
    cdef uint32_t hashed = <uint32_t> 0x9747B28CU ^ <uint32_t> size
    cdef uint32_t word
    while size >= 4:
        word = (
            data[0]
            | (<uint32_t> data[1] << 8)
            | (<uint32_t> data[2] << 16)
            | (<uint32_t> data[3] << 24)
        )
        word *= mixer
        word ^= word >> 24
        word *= mixer
        hashed *= mixer
        hashed ^= word
        data += 4
        size -= 4
    if size >= 3:
        hashed ^= <uint32_t> data[2] << 16
    if size >= 2:
        hashed ^= <uint32_t> data[1] << 8
    if size >= 1:
        hashed ^= data[0]
        hashed *= mixer
    hashed ^= hashed >> 13
    hashed *= mixer
    return hashed ^ (hashed >> 15)


cdef inline int partition_of(const uint8_t* key, Py_ssize_t size, int partitions) noexcept nogil:
    """Partition of a key, as the Java producer chooses it."""
    return <int> ((murmur2(key, size) & 0x7FFFFFFF) % <uint32_t> partitions)
