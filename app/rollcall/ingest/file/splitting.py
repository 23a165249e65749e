"""Splits a stream of bytes into JSON values: JSON lines, values one after another with or without
blanks between them, pretty-printed values, arrays of values.

Pure. Memory is bounded by the largest value, and each way to divide the stream into chunks gives
the same result. A top-level array gives its items.

Reading goes on after a value that is not JSON:

- If its brackets are balanced, after its end.
- Else at the first line after its start that begins with ``{`` or ``[`` and is indented no deeper
  than the broken value, up to the byte that shows the fault.
- Else at this byte, if it is a ``{`` where no value may begin; or from there on at the first such
  line, or at the first ``{`` after a ``}`` (in an array, also after ``},``).

After that, commas and brackets between values are not reported any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

import orjson

from rollcall.process.topics import EVENT_RECORD_BYTES

MOST_LEVELS = 1024
"""orjson's limit of nested objects and arrays."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")
_BLANKS = b" \t\r\n"
_OPENING = {ord("}"): ord("{"), ord("]"): ord("[")}
_OBJECT, _ARRAY, _END_OF_ARRAY = b"{[]"
_COMMA, _COLON, _QUOTE, _BACKSLASH = b',:"\\'

_SPACE = re.compile(rb"[ \t\r\n]*+")
# A string cannot span lines.
_STRING_REST = re.compile(rb'(?:[^"\\\n]++|\\[^\n])*+')
_NO_BRACKETS = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\\n]++|\\[^\n])*+")*+')
_ITEM = re.compile(rb'(?:[^",\[\]{}\n]++|"(?:[^"\\\n]++|\\[^\n])*+")*+')
_GLUED = re.compile(rb"\}(?=[ \t\r\n]*+\{)")
_ITEM_END = re.compile(rb"\}(?=[ \t\r\n]*+(?:,[ \t\r\n]*+\{|\]))")
_MOST_BLANKS = 255
"""After a broken value, in one place."""
_RESUME = re.compile(
    rb"\n(?P<margin>[ \t]{0,255}+)(?=[{\[])|\}[ \t\r]{0,255}+(?P<comma>,)?+[ \t\r]{0,255}+(?=\{)"
)
_PARTIAL_RESUME = re.compile(rb"(?:\n[ \t]{0,255}+|\}[ \t\r]{0,255}+,?+[ \t\r]{0,255}+)\Z")


class Place(NamedTuple):
    """The place of a value in a stream; reading can start there."""

    offset: int = 0
    """Number of bytes before it."""
    line: int = 1
    column: int = 1
    """Counted in bytes, from 1."""
    item: int | None = None
    """Number of the item in a top-level array, counted from 1, or None."""
    is_recovered: bool = False
    """Whether a broken value is somewhere before it."""


class Slice(NamedTuple):
    """A JSON value."""

    place: Place
    text: bytes
    """The bytes of the value, without blanks around it."""


class Broken(NamedTuple):
    """Text that is not a JSON value."""

    line: int
    """Line of the fault, or of the first byte if the fault has no single place. Counted from 1."""
    column: int
    """Counted from 1."""
    message: str
    """The fault, without any of the text."""


class _State(Enum):
    START = auto()
    BETWEEN = auto()
    """Before a value, or at the end."""
    WITHIN = auto()
    """In an object or array whose end is searched for, bracket by bracket."""
    RECOVERING = auto()
    """After a broken value."""
    ENDED = auto()


class Splitter:
    """The values of one stream.

    Args:
        start: where the first byte is; reading of this stream has stopped there before.
        most_bytes: a larger value is broken.
    """

    def __init__(self, start: Place | None = None, *, most_bytes: int = EVENT_RECORD_BYTES) -> None:
        place = Place() if start is None else start
        self._most_bytes = most_bytes
        self._state = _State.START if place.offset == 0 else _State.BETWEEN
        self._data = b""
        self._base = place.offset
        """Offset of the first byte of ``_data``."""
        self._at = 0
        """Index of the first byte in ``_data`` that is needed: of a value, or after one."""
        self._line = place.line
        """Line of ``_at``."""
        self._line_start = place.offset - place.column + 1
        """Offset of the first byte of this line."""
        self._last_end = 0
        """Offset of the end of the last value, or of other text."""
        self._is_final = False

        self._is_in_array = place.item is not None
        self._item = place.item or 1
        self._needs_comma = False
        self._is_recovered = place.is_recovered
        self._array = place if self._is_in_array else Place()
        """Where the array begins."""

        self._begin = place
        """The value of :attr:`_State.WITHIN`."""
        self._scan = 0
        """Index of the next byte of it."""
        self._mark = 0
        """Index after its last bracket or string."""
        self._previous = 0
        """The last byte before ``_mark`` that is no blank."""
        self._stack = bytearray()
        self._is_in_string = False
        self._margin_limit = 0

        self._candidates: list[Callable[[int], int]] = [
            self._end_of_line,
            self._end_of_pretty,
            self._end_of_glued,
            self._end_of_item,
        ]
        """Guesses of the end of an object. The last right one is the first."""

    @property
    def place(self) -> Place:
        """Everything before this place is done: a value, or broken text, begins here."""
        if self._state in (_State.WITHIN, _State.RECOVERING):
            return self._begin
        return self._here()

    def feed(self, chunk: bytes) -> list[Slice | Broken]:
        """Values that end in the next bytes of the stream, in order."""
        return self._advance(chunk)

    def close(self) -> list[Slice | Broken]:
        """The rest, at the end of the stream."""
        self._is_final = True
        return self._advance(b"")

    def _advance(self, chunk: bytes) -> list[Slice | Broken]:
        self._data = self._data[self._at :] + chunk
        self._base += self._at
        self._scan -= self._at
        self._mark -= self._at
        self._at = 0
        found: list[Slice | Broken] = []
        step = {
            _State.START: self._start,
            _State.BETWEEN: self._between,
            _State.WITHIN: self._within,
            _State.RECOVERING: self._recover,
            _State.ENDED: self._end,
        }
        while step[self._state](found):
            pass
        return found

    # Each step returns whether another one can follow without more bytes.

    def _start(self, found: list[Slice | Broken]) -> bool:
        if len(self._data) < len(_BYTE_ORDER_MARK) and not self._is_final:
            return False
        if self._data.startswith(_OTHER_ENCODINGS):
            found.append(Broken(1, 1, "the text is UTF-16; JSON is UTF-8: convert it"))
            self._state = _State.ENDED
            return True
        if self._data.startswith(_BYTE_ORDER_MARK):
            self._at = self._line_start = len(_BYTE_ORDER_MARK)
        self._state = _State.BETWEEN
        return True

    def _between(self, found: list[Slice | Broken]) -> bool:
        space = _SPACE.match(self._data, self._at)
        assert space is not None
        self._move(space.end())
        if self._at == len(self._data):
            if self._is_final and self._is_in_array and not self._is_recovered:
                self._is_in_array = False
                found.append(self._array_not_closed())
            return False
        byte = self._data[self._at]
        if byte in b",]" and self._separator(byte, found):
            return True
        if self._needs_comma and not self._is_recovered:
            self._comma_missing(found)
            return True
        if byte == _ARRAY and (not self._is_in_array or self._begins_another_array()):
            self._array = self._here()
            self._is_in_array, self._item, self._needs_comma = True, 1, False
            self._move(self._at + 1)
            return True
        if byte in b"{[":
            return self._structure(found)
        return self._scalar(found)

    def _comma_missing(self, found: list[Slice | Broken]) -> None:
        """A value begins after an item of an array, without a comma in between."""
        self._needs_comma = False
        self._is_recovered = True
        if self._is_first_on_line() and self._here().column <= self._array.column:
            self._is_in_array = False
            found.append(self._array_not_closed())
        else:
            found.append(self._broken_here("a comma is missing before this item"))

    def _array_not_closed(self) -> Broken:
        return Broken(
            self._array.line, self._array.column, "the array that begins here is not closed"
        )

    def _separator(self, byte: int, found: list[Slice | Broken]) -> bool:
        """Pass a comma or the end of an array. Returns False if it is other text."""
        if not self._is_in_array:
            if self._is_recovered:
                self._move(self._at + 1)
            return self._is_recovered
        if not self._is_recovered and (
            not self._needs_comma if byte == _COMMA else not self._needs_comma and self._item > 1
        ):
            found.append(self._broken_here("an item is missing here"))
        self._needs_comma = False
        self._is_in_array = byte == _COMMA
        self._move(self._at + 1)
        return True

    def _begins_another_array(self) -> bool:
        """Whether a ``[`` in an array begins another one: the end of the first was in broken
        text.
        """
        return (
            self._is_recovered
            and self._is_first_on_line()
            and self._here().column <= self._array.column
        )

    def _structure(self, found: list[Slice | Broken]) -> bool:
        """An object or array begins."""
        at = self._at
        if self._data[at] == _OBJECT:
            for number, candidate in enumerate(self._candidates):
                end = candidate(at)
                if end > at and self._is_value(text := self._data[at:end]):
                    if number:
                        self._candidates.insert(0, self._candidates.pop(number))
                    self._append(found, text)
                    return True
        self._begin = self._here()
        self._stack[:] = self._data[at : at + 1]
        self._previous = self._data[at]
        self._scan = self._mark = at + 1
        self._is_in_string = False
        self._state = _State.WITHIN
        return True

    def _is_value(self, text: bytes) -> bool:
        """Whether a guess is right. Objects end where their brackets are balanced, so no other end
        can be right, too.
        """
        if len(text) > self._most_bytes:
            return False
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return True

    def _end_of_line(self, at: int) -> int:
        end = self._data.find(b"\n", at, at + self._most_bytes + 2)
        if end < 0:
            return 0
        text = self._data[at:end].rstrip(b" \t\r,") if self._is_in_array else self._data[at:end]
        return at + len(text.rstrip()) if text.rstrip().endswith(b"}") else 0

    def _end_of_pretty(self, at: int) -> int:
        if not self._data.startswith((b"\n", b"\r\n"), at + 1):
            return 0
        margin = self._margin()
        for blank in (b" ", b"\t") if margin else (b"",):
            close = b"\n" + margin * blank + b"}"
            end = self._data.find(close, at, at + self._most_bytes)
            if end >= 0:
                return end + len(close)
        return 0

    def _end_of_glued(self, at: int) -> int:
        end = _GLUED.search(self._data, at, at + self._most_bytes + 1)
        return 0 if end is None else end.end()

    def _end_of_item(self, at: int) -> int:
        if not self._is_in_array:
            return 0
        end = _ITEM_END.search(self._data, at, at + self._most_bytes + 1)
        return 0 if end is None else end.end()

    def _within(self, found: list[Slice | Broken]) -> bool:
        """Search for the end of an object or array."""
        data, stack = self._data, self._stack
        while True:
            if self._is_in_string and not self._end_string():
                break
            match = _NO_BRACKETS.match(data, self._scan)
            assert match is not None
            self._scan = at = match.end()
            if at == len(data):
                break
            byte = data[at]
            if byte == _QUOTE:
                self._is_in_string = True
                self._scan += 1
                continue
            self._note_previous(at)
            if byte in b"{[":
                if not self._may_begin():
                    return self._break_off(found, at, resume=at)
                if len(stack) == MOST_LEVELS:
                    return self._break_off(found, at + 1)
                stack.append(byte)
            else:
                if stack[-1] != _OPENING[byte]:
                    return self._break_off(found, at + 1)
                stack.pop()
                if not stack:
                    self._complete(found, at + 1)
                    return True
            self._previous = byte
            self._scan = self._mark = at + 1
        return self._needs_more(found)

    def _end_string(self) -> bool:
        """Pass the rest of a string. Returns False if it does not end here."""
        rest = _STRING_REST.match(self._data, self._scan)
        assert rest is not None
        self._scan = rest.end()
        if not self._data.startswith(b'"', self._scan):
            return False
        self._is_in_string = False
        self._previous = _QUOTE
        self._scan = self._mark = self._scan + 1
        return True

    def _needs_more(self, found: list[Slice | Broken]) -> bool:
        """The end of the bytes, or of a line in a string."""
        rest = self._data[self._scan : self._scan + 2]
        if self._is_in_string and rest and rest != b"\\":
            return self._break_off(found, self._scan)
        if self._is_final:
            return self._break_off(found, len(self._data))
        if self._is_too_large(self._scan):
            if not self._is_in_string:
                self._note_previous(self._scan)
            self._move(self._scan)
        return False

    def _note_previous(self, at: int) -> None:
        if text := self._data[self._mark : at].rstrip(_BLANKS):
            self._previous = text[-1]
        self._mark = at

    def _may_begin(self) -> bool:
        """Whether an object or array may begin after the previous byte."""
        if self._stack[-1] == _OBJECT:
            return self._previous == _COLON
        return self._previous in b"[,"

    def _is_too_large(self, end: int) -> bool:
        return self._base + end - self._begin.offset > self._most_bytes

    def _complete(self, found: list[Slice | Broken], end: int) -> None:
        """The brackets are balanced."""
        self._state = _State.BETWEEN
        if self._is_too_large(end):
            found.append(self._too_large(self._begin))
            self._move(end)
            self._passed()
            return
        text = self._data[self._at : end]
        if (broken := self._fault(text)) is None:
            self._append(found, text)
            return
        found.append(broken)
        self._move(end)
        self._passed()

    def _break_off(
        self, found: list[Slice | Broken], end: int, *, resume: int | None = None
    ) -> bool:
        """The bytes before ``end`` are not JSON, whatever follows.

        Args:
            resume: a bracket that is no part of the value.
        """
        self._state = _State.RECOVERING
        self._is_recovered = True
        self._margin_limit = self._margin()
        is_too_large = self._is_too_large(end)
        if is_too_large:
            found.append(self._too_large(self._begin))
        else:
            broken = self._fault(self._data[self._at : end])
            assert broken is not None
            found.append(broken)
            # No value has so many levels. To look at each of them again would take too long.
            last = 0 if len(self._stack) == MOST_LEVELS else min(end + 1, len(self._data))
            for line in _RESUME.finditer(self._data, self._at, last):
                if line["margin"] is not None and len(line["margin"]) <= self._margin_limit:
                    return self._resume(line.start() + 1, line.end())
        if resume is not None and self._data[resume] == _OBJECT:
            return self._resume(resume, resume)
        # the last byte may be a bracket that another value follows
        self._move(max(end - 1, self._at))
        return True

    def _recover(self, _found: list[Slice | Broken]) -> bool:
        for match in _RESUME.finditer(self._data, self._at):
            margin = match["margin"]
            if (
                (match["comma"] is None or self._is_in_array)
                if margin is None
                else len(margin) <= self._margin_limit
            ):
                return self._resume(match.start() + 1, match.end())
        partial = _PARTIAL_RESUME.search(self._data, self._at)
        self._move(len(self._data) if partial is None else partial.start())
        return False

    def _resume(self, end: int, at: int) -> bool:
        """Broken text ends, and a value begins."""
        self._move(at)
        self._passed(self._base + end)
        self._state = _State.BETWEEN
        return True

    def _scalar(self, found: list[Slice | Broken]) -> bool:
        """Text that begins no object or array: in an array up to the next comma or bracket, else
        the rest of the line.
        """
        data, at = self._data, self._at
        end = at
        if self._is_in_array:
            item = _ITEM.match(data, at)
            assert item is not None
            end = item.end()
        is_open = not self._is_in_array or data.startswith(b'"', end)
        if is_open:  # it may go on until the end of the line
            newline = data.find(b"\n", end)
            end = len(data) if newline < 0 else newline
        if end - at > self._most_bytes:
            found.append(self._too_large(self._here()))
            return self._skip_text()
        if end == len(data) and not self._is_final:
            return False
        text = data[at:end].rstrip(_BLANKS)
        if text and not (is_open and self._is_in_array) and self._is_value(text):
            self._append(found, text)
            return True
        found.append(self._broken_here("text that is not a JSON value"))
        if self._is_in_array and not is_open and end > at and data[end : end + 1] in b",]\n":
            self._move(end)
            self._passed()
            return True
        return self._skip_text()

    def _skip_text(self) -> bool:
        self._begin = self._here()
        self._is_recovered = True
        self._margin_limit = _MOST_BLANKS
        self._state = _State.RECOVERING
        return True

    def _end(self, _found: list[Slice | Broken]) -> bool:
        self._at = len(self._data)
        return False

    def _append(self, found: list[Slice | Broken], text: bytes) -> None:
        found.append(Slice(self._here(), text))
        self._state = _State.BETWEEN
        self._move(self._at + len(text))
        self._passed()

    def _passed(self, end: int | None = None) -> None:
        """A value or other text ends, here or at another offset."""
        self._last_end = self._base + self._at if end is None else end
        if self._is_in_array:
            self._item += 1
            self._needs_comma = True

    def _fault(self, text: bytes) -> Broken | None:
        """Where the text at ``_at`` is not JSON; None: it is."""
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError as error:
            line, column = self._line, self._base + self._at - self._line_start + 1
            if error.pos >= len(error.doc):
                return Broken(line, column, "the value that begins here is not closed")
            return Broken(
                line + error.lineno - 1,
                error.colno + (column - 1 if error.lineno == 1 else 0),
                _reason(error),
            )
        return None

    def _too_large(self, place: Place) -> Broken:
        return Broken(
            place.line,
            place.column,
            f"the value that begins here is larger than {self._most_bytes} bytes, the most of an "
            "event",
        )

    def _broken_here(self, message: str) -> Broken:
        return Broken(self._line, self._base + self._at - self._line_start + 1, message)

    def _here(self) -> Place:
        """The place of ``_at``."""
        offset = self._base + self._at
        return Place(
            offset,
            self._line,
            offset - self._line_start + 1,
            self._item if self._is_in_array else None,
            self._is_recovered,
        )

    def _is_first_on_line(self) -> bool:
        return self._last_end <= self._line_start

    def _margin(self) -> int:
        """Indentation of the value at ``_at``; a bracket and blanks before it count."""
        begin = self.place
        return begin.column - 1 if self._last_end <= begin.offset - begin.column + 1 else 0

    def _move(self, to: int) -> None:
        """Make ``to`` the first byte that is needed."""
        newlines = self._data.count(b"\n", self._at, to)
        if newlines:
            self._line += newlines
            self._line_start = self._base + self._data.rfind(b"\n", self._at, to) + 1
        self._at = to


def _reason(error: orjson.JSONDecodeError) -> str:
    message = error.msg.partition(": line ")[0]
    return "not valid UTF-8" if "UTF-8" in message else message
