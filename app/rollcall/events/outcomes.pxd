# cython: language_level=3
"""The fields of app/rollcall/events/outcomes.py in C, where it is compiled."""

cdef class Routed:
    cdef readonly object event_type
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly bytes encoded_headers
    cdef readonly double event_time
    cdef readonly int unknown_fields
    cdef readonly int unknown_values
    cdef readonly bint redacted
    cdef readonly list raw_headers
