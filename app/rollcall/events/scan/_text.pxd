# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The patterns of schemas/common.json, byte by byte. app/rollcall/events/scan/scannable.py has the
patterns themselves.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

cdef struct Moment:
    bint utc  # it ends with Z, its year has four digits, and the next says when it is
    int64_t microseconds  # since 1970-01-01T00:00:00Z; what is less is cut off


cdef inline bint is_id(const uint8_t* text, Py_ssize_t size, bint or_zero) noexcept nogil:
    """Whether this is a string of digits without a leading zero, of at most 18: one more may be too
    large for an id.
    """
    cdef Py_ssize_t index
    if size < 1 or size > 18:
        return False
    if text[0] == c'0':
        return or_zero and size == 1
    for index in range(size):
        if not c'0' <= text[index] <= c'9':
            return False
    return True


cdef inline int two_digits(const uint8_t* p) noexcept nogil:
    """The number that two digits stand for; negative if they are none."""
    if c'0' <= p[0] <= c'9' and c'0' <= p[1] <= c'9':
        return (p[0] - c'0') * 10 + p[1] - c'0'
    return -100_000


cdef inline int days_of(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline int64_t days_since_epoch(int year, int month, int day) noexcept nogil:
    """Of a date of the Gregorian calendar (Howard Hinnant, chrono-compatible low-level date
    algorithms, ``days_from_civil``).
    """
    cdef int64_t of_march = year - (month <= 2)
    cdef int64_t era = of_march // 400
    cdef int64_t year_of_era = of_march - era * 400
    cdef int64_t day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return (
        era * 146_097
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + day_of_year
        - 719_468
    )


cdef inline int more_digits(const uint8_t* text) noexcept nogil:
    """How many digits the year of a date has besides its last four, at most two. Ten characters are
    read.
    """
    if text[4] == c'-' or not c'1' <= text[0] <= c'9':
        return 0
    return 1 if text[5] == c'-' else 2 if c'0' <= text[1] <= c'9' else 0


cdef inline bint is_day(const uint8_t* text, int more) noexcept nogil:
    """Whether ten characters are a date that exists: ``2019-11-01``. Before them, its year has more
    digits: ten thousand years are whole cycles of leap years.
    """
    cdef int year = two_digits(text) * 100 + two_digits(text + 2)
    cdef int month = two_digits(text + 5)
    cdef int day = two_digits(text + 8)
    if text[4] != c'-' or text[7] != c'-' or year < (more == 0):
        return False
    return 1 <= month <= 12 and 1 <= day <= days_of(year, month)


cdef inline bint is_date(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether this is a date that exists: ``2019-11-01``, or ``20240-11-01``."""
    cdef int more
    if size < 10:
        return False
    more = more_digits(text)
    return size == 10 + more and is_day(text + more, more)


cdef inline bint is_offset(const uint8_t* p, Py_ssize_t size, bint colon) noexcept nogil:
    """Whether this is an offset from UTC below 24 hours, ``+0530`` or ``+05:30``."""
    if size != 5 + colon or (p[0] != c'+' and p[0] != c'-') or (colon and p[3] != c':'):
        return False
    return 0 <= two_digits(p + 1) <= 23 and 0 <= two_digits(p + 3 + colon) <= 59


cdef inline bint is_time(const uint8_t* text, Py_ssize_t size, Moment* moment) noexcept nogil:
    """Whether this is one of the three written forms of a time that exists:
    ``2019-11-01T19:11:01.163Z``, ``2024-03-29T15:43:00-07:00``, ``2019-10-05 05:38:00 -0800`` (or
    ``UTC``).
    """
    cdef const uint8_t* end = text + size
    cdef const uint8_t* p
    cdef int more, hour, minute, second
    cdef int digits = 0
    cdef int64_t fraction = 0
    moment.utc = False
    if size < 20:
        return False
    more = more_digits(text)
    text += more
    if size < 20 + more or not is_day(text, more):
        return False
    p = text + 19
    hour = two_digits(text + 11)
    minute = two_digits(text + 14)
    second = two_digits(text + 17)
    if text[13] != c':' or text[16] != c':':
        return False
    if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
        return False
    if p[0] == c'.':
        p += 1
        while p < end and c'0' <= p[0] <= c'9':
            if digits < 6:
                fraction = fraction * 10 + p[0] - c'0'
            digits += 1
            p += 1
        if not 1 <= digits <= 9:
            return False
        while digits < 6:
            fraction *= 10
            digits += 1
    if text[10] == c' ':
        return p < end and p[0] == c' ' and (is_offset(p + 1, end - p - 1,
        False) or (end - p == 4 and memcmp(p, b" UTC", 4) == 0))
    if text[10] != c'T':
        return False
    if end - p != 1 or p[0] != c'Z':
        return is_offset(p, end - p, True)
    if more:
        return True
    moment.utc = True
    moment.microseconds = ((days_since_epoch(two_digits(text) * 100 + two_digits(text + 2),
    two_digits(text + 5), two_digits(text + 8)) * 24 + hour) * 60 + minute) * 60 + second
    moment.microseconds = moment.microseconds * 1_000_000 + fraction
    return True
