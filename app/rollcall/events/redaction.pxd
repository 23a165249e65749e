# cython: language_level=3
"""The fields of app/rollcall/events/redaction.py in C, where it is compiled."""

cdef class Redactor:
    cdef tuple _rules
    cdef tuple _parts

    cpdef bint names_any(self, bytes data)
