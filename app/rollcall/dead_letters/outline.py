"""Outline of a dead letter's value: its structure, without its data. Pure.

A dead letter can be any record on the raw topic: an event with a field of a wrong type, half an
event, another system's message, an error page. Any field can hold names, addresses, logins, grades,
and credentials that the router's redaction does not know by name. An operator needs the structure
to find the fault, and does not need the personal data. Therefore:

- A text is reduced to its length, a number or a time to its type, an id to its number of digits and
  its shard, and a value that is not JSON to the kind of its first bytes.
- Literal values are shown in four cases: true, false and null; known states and types of Canvas
  (``x-known-values`` in schemas/); in the metadata, an event_time that is a time; in the metadata,
  an event_name that is in the registry or ends like one.
- A field name is shown if it looks like an identifier: a misspelt or unexpected field is a common
  fault. Data that is used as keys (addresses, ids) does not look like an identifier, or is hidden
  because of its digits.

The value itself is on the topic, at the partition and offset shown. Kafka's ACLs protect it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from rollcall.events.ids import SHARD_SIZE, whole_number
from rollcall.events.schemas.files import KNOWN_VALUES
from rollcall.events.times import parse_time
from rollcall.process.event_types import schema_files

MAX_PARSED_BYTES = 256 * 1024
"""Larger values are not parsed, to limit the load on serve."""

MAX_LINES = 150
MAX_DEPTH = 8
MAX_FIELDS = 60
MAX_ITEMS = 3
_MAX_TIME_CHARACTERS = 40

_is_identifier = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,47}").fullmatch
_has_number = re.compile(r"[0-9]{4}").search
_is_event_name = re.compile(
    r"(?=.{3,64}\Z)[a-z]+(?:[_.-][a-z]+)*_(?:accessed|added|completed|created|changed|converted|deleted|done|imported|invalidated|overridden|removed|restored|"
    r"replied|saved|submitted|synced|unsubmitted|updated|viewed)"
).fullmatch
"""A lower-case name alone could be a login. A name that ends in a past participle is not."""
METADATA = ("metadata", "attributes")
"""Names of the field that holds an event's metadata."""

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
_SNIFFED_BYTES = 64


class Line(NamedTuple):
    """One field of an outline."""

    depth: int
    name: str
    content: str


class Outline(NamedTuple):
    """The structure of a value."""

    kind: str
    """Format, size and type of the whole value."""
    lines: tuple[Line, ...]
    event_name: str | None
    """The event_name in the metadata, if it is safe to show."""


@cache
def known_words(added: Path | None = None) -> frozenset[str]:
    """Texts that are never personal data: Canvas's states and types, and event names.

    Args:
        added: ``ROLLCALL_SCHEMAS``.
    """
    files = schema_files(added).values()
    return frozenset(_known_values([file.document for file in files])).union(
        file.name for file in files if file.is_event
    )


def outline(value: bytes | None, words: Collection[str]) -> Outline:
    """The outline of a value. Never raises.

    Args:
        words: texts that may be shown.
    """
    if value is None:
        return Outline("null: no value", (), None)
    if len(value) > MAX_PARSED_BYTES:
        return Outline(f"{_bytes(value)}, too large to parse", (), None)
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        return Outline(f"no JSON: {_bytes(value)}{_byte_kind(value)}", (), None)
    lines = list(islice(_lines(content, "", 0, words), 1, MAX_LINES + 2))
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [Line(0, "", "and more")]
    return Outline(
        f"JSON, {_bytes(value)}: {_describe(content, words)}",
        tuple(lines),
        _event_name(content, words),
    )


def safe_event_name(name: object, words: Collection[str]) -> str | None:
    """The name, if it is a known event_name or ends like one; else None."""
    return name if isinstance(name, str) and (name in words or _is_event_name(name)) else None


def _event_name(content: Any, words: Collection[str]) -> str | None:
    for part in METADATA:
        if isinstance(content, dict) and isinstance(content.get(part), dict):
            return safe_event_name(content[part].get("event_name"), words)
    return None


def _lines(
    value: Any, name: str, depth: int, words: Collection[str], parent: str = ""
) -> Iterator[Line]:
    yield Line(
        max(depth - 1, 0),
        name,
        _describe(value, words)
        if parent not in METADATA
        else _describe_metadata(name, value, words),
    )
    if depth >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in islice(value.items(), MAX_FIELDS):
            yield from _lines(inner, field_name(key), depth + 1, words, name if depth == 1 else "")
        if len(value) > MAX_FIELDS:
            yield Line(depth, "", f"and {len(value) - MAX_FIELDS} fields more")
    elif isinstance(value, list):
        for number, inner in enumerate(value[:MAX_ITEMS]):
            yield from _lines(inner, str(number), depth + 1, words)
        if len(value) > MAX_ITEMS:
            yield Line(depth, "", f"and {len(value) - MAX_ITEMS} items more")


def _describe_metadata(name: str, value: Any, words: Collection[str]) -> str:
    if name == "event_name" and (safe_name := safe_event_name(value, words)) is not None:
        return safe_name
    if (
        name == "event_time"
        and isinstance(value, str)
        and len(value) <= _MAX_TIME_CHARACTERS
        and parse_time(value) is not None
    ):
        return value
    return _describe(value, words)


def _describe(value: Any, words: Collection[str]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if value in words:
            return value
        if len(value) <= _MAX_TIME_CHARACTERS and parse_time(value) is not None:
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


def _digits(kind: str, digits: str) -> str:
    return f"{kind}, {len(digits)} digit{'' if len(digits) == 1 else 's'}"


def field_name(name: str) -> str:
    """A name of a field or a header if it looks like an identifier, else its length."""
    if _is_identifier(name) and not _has_number(name):
        return name
    return f"(a name of {len(name)} characters)"


def _bytes(value: bytes) -> str:
    return f"{len(value):,} byte{'' if len(value) == 1 else 's'}"


def _byte_kind(value: bytes) -> str:
    beginning = value[:_SNIFFED_BYTES].lstrip(b" \t\r\n")
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
        if error.start < len(beginning) - 3:  # a later error can be a cut character
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
