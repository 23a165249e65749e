# cython: language_level=3
"""The fields of app/rollcall/events/redaction.py in C, where it is compiled."""

cdef class Redactor:
    cdef tuple _names
    cdef tuple _parts
    cdef dict _longer

    cpdef bint names_any(self, bytes data)
