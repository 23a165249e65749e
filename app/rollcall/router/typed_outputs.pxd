# cython: language_level=3
"""The fields of app/rollcall/router/typed_outputs.py in C, where it is compiled."""

import cython

from libc.stdint cimport int64_t

from rollcall.events.outcomes cimport Routed

cdef class TypedOutputs:
    cdef object _append
    cdef object _result
    cdef list _routed
    cdef list _event_times
    cdef dict _topics
    cdef object _partition_of
    cdef int _keyless_partition
    cdef int64_t _limit
    cdef int64_t _surely_below
    cdef object _earliest
    cdef object _latest

    @cython.locals(key=bytes, value=bytes, headers=bytes, size=int64_t, key_size=int64_t)
    cpdef object publish(self, Routed typed, object timestamp)
