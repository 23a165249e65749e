# cython: language_level=3
"""The fields of app/rollcall/events/recognised.py in C, where it is compiled."""

cdef class Recognised:
    cdef readonly object event_type
    cdef readonly object entity_id
    cdef readonly object root_account_id
    cdef readonly double epoch
    cdef readonly bytes time
    cdef readonly bytes canonical
    cdef readonly int unknown_fields
    cdef readonly int unknown_values
    cdef readonly tuple dropped
