# cython: language_level=3
"""The types of app/rollcall/record.py in C, where it is compiled."""

import cython

from libc.stdint cimport int64_t, uint64_t

cdef tuple _ONE_BYTE

@cython.locals(left=uint64_t, encoded=bytearray)  # a negative number must not be shifted in C
cpdef bytes encode_varint(int64_t number)

@cython.locals(pieces=list)
cpdef bytes encode_headers(object headers)
