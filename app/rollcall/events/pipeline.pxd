# cython: language_level=3
"""The fields of app/rollcall/events/pipeline.py in C, where it is compiled."""

import cython

from rollcall.events.publishing cimport Publisher
from rollcall.events.recognised cimport Recognised

cdef class Pipeline:
    cdef object _not_selected
    cdef object _redactor
    cdef object _names_any
    cdef object _dropper
    cdef object _scan
    cdef object _recognise
    cdef Publisher _publisher

    @cython.locals(raw=list)
    cpdef object judge(self, value, headers)
