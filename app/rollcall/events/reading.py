"""Reading a stream of JSON values from bytes: one event, JSON lines, pretty-printed events one
after the other, an array of events.

Pure, and never raises, whatever the bytes. A value that is broken is reported with its place, and
reading goes on at the next line that starts a value: begins with ``{`` or ``[`` and is indented no
deeper than the broken one. Work is linear in the number of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")
_BLANKS = b" \t\r"
_MOST_LEVELS = 1024  # orjson's own limit, and so the router's
# a string never spans lines, so one that is not closed ends with its line
_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*+"?|[{}\[\]]')
_OPENING = {ord("}"): ord("{"), ord("]"): ord("[")}
_VALUE_START = re.compile(rb"[{\[]")
_LINE_THAT_STARTS_A_VALUE = re.compile(rb"^(?P<margin>[ \t]*+)[{\[]", re.MULTILINE)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^"{}\[\], \t\r\n]++')
_BETWEEN_ITEMS = re.compile(rb"[ \t\r\n]*+,?[ \t\r\n]*+")


class Parsed(NamedTuple):
    """A JSON value."""

    line: int
    """Where it begins, counted from 1."""

    item: int | None
    """Its number in the array, counted from 1, if the text had an array of values at that line."""

    text: bytes
    """The value's own bytes."""


class Broken(NamedTuple):
    """Text that is no JSON value."""

    line: int
    """Where the fault is, or where the text begins, if no single place is at fault. Counted from 1.
    """

    column: int
    """Counted from 1."""

    message: str
    """What is wrong, without any of the text."""


def has_byte_order_mark(data: bytes) -> bool:
    """Whether the text begins with a UTF-8 byte order mark, which JSON does not allow and
    :func:`read_values` tolerates.
    """
    return data.startswith(_BYTE_ORDER_MARK)


def read_values(data: bytes) -> Iterator[Parsed | Broken]:
    """The values of a text, in order. An array at the top stands for its items."""
    if data.startswith(_OTHER_ENCODINGS):
        yield Broken(1, 1, "the text is UTF-16; JSON is UTF-8: convert it")
        return
    data = data.removeprefix(_BYTE_ORDER_MARK)
    ends = _extents(data)
    lines = _Lines(data)
    position = _skip_space(data, 0)
    while position < len(data):
        found: Parsed | Broken
        if _VALUE_START.match(data, position):
            found, end = _structure(data, position, ends.get(position), lines)
        else:
            found, end = _bare(data, position, lines)
        if isinstance(found, Parsed) and found.text.startswith(b"["):
            yield from (
                Parsed(found.line, number, item)
                for number, item in enumerate(_items(data, position, ends), start=1)
            )
        else:
            yield found
        position = _skip_space(data, end)


def _structure(
    data: bytes, position: int, end: int | None, lines: _Lines
) -> tuple[Parsed | Broken, int]:
    """The object or array at a position, and where to read on."""
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
                _what(error),
            )
    margin = data[lines.start(position) : position]
    for start in _LINE_THAT_STARTS_A_VALUE.finditer(data, lines.end(position)):
        if len(start["margin"]) <= (0 if margin.strip() else len(margin)):
            return broken, start.end("margin")
    return broken, len(data)


def _what(error: orjson.JSONDecodeError) -> str:
    message = error.msg.partition(": line ")[0]
    return "not valid UTF-8" if "UTF-8" in message else message


def _bare(data: bytes, position: int, lines: _Lines) -> tuple[Parsed | Broken, int]:
    """What stands at a position where no object or array begins, and where to read on."""
    line, column = lines.number(position), lines.column(position)
    end = lines.end(position)
    text = data[position:end].rstrip(_BLANKS)
    try:
        orjson.loads(text)
        return Parsed(line, None, text), end
    except orjson.JSONDecodeError:
        broken = Broken(line, column, "text that is no JSON value")
    # Text between values, such as the pages that examples are copied from, is one fault, not one
    # for each of its lines.
    while (position := _skip_space(data, end)) < len(data) and not _VALUE_START.match(
        data, position
    ):
        end = lines.end(position)
    return broken, end


def _items(data: bytes, position: int, ends: Mapping[int, int]) -> Iterator[bytes]:
    """The items of the array at a position, which is known to be whole."""
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
    """The lines of positions that are asked for in rising order: each byte is looked at once,
    however long the lines.
    """

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
    """Where each object and array ends, by where it begins. Those that are not closed, or nested
    too deep to be read, are left out.

    One pass: a value that is not closed stays on the stack and does not hide the values after it.
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
                    if height <= _MOST_LEVELS:
                        ends[start] = token.end()
                    if heights:
                        heights[-1] = max(heights[-1], height + 1)
                    break
    return ends
