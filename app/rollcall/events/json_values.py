"""Reads JSON values from bytes: one event, JSON lines, concatenated events, an array of events.

Pure, never raises, and linear in the number of bytes. A broken value is reported with its place.
Reading continues at the next line that begins with ``{`` or ``[`` and is indented no deeper than
the broken value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")
_BLANKS = b" \t\r"
_MAX_LEVELS = 1024  # orjson's limit
# A string cannot span lines. An unclosed one ends with its line.
_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*+"?|[{}\[\]]')
_OPENING = {ord("}"): ord("{"), ord("]"): ord("[")}
_VALUE_START = re.compile(rb"[{\[]")
_VALUE_START_LINE = re.compile(rb"^(?P<margin>[ \t]*+)[{\[]", re.MULTILINE)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^"{}\[\], \t\r\n]++')
_BETWEEN_ITEMS = re.compile(rb"[ \t\r\n]*+,?[ \t\r\n]*+")


class Parsed(NamedTuple):
    """A JSON value."""

    line: int
    """Line of the first byte, counted from 1."""

    item: int | None
    """Number of the item in a top-level array, counted from 1, or None."""

    text: bytes
    """The bytes of the value."""


class Broken(NamedTuple):
    """Text that is not a JSON value."""

    line: int
    """Line of the fault, or of the first byte if the fault has no single place. Counted from 1."""

    column: int
    """Counted from 1."""

    message: str
    """The fault, without any of the text."""


def has_byte_order_mark(data: bytes) -> bool:
    """Whether the text begins with a UTF-8 byte order mark. JSON does not allow it;
    :func:`read_values` skips it.
    """
    return data.startswith(_BYTE_ORDER_MARK)


def read_values(data: bytes) -> Iterator[Parsed | Broken]:
    """The values of a text, in order. A top-level array yields its items."""
    if data.startswith(_OTHER_ENCODINGS):
        yield Broken(1, 1, "the text is UTF-16; JSON is UTF-8: convert it")
        return
    data = data.removeprefix(_BYTE_ORDER_MARK)
    ends = _extents(data)
    lines = _Lines(data)
    position = _skip_space(data, 0)
    while position < len(data):
        value: Parsed | Broken
        if _VALUE_START.match(data, position):
            value, end = _structure(data, position, ends.get(position), lines)
        else:
            value, end = _scalar(data, position, lines)
        if isinstance(value, Parsed) and value.text.startswith(b"["):
            yield from (
                Parsed(value.line, number, item)
                for number, item in enumerate(_items(data, position, ends), start=1)
            )
        else:
            yield value
        position = _skip_space(data, end)


def _structure(
    data: bytes, position: int, end: int | None, lines: _Lines
) -> tuple[Parsed | Broken, int]:
    """The object or array at a position, and the next position to read."""
    line, column = lines.number(position), lines.column(position)
    stop = lines.end(position) if end is None else end
    text = data[position:stop]
    try:
        orjson.loads(text)
        return Parsed(line, None, text), stop
    except orjson.JSONDecodeError as error:
        if end is None and error.pos >= len(error.doc):
            broken = Broken(line, column, "the value that begins here is not closed")
        else:
            broken = Broken(
                line + error.lineno - 1,
                error.colno + (column - 1 if error.lineno == 1 else 0),
                _reason(error),
            )
    margin = data[lines.start(position) : position]
    for start in _VALUE_START_LINE.finditer(data, lines.end(position)):
        if len(start["margin"]) <= (0 if margin.strip() else len(margin)):
            return broken, start.end("margin")
    return broken, len(data)


def _reason(error: orjson.JSONDecodeError) -> str:
    message = error.msg.partition(": line ")[0]
    return "not valid UTF-8" if "UTF-8" in message else message


def _scalar(data: bytes, position: int, lines: _Lines) -> tuple[Parsed | Broken, int]:
    """The value at a position that begins no object or array, and the next position to read."""
    line, column = lines.number(position), lines.column(position)
    end = lines.end(position)
    text = data[position:end].rstrip(_BLANKS)
    try:
        orjson.loads(text)
        return Parsed(line, None, text), end
    except orjson.JSONDecodeError:
        broken = Broken(line, column, "text that is not a JSON value")
    # Several lines of text between values are one fault.
    while (position := _skip_space(data, end)) < len(data) and not _VALUE_START.match(
        data, position
    ):
        end = lines.end(position)
    return broken, end


def _items(data: bytes, position: int, ends: Mapping[int, int]) -> Iterator[bytes]:
    """The items of the complete array at a position."""
    last = ends[position] - 1
    position = _skip_space(data, position + 1)
    while position < last:
        scalar = _SCALAR.match(data, position)
        end = ends[position] if scalar is None else scalar.end()
        yield data[position:end]
        between = _BETWEEN_ITEMS.match(data, end)
        position = end if between is None else between.end()


def _skip_space(data: bytes, position: int) -> int:
    space = _SPACE.match(data, position)
    return space.end() if space else position


class _Lines:
    """Lines and columns of positions. Positions must rise, so that each byte is read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._number = 1
        self._start = 0
        self._end = -1
        self._seek(0)

    def _seek(self, position: int) -> None:
        if position > self._end:
            self._number += self._data.count(b"\n", self._start, position)
            self._start = self._data.rfind(b"\n", self._start, position) + 1 or self._start
            found = self._data.find(b"\n", position)
            self._end = len(self._data) if found < 0 else found

    def number(self, position: int) -> int:
        """The line's number, counted from 1."""
        self._seek(position)
        return self._number

    def start(self, position: int) -> int:
        """The position of the line's first byte."""
        self._seek(position)
        return self._start

    def column(self, position: int) -> int:
        """The position in its line, counted from 1."""
        return position - self.start(position) + 1

    def end(self, position: int) -> int:
        """The position of the line's newline, or of the end of the text."""
        self._seek(position)
        return self._end


def _extents(data: bytes) -> dict[int, int]:
    """The end of each object and array by its start. Unclosed and too deeply nested ones are left
    out.

    One pass: an unclosed value stays on the stack and does not hide the values after it.
    """
    ends: dict[int, int] = {}
    open_at: list[int] = []
    heights: list[int] = []
    for token in _TOKEN.finditer(data):
        position = token.start()
        byte = data[position]
        if byte in b"{[":
            open_at.append(position)
            heights.append(1)
        elif byte in b"}]":
            while open_at:
                start, height = open_at.pop(), heights.pop()
                if data[start] == _OPENING[byte]:
                    if height <= _MAX_LEVELS:
                        ends[start] = token.end()
                    if heights:
                        heights[-1] = max(heights[-1], height + 1)
                    break
    return ends
