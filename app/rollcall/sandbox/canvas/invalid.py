"""Invalid records of each kind, made from a valid event by one change, so that the outcome is
known.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from rollcall.sandbox.canvas.events import Draft
from rollcall.sandbox.canvas.families import METADATA, Field, Kind
from rollcall.sandbox.canvas.templates import Slot

LARGE_BYTES = (1_100_000, 1_200_000, 1_350_000, 1_500_000)
"""Sizes of values that are too large: above Kafka's default limit of 1,048,588 bytes, until they
are compressed.
"""

_SENTENCE = b"All classes are moved to the main hall. "

_NO_IDS: tuple[Any, ...] = (
    "abc",
    "",
    " 1533",
    "-5",
    "007",
    "1533.0",
    "٣٤",
    "99999999999999999999",
    -7,
    2**63,
    1.5,
    True,
    {"id": "1533"},
    ["1533"],
)
_NO_TIMES: tuple[Any, ...] = (
    "019-11-01T19:11:01.163Z",  # a typing error of Canvas's own documentation
    "yesterday", "", "2019-11-01", "2019-02-30T00:00:00Z", "2019-11-01T25:00:00Z",
    "2019-11-01T19:11:01", "01/11/2019 19:11",
    1_572_635_461, 1.5, False, {"time": "2019-11-01T19:11:01Z"},
)  # fmt: skip
_NO_VALUES: dict[Kind, tuple[Any, ...]] = {
    Kind.ID: (*_NO_IDS, 0, "0"),
    Kind.ID_OR_ZERO: _NO_IDS,
    Kind.TIME: _NO_TIMES,
    Kind.WORD: ("", 1, True, ["active"]),
    Kind.TEXT: (42, True, ["Isaac Newton"], {"en": "Isaac Newton"}),
    Kind.FLAG: ("true", 0, 1, "", []),
    Kind.COUNT: ("99", 1.5, True, [99]),
    Kind.FOREIGN: (True, 1.5, {}, ["2017.100"]),
    Kind.WORDS: ("name", [1], {"name": True}, True),
    Kind.NOTHING: ("x", 1),
}
_MISSING = object()


def violate(draft: Draft, random: Random) -> Any:
    """An event that breaks one rule of its schema: a field that must be there is missing or null,
    or a value is of the wrong kind. Changes the draft.
    """
    if random.random() < 0.12 and (
        names := [
            name for name in draft.metadata if name in METADATA and METADATA[name].kind is Kind.ID
        ]
    ):
        draft.metadata[random.choice(names)] = random.choice(_NO_VALUES[Kind.ID])
        return draft.event
    if not draft.fields:
        draft.metadata["root_account_id"] = random.choice(_NO_VALUES[Kind.ID])
        return draft.event
    name = random.choice(list(draft.fields))
    field = draft.fields[name]
    wrong = _wrong_value(field, random)
    if wrong is _MISSING:
        del draft.body[name]
    else:
        draft.body[name] = wrong
    return draft.event


def _wrong_value(field: Field, random: Random) -> Any:
    if field.always and random.random() < 0.3:
        return random.choice((None, _MISSING))
    return random.choice(_NO_VALUES[field.kind])


def disguise(draft: Draft, random: Random) -> Any:
    """JSON that is no event: no object, or without metadata, body, name or time that could be used.
    Changes the draft.
    """
    return random.choice(_DISGUISES)(draft, random)


def _not_an_object(draft: Draft, random: Random) -> Any:
    return random.choice(([draft.event], [], None, 42, "enrollment_created", True, 1.5, {}))


def _part_missing(draft: Draft, random: Random) -> Any:
    del draft.event[random.choice((draft.part, "body"))]
    return draft.event


def _part_misnamed(draft: Draft, _random: Random) -> Any:
    draft.event["meta_data"] = draft.event.pop(draft.part)
    return draft.event


def _part_is_no_object(draft: Draft, random: Random) -> Any:
    draft.event[random.choice((draft.part, "body"))] = random.choice((None, [], "x", 1, True))
    return draft.event


def _flat(draft: Draft, _random: Random) -> Any:
    return draft.metadata | draft.body


def _name_missing(draft: Draft, random: Random) -> Any:
    value = random.choice((_MISSING, None, "", 7, True, ["enrollment_created"], "x" * 256))
    if value is _MISSING:
        del draft.metadata["event_name"]
    else:
        draft.metadata["event_name"] = value
    return draft.event


def _time_missing(draft: Draft, random: Random) -> Any:
    value = random.choice((_MISSING, None, *_NO_TIMES))
    if value is _MISSING:
        del draft.metadata["event_time"]
    else:
        draft.metadata["event_time"] = value
    return draft.event


_DISGUISES: tuple[Callable[[Draft, Random], Any], ...] = (
    _not_an_object,
    _part_missing,
    _part_misnamed,
    _part_is_no_object,
    _flat,
    _name_missing,
    _time_missing,
)


def garble(value: bytes, random: Random) -> bytes:
    """What is no JSON in UTF-8, made from an event's bytes."""
    return random.choice(_GARBLINGS)(value, random)


def _truncated(value: bytes, random: Random) -> bytes:
    return value[: random.randrange(1, len(value) - 1)].rstrip() or b"{"


def _invalid_utf8(value: bytes, _random: Random) -> bytes:
    return value.replace(b'"event_name"', b'"event_n\xffame"', 1)


def _latin1(value: bytes, _random: Random) -> bytes:
    return (
        value.replace(b'{"', '{"größe": 1, "'.encode("latin-1"), 1)
        if b'{"' in value
        else value.replace(b"{", '{"größe": 1,'.encode("latin-1"), 1)
    )


def _doubled(value: bytes, random: Random) -> bytes:
    return value + random.choice((b"", b"\n", b",")) + value


def _trailing_comma(value: bytes, _random: Random) -> bytes:
    return value.rstrip()[:-1] + b",}"


def _single_quotes(value: bytes, _random: Random) -> bytes:
    return value.replace(b'"', b"'")


def _not_a_number(value: bytes, _random: Random) -> bytes:
    return value.rstrip()[:-1] + b',"score":NaN}'


def _raw_control_character(value: bytes, _random: Random) -> bytes:
    return value.rstrip()[:-1] + b',"note":"two\nlines"}'


def _utf16(value: bytes, _random: Random) -> bytes:
    return value[:200].decode(errors="replace").encode("utf-16")


def _compressed(value: bytes, _random: Random) -> bytes:
    return b"\x1f\x8b" + zlib.compress(value)


def _another_text(_value: bytes, random: Random) -> bytes:
    return random.choice(
        (
            b"<html><body>502 Bad Gateway</body></html>",
            b"event_name=enrollment_created",
            b"None",
            b"   \n",
            b"\x00\x00\x00\x00",
            b"---\nmetadata: {}\n",
            b"\xef\xbb\xbf{}",
        )
    )


_GARBLINGS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _truncated,
    _truncated,
    _invalid_utf8,
    _latin1,
    _doubled,
    _trailing_comma,
    _single_quotes,
    _not_a_number,
    _raw_control_character,
    _utf16,
    _compressed,
    _another_text,
)


def inflate(draft: Draft) -> Any:
    """An event with a field that no topic takes. Changes the draft."""
    draft.body["description"] = Slot(
        [b'"' + _SENTENCE * (size // len(_SENTENCE)) + b'"' for size in LARGE_BYTES]
    )
    return draft.event
