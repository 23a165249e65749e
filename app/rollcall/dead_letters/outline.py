"""A redacted view of a dead letter's value: its build, without what it says. Pure.

A dead letter is anything that came along on the raw topic: an event with a field of a wrong kind,
but also half an event, another system's message, a page with an error. It can hold names,
addresses, logins and grades in any field, and credentials that the redaction of the router does not
know by name. Whoever watches the flow has to see what is wrong with it, for which its build is
enough, and need not see whom it is about. So

- a text is shown by its length, a number or a time as being one, an id by its number of digits and
  its shard, and of what is no JSON only the kind of its first bytes;
- shown as they are: true, false and null; the words that Canvas is known to write as states and
  types (``x-known-values`` in schemas/), which are the same for everybody; of the metadata, an
  event_time that is a time, and an event_name that is in the registry or ends like one;
- a field's name is shown if it is built like an identifier. It is not data, and a field that is
  misspelt or should not be there is what one looks for. Where somebody has made keys of data
  (addresses, ids), they are not built so, or not shown because of their digits.

Who needs the value itself reads the record: topic, partition and offset are shown, and Kafka knows
who may.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import orjson

from rollcall.events.ids import SHARD_SIZE, whole_number
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.files import KNOWN_VALUES, schema_folder, schema_paths
from rollcall.events.times import parse_time

MOST_PARSED_BYTES = 256 * 1024
"""Larger values are not looked into: the server has other things to do."""

MOST_LINES = 150
MOST_DEPTH = 8
MOST_FIELDS = 60
MOST_ITEMS = 3
_MOST_TIME_CHARACTERS = 40

_is_plain_name = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,47}").fullmatch
_has_number = re.compile(r"[0-9]{4}").search
_is_event_name = re.compile(
    r"(?=.{3,64}\Z)[a-z]+(?:[_.-][a-z]+)*_(?:accessed|added|completed|created|changed|converted|deleted|done|imported|invalidated|overridden|removed|restored|"
    r"replied|saved|submitted|synced|unsubmitted|updated|viewed)"
).fullmatch
"""An event_name in lower case could be somebody's login; what ends in something that happens is
none.
"""
METADATA = ("metadata", "attributes")
"""What the part of an event is called that says what has happened."""

_MARKS = (
    (b"\xef\xbb\xbf", "text with a byte order mark"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"eyJ", "built like a JSON Web Token"),
    (b"<", "begins like HTML or XML"),
    (b"{", "begins like a JSON object, and is cut off or broken"),
    (b"[", "begins like a JSON list, and is cut off or broken"),
)
_LOOKED_AT_BYTES = 64


class Line(NamedTuple):
    """Of the view: how deep it stands, the field, and what is there."""

    depth: int
    name: str
    what: str


class Outline(NamedTuple):
    """The view."""

    kind: str
    """What the value is as a whole."""
    lines: tuple[Line, ...]
    event_name: str | None
    """What the value says, if it may be shown."""


@cache
def known_words() -> frozenset[str]:
    """States and types that Canvas is known to write, and names of events."""
    return (
        frozenset(
            _known_values(
                [orjson.loads(path.read_bytes()) for _, path in schema_paths(schema_folder())]
            )
        )
        | REGISTRY.keys()
    )


def outline(value: bytes | None, words: Collection[str]) -> Outline:
    """The redacted view of a value. Never fails.

    Args:
        words: texts that are shown as they are.
    """
    if value is None:
        return Outline("null: no value", (), None)
    if len(value) > MOST_PARSED_BYTES:
        return Outline(f"{_bytes(value)}, too large to be looked into", (), None)
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        return Outline(f"no JSON: {_bytes(value)}{_kind_of_bytes(value)}", (), None)
    lines = list(islice(_lines(content, "", 0, words), 1, MOST_LINES + 2))
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [Line(0, "", "and more")]
    return Outline(
        f"JSON, {_bytes(value)}: {_what(content, words)}", tuple(lines), _event_name(content, words)
    )


def shown_event_name(name: object, words: Collection[str]) -> str | None:
    """A name of an event, if it may be shown: it is known, or ends like one."""
    return name if isinstance(name, str) and (name in words or _is_event_name(name)) else None


def _event_name(content: Any, words: Collection[str]) -> str | None:
    for part in METADATA:
        if isinstance(content, dict) and isinstance(content.get(part), dict):
            return shown_event_name(content[part].get("event_name"), words)
    return None


def _lines(
    value: Any, name: str, depth: int, words: Collection[str], parent: str = ""
) -> Iterator[Line]:
    yield Line(
        max(depth - 1, 0),
        name,
        _what(value, words) if parent not in METADATA else _what_of_metadata(name, value, words),
    )
    if depth >= MOST_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in islice(value.items(), MOST_FIELDS):
            yield from _lines(inner, field_name(key), depth + 1, words, name if depth == 1 else "")
        if len(value) > MOST_FIELDS:
            yield Line(depth, "", f"and {len(value) - MOST_FIELDS} fields more")
    elif isinstance(value, list):
        for number, inner in enumerate(value[:MOST_ITEMS]):
            yield from _lines(inner, str(number), depth + 1, words)
        if len(value) > MOST_ITEMS:
            yield Line(depth, "", f"and {len(value) - MOST_ITEMS} items more")


def _what_of_metadata(name: str, value: Any, words: Collection[str]) -> str:
    if name == "event_name" and (shown := shown_event_name(value, words)) is not None:
        return shown
    if (
        name == "event_time"
        and isinstance(value, str)
        and len(value) <= _MOST_TIME_CHARACTERS
        and parse_time(value) is not None
    ):
        return value
    return _what(value, words)


def _what(value: Any, words: Collection[str]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if value in words:
            return value
        if len(value) <= _MOST_TIME_CHARACTERS and parse_time(value) is not None:
            return "time"
        return _id(value) or f"text, {len(value)} character{'' if len(value) == 1 else 's'}"
    if isinstance(value, dict):
        return f"object, {len(value)} field{'' if len(value) == 1 else 's'}"
    if isinstance(value, list):
        return f"list, {len(value)} item{'' if len(value) == 1 else 's'}"
    return (
        "number with a fraction"
        if isinstance(value, float)
        else _digits("whole number", str(abs(value)))
    )


def _id(text: str) -> str | None:
    number = whole_number(text)
    if number is None:
        return None
    return _digits("id", text) + (f", shard {number // SHARD_SIZE}" if number >= SHARD_SIZE else "")


def _digits(what: str, digits: str) -> str:
    return f"{what}, {len(digits)} digit{'' if len(digits) == 1 else 's'}"


def field_name(name: str) -> str:
    """A name of a field or a header, if it may be shown, else its length."""
    if _is_plain_name(name) and not _has_number(name):
        return name
    return f"(a name of {len(name)} characters)"


def _bytes(value: bytes) -> str:
    return f"{len(value):,} byte{'' if len(value) == 1 else 's'}"


def _kind_of_bytes(value: bytes) -> str:
    beginning = value[:_LOOKED_AT_BYTES].lstrip(b" \t\r\n")
    if not beginning:
        return ""
    for mark, kind in _MARKS:
        if beginning.startswith(mark):
            return f", {kind}"
    if all(byte in b"\t\r\n" or 0x20 <= byte < 0x7F for byte in beginning):
        return ", text"
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 3:  # else a character that is cut
            return ", binary"
    return ", text"


def _known_values(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, inner in node.items():
            if key == KNOWN_VALUES:
                yield from (value for value in inner if isinstance(value, str))
            else:
                yield from _known_values(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _known_values(inner)
