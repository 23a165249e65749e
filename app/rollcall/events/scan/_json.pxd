# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One object of a JSON text, read into fields without a copy. How it is written: _canonical.pxd.

Every text ends with a zero byte, as Python's ``bytes`` do. No loop below passes it, since it is no
part of anything that JSON allows.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    MOST_FIELDS = 128  # of an object; the scanner reads no more
    MOST_LEVELS = 32  # of objects and lists in a field; the scanner reads no more

cdef enum Kind:
    STRING = 1
    INTEGER = 2  # of 18 digits at most
    BOOLEAN = 4
    NOTHING = 8
    FRACTION = 16  # a number with a fraction, as orjson writes it
    COMPOUND = 32  # an array or object that has been parsed, and is valid
    OTHER = 64  # other numbers, arrays and objects; whoever reads them looks into them

cdef struct Field:
    const uint8_t* name  # between the quotes
    Py_ssize_t name_size
    const uint8_t* text  # a string's between the quotes
    Py_ssize_t size
    uint8_t kind
    bint escaped  # there is a backslash in the string

cdef enum:
    ONES = 0x0101010101010101
    HIGH_BITS = 0x8080808080808080


cdef inline const uint8_t* after_space(const uint8_t* p) noexcept nogil:
    while p[0] == c' ' or p[0] == c'\n' or p[0] == c'\r' or p[0] == c'\t':
        p += 1
    return p


cdef inline const uint8_t* after_word(const uint8_t* p, const char* word) noexcept nogil:
    """What is after a word, or NULL if it is not there."""
    while word[0]:
        if p[0] != <uint8_t> word[0]:
            return NULL
        p += 1
        word += 1
    return p


cdef inline uint64_t stops(uint64_t eight) noexcept nogil:
    """Whether any of eight bytes is a quote, a backslash or a control character (Hacker's Delight,
    6-1: exact for "any", not for "which").
    """
    cdef uint64_t quotes = eight ^ (<uint64_t> ONES * c'"')
    cdef uint64_t backslashes = eight ^ (<uint64_t> ONES * c'\\')
    return (
        ((eight - <uint64_t> ONES * 0x20) & ~eight)
        | ((quotes - <uint64_t> ONES) & ~quotes)
        | ((backslashes - <uint64_t> ONES) & ~backslashes)
    ) & <uint64_t> HIGH_BITS


cdef inline const uint8_t* string_end(const uint8_t* p, const uint8_t* end,
bint* escaped) noexcept nogil:
    """The closing quote of the string that begins at p, behind its opening quote; NULL if there is
    none, or a control character before it.
    """
    cdef uint64_t eight = 0
    while True:
        while end - p >= 8:
            memcpy(&eight, p, 8)
            if stops(eight):
                break
            p += 8
        while p[0] >= 0x20 and p[0] != c'"' and p[0] != c'\\':
            p += 1
        if p[0] == c'"':
            return p
        if p[0] != c'\\' or p[1] < 0x20:
            return NULL
        escaped[0] = True
        p += 2


cdef inline const uint8_t* compound_end(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """The position behind the array or object that begins at p. NULL: it is not closed, or too
    deep. A parser says whether it is one.
    """
    cdef int depth = 0
    cdef bint escaped = False
    while True:
        if p[0] == c'"':
            p = string_end(p + 1, end, &escaped)
            if p == NULL:
                return NULL
        elif p[0] == c'{' or p[0] == c'[':
            depth += 1
            if depth > MOST_LEVELS:
                return NULL
        elif p[0] == c'}' or p[0] == c']':
            depth -= 1
            if depth == 0:
                return p + 1
        elif p[0] == 0:
            return NULL
        p += 1


cdef inline bint continues_number(uint8_t c) noexcept nogil:
    return c == c'.' or c == c'e' or c == c'E' or c == c'+' or c == c'-'


cdef inline bint is_written_by_orjson(const uint8_t* first, const uint8_t* point) noexcept nogil:
    """Whether orjson would write a number with this point so: at most 15 digits, which a float
    keeps, no needless zeros, no exponent.
    """
    cdef const uint8_t* p = point + 1
    if point - first > 11 or (first[0] == c'0' and point - first > 1):
        return False
    while c'0' <= p[0] <= c'9':
        p += 1
    if not 1 <= p - point - 1 <= 4 or continues_number(p[0]):
        return False
    return (p - 1)[0] != c'0' or p - point == 2


cdef inline const uint8_t* read_number(const uint8_t* p, Field* field) noexcept nogil:
    cdef const uint8_t* first
    field.text = p
    if p[0] == c'-':
        p += 1
    first = p
    while c'0' <= p[0] <= c'9':
        p += 1
    field.kind = INTEGER
    if p == first:
        return NULL
    if p[0] == c'.' and is_written_by_orjson(first, p):
        field.kind = FRACTION
        p += 1
        while c'0' <= p[0] <= c'9':
            p += 1
    elif p - first > 18 or (first[0] == c'0' and (p - first > 1 or first != field.text)) or (
    p[0] == c'.' or p[0] == c'e' or p[0] == c'E'):
        field.kind = OTHER
        while c'0' <= p[0] <= c'9' or continues_number(p[0]):
            p += 1
    field.size = p - field.text
    return p


cdef inline const uint8_t* read_value(const uint8_t* p, const uint8_t* end,
Field* field) noexcept nogil:
    """Read the value at p into a field. Returns the position behind it. NULL: no JSON, or not read
    by the scanner.
    """
    cdef const uint8_t* after
    field.escaped = False
    field.text = p
    if p[0] == c'"':
        after = string_end(p + 1, end, &field.escaped)
        if after == NULL:
            return NULL
        field.kind = STRING
        field.text = p + 1
        field.size = after - p - 1
        return after + 1
    if p[0] == c'n':
        field.kind = NOTHING
        after = after_word(p, b"null")
    elif p[0] == c't':
        field.kind = BOOLEAN
        after = after_word(p, b"true")
    elif p[0] == c'f':
        field.kind = BOOLEAN
        after = after_word(p, b"false")
    elif p[0] == c'{' or p[0] == c'[':
        field.kind = OTHER
        after = compound_end(p, end)
    else:
        return read_number(p, field)
    field.size = after - p if after != NULL else 0
    return after


cdef inline const uint8_t* read_name(const uint8_t* p, const uint8_t* end,
Field* field) noexcept nogil:
    """Read the name at p and the colon. Returns the position of the value. NULL: no JSON, or not
    read by the scanner, such as a name with escapes.
    """
    cdef bint escaped = False
    cdef const uint8_t* after
    if p[0] != c'"':
        return NULL
    after = string_end(p + 1, end, &escaped)
    if after == NULL or escaped:
        return NULL
    field.name = p + 1
    field.name_size = after - p - 1
    p = after_space(after + 1)
    return after_space(p + 1) if p[0] == c':' else NULL


cdef inline const uint8_t* read_object(const uint8_t* p, const uint8_t* end, Field* fields,
int* count) noexcept nogil:
    """Read the fields of the object at p. Returns the position behind it. NULL: no JSON object, or
    not read by the scanner.
    """
    cdef int read = 0
    count[0] = 0
    if p[0] != c'{':
        return NULL
    p = after_space(p + 1)
    if p[0] == c'}':
        return p + 1
    while read < MOST_FIELDS:
        p = read_name(p, end, &fields[read])
        if p == NULL:
            return NULL
        p = read_value(p, end, &fields[read])
        if p == NULL:
            return NULL
        read += 1
        p = after_space(p)
        if p[0] == c'}':
            count[0] = read
            return p + 1
        if p[0] != c',':
            return NULL
        p = after_space(p + 1)
    return NULL
