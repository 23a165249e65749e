# cython: language_level=3
"""What other compiled modules may ask of app/rollcall/events/scan/_scanner.pyx."""

from rollcall.events.scan._json cimport Field
from rollcall.events.scan._text cimport Moment

cdef struct Said:
    int number  # of the event's type
    Field entity_id
    Field root_account_id
    Field event_time
    Moment moment
    int unknown_fields
    int unknown_values


cdef class Scanner:
    cdef dict types

    cdef bytes scan(self, bytes value, Said* said)
    """The canonical JSON of ``{metadata, body}``, and what the event says, in fields that point
    into ``value``. None: not plain, or not surely valid.
    """


cdef object value_of(const Field* field)
"""A string without backslashes, an integer or null, as Python has it."""

cdef bint has_epoch(const Moment* moment) noexcept nogil
"""Whether the moment's seconds since the epoch, as a float, are those of Python's datetime."""
