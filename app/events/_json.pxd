# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One object of a JSON text, read into fields without a copy, and written in canonical form: what app/events/_scanner.pyx is made of.

Every text ends with a zero byte, as Python's ``bytes`` do. No loop below passes it, since it is no part of anything that JSON allows.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    MOST_FIELDS = 128  # of an object; more is not plain
    MOST_LEVELS = 32  # of what is nested in a field; more is not plain

cdef enum Kind:
    STRING = 1
    INTEGER = 2  # of 18 digits at most
    BOOLEAN = 4
    NOTHING = 8
    TEXTS = 16  # an array of strings
    OTHER = 32  # other numbers, arrays and objects; whoever reads them looks into them

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
    """Whether any of eight bytes is a quote, a backslash or a control character (Hacker's Delight, 6-1: exact for "any", not for "which")."""
    cdef uint64_t quotes = eight ^ (<uint64_t> ONES * c'"')
    cdef uint64_t backslashes = eight ^ (<uint64_t> ONES * c'\\')
    return (
        ((eight - <uint64_t> ONES * 0x20) & ~eight) | ((quotes - <uint64_t> ONES) & ~quotes) | ((backslashes - <uint64_t> ONES) & ~backslashes)
    ) & <uint64_t> HIGH_BITS


cdef inline const uint8_t* string_end(const uint8_t* p, const uint8_t* end, bint* escaped) noexcept nogil:
    """The closing quote of the string that begins at p, behind its opening quote; NULL if there is none, or a control character before it."""
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
    """What is behind the array or object that begins at p; NULL if it is not closed, or too deep. Whether it is one is for a parser to say."""
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
    if p - first > 18 or (first[0] == c'0' and (p - first > 1 or first != field.text)) or p[0] == c'.' or p[0] == c'e' or p[0] == c'E':
        field.kind = OTHER
        while c'0' <= p[0] <= c'9' or p[0] == c'.' or p[0] == c'e' or p[0] == c'E' or p[0] == c'+' or p[0] == c'-':
            p += 1
    field.size = p - field.text
    return p


cdef inline const uint8_t* read_value(const uint8_t* p, const uint8_t* end, Field* field) noexcept nogil:
    """Read the value at p into a field. What is behind it, or NULL: no JSON, or not plain."""
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


cdef inline const uint8_t* read_name(const uint8_t* p, const uint8_t* end, Field* field) noexcept nogil:
    """Read the name at p, and pass the colon. Where the value begins, or NULL: no JSON, or not plain, as a name with escapes."""
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


cdef inline const uint8_t* read_object(const uint8_t* p, const uint8_t* end, Field* fields, int* count) noexcept nogil:
    """Read the fields of the object at p. What is behind it, or NULL: no JSON object, or not plain."""
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


cdef inline int compared(const Field* one, const Field* other) noexcept nogil:
    """Negative, zero or positive, as the name of one is less, equal or greater, by bytes: the order of code points."""
    cdef int order = memcmp(one.name, other.name, one.name_size if one.name_size < other.name_size else other.name_size)
    return order if order else (one.name_size > other.name_size) - (one.name_size < other.name_size)


cdef inline bint sort_fields(Field* fields, int count) noexcept nogil:
    """Sort by name, which they mostly are already. Whether all names differ."""
    cdef int index, place, order
    cdef Field moved
    for index in range(1, count):
        order = compared(&fields[index - 1], &fields[index])
        if order == 0:
            return False
        if order < 0:
            continue
        moved = fields[index]
        place = index
        while place > 0:
            order = compared(&fields[place - 1], &moved)
            if order == 0:
                return False
            if order < 0:
                break
            fields[place] = fields[place - 1]
            place -= 1
        fields[place] = moved
    return True


cdef inline uint32_t four_digits(const uint8_t* p) noexcept nogil:
    """The number that four hexadecimal digits stand for, or more than they can."""
    cdef uint32_t number = 0
    cdef int index
    for index in range(4):
        if c'0' <= p[index] <= c'9':
            number = number * 16 + p[index] - c'0'
        elif c'a' <= p[index] <= c'f':
            number = number * 16 + p[index] - c'a' + 10
        elif c'A' <= p[index] <= c'F':
            number = number * 16 + p[index] - c'A' + 10
        else:
            return 0x10000
    return number


cdef inline uint8_t* write_character(uint8_t* out, uint32_t code) noexcept nogil:
    """Write a character of a string as orjson does: in UTF-8, and with a backslash only where JSON demands it."""
    cdef const char* digits = b"0123456789abcdef"
    cdef uint8_t letter = 0
    if code >= 0x10000:
        out[0] = 0xF0 | (code >> 18)
        out[1] = 0x80 | ((code >> 12) & 0x3F)
        out[2] = 0x80 | ((code >> 6) & 0x3F)
        out[3] = 0x80 | (code & 0x3F)
        return out + 4
    if code >= 0x800:
        out[0] = 0xE0 | (code >> 12)
        out[1] = 0x80 | ((code >> 6) & 0x3F)
        out[2] = 0x80 | (code & 0x3F)
        return out + 3
    if code >= 0x80:
        out[0] = 0xC0 | (code >> 6)
        out[1] = 0x80 | (code & 0x3F)
        return out + 2
    if code == c'"' or code == c'\\':
        letter = code
    elif code >= 0x20:
        out[0] = code
        return out + 1
    elif code == 8:
        letter = c'b'
    elif code == 9:
        letter = c't'
    elif code == 10:
        letter = c'n'
    elif code == 12:
        letter = c'f'
    elif code == 13:
        letter = c'r'
    out[0] = c'\\'
    if letter:
        out[1] = letter
        return out + 2
    memcpy(out + 1, b"u00", 3)
    out[4] = digits[code >> 4]
    out[5] = digits[code & 15]
    return out + 6


cdef inline uint8_t* write_unescaped(uint8_t* out, const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Write the inside of a string that has backslashes. It gets no longer. NULL: no JSON, or not plain, as half a surrogate pair."""
    cdef uint32_t code, low
    while p < end:
        if p[0] != c'\\':
            out[0] = p[0]
            out += 1
            p += 1
            continue
        p += 1
        code = p[0]
        p += 1
        if code == c'u':
            code = four_digits(p)
            p += 4
            if code >= 0x10000 or 0xDC00 <= code < 0xE000:
                return NULL
            if 0xD800 <= code < 0xDC00:
                if p[0] != c'\\' or p[1] != c'u':
                    return NULL
                low = four_digits(p + 2)
                p += 6
                if not 0xDC00 <= low < 0xE000:
                    return NULL
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        elif code == c'n':
            code = 10
        elif code == c't':
            code = 9
        elif code == c'r':
            code = 13
        elif code == c'b':
            code = 8
        elif code == c'f':
            code = 12
        elif code != c'"' and code != c'\\' and code != c'/':
            return NULL
        out = write_character(out, code)
    return out


cdef inline uint8_t* write_object(uint8_t* out, const Field* fields, int count) noexcept nogil:
    """Write an object without blanks. What is behind it, or NULL: a string that is no JSON, or not plain."""
    cdef int index
    cdef const Field* field
    out[0] = c'{'
    out += 1
    for index in range(count):
        field = &fields[index]
        if index:
            out[0] = c','
            out += 1
        out[0] = c'"'
        memcpy(out + 1, field.name, field.name_size)
        out += field.name_size + 1
        out[0] = c'"'
        out[1] = c':'
        out += 2
        if field.kind != STRING:
            memcpy(out, field.text, field.size)
            out += field.size
            continue
        out[0] = c'"'
        out += 1
        if field.escaped:
            out = write_unescaped(out, field.text, field.text + field.size)
            if out == NULL:
                return NULL
        else:
            memcpy(out, field.text, field.size)
            out += field.size
        out[0] = c'"'
        out += 1
    out[0] = c'}'
    return out + 1
