# cython: language_level=3
"""The fields of app/rollcall/events/publishing.py in C, where it is compiled."""

import cython

from rollcall.events.outcomes cimport Routed
from rollcall.events.recognised cimport Recognised

cdef class Publisher:
    cdef dict _beginnings
    cdef object _origin

    @cython.locals(typed=Routed, time=bytes, key=bytes, headers=bytes)
    cpdef Routed publish(self, Recognised recognised, bytes value, list raw, bint redacted)
