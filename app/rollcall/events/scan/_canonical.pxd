# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""An object in canonical form: without blanks, sorted, and with each string as orjson writes it."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from rollcall.events.scan._json cimport STRING, Field


cdef inline int compared(const Field* one, const Field* other) noexcept nogil:
    """Negative, zero or positive, as the name of one is less, equal or greater, by bytes: the order
    of code points.
    """
    cdef int order = memcmp(one.name, other.name,
    one.name_size if one.name_size < other.name_size else other.name_size)
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
    """Write a character of a string as orjson does: in UTF-8, and with a backslash only where JSON
    demands it.
    """
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


cdef inline uint8_t* write_unescaped(uint8_t* out, const uint8_t* p,
const uint8_t* end) noexcept nogil:
    """Write the inside of a string that has backslashes. It gets no longer. NULL: no JSON, or not
    read by the scanner, such as half a surrogate pair.
    """
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
    """Write an object without blanks. Returns the position behind it. NULL: a string that is no
    JSON, or that the scanner does not read.
    """
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
