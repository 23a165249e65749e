"""Makes an invalid record of each kind from a valid event, by one change with a known outcome."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from rollcall.sandbox.canvas.events import Draft, Json
from rollcall.sandbox.canvas.families import METADATA
from rollcall.sandbox.canvas.fields import Field, FieldKind
from rollcall.sandbox.canvas.templates import Slot

LARGE_BYTES = (2_110_000, 2_120_000, 2_150_000, 2_200_000)
"""Sizes of values that are too large: above the 2,097,152 bytes of topics that Rollcall creates,
while they are not compressed.
"""

_SENTENCE = b"All classes are moved to the main hall. "
_LARGE_TEXTS = [b'"' + _SENTENCE * (size // len(_SENTENCE)) + b'"' for size in LARGE_BYTES]

_INVALID_IDS: tuple[Any, ...] = (
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
_INVALID_TIMES: tuple[Any, ...] = (
    "019-11-01T19:11:01.163Z",  # a typing error in Canvas's documentation
    "yesterday", "", "2019-11-01", "2019-02-30T00:00:00Z", "2019-11-01T25:00:00Z",
    "2019-11-01T19:11:01", "01/11/2019 19:11",
    1_572_635_461, 1.5, False, {"time": "2019-11-01T19:11:01Z"},
)  # fmt: skip
_INVALID_VALUES: dict[FieldKind, tuple[Any, ...]] = {
    FieldKind.ID: (*_INVALID_IDS, 0, "0"),
    FieldKind.ID_OR_ZERO: _INVALID_IDS,
    FieldKind.TIME: _INVALID_TIMES,
    FieldKind.WORD: ("", 1, True, ["active"]),
    FieldKind.TEXT: (42, True, ["Isaac Newton"], {"en": "Isaac Newton"}),
    FieldKind.FLAG: ("true", 0, 1, "", []),
    FieldKind.COUNT: ("99", 1.5, True, [99]),
    FieldKind.FOREIGN: (True, 1.5, {}, ["2017.100"]),
    FieldKind.WORDS: ("name", [1], {"name": True}, True),
    FieldKind.NULL: ("x", 1),
    FieldKind.ID_OR_EMPTY: (*(value for value in _INVALID_IDS if value != ""), 0, "0"),
    FieldKind.IDS: ("1533", ["abc"], [""], [None], [True], {"id": "1533"}, [["1533"]]),
    FieldKind.FOREIGN_IDS: ("x", [True], [1.5], [{}], {}),
    FieldKind.DAY: ("2019-02-30", "2019-11-1", "yesterday", "", 1_572_635_461, False, []),
    FieldKind.NUMBER: ("17.5", "", True, [17.5], {}),
    FieldKind.OBJECT: ("x", 1, True, []),
    FieldKind.OBJECTS: ("x", [1], [None], {}, True),
    FieldKind.ANY_OBJECT: ("{}", 1, [], True),
}
_VALID_IF_OPTIONAL = {FieldKind.WORD: ("",)}
"""Values that are invalid only in required fields."""
_MISSING = object()


def violate_schema(draft: Draft, random: Random) -> Any:
    """Make an event that breaks one rule of its schema: a required field is missing or null, or a
    value has the wrong type. Changes the draft.
    """
    if random.random() < 0.12 and (
        names := [
            name
            for name in draft.metadata
            if name in METADATA and METADATA[name].kind is FieldKind.ID
        ]
    ):
        draft.metadata[random.choice(names)] = random.choice(_INVALID_VALUES[FieldKind.ID])
        return draft.event
    if not draft.fields:
        draft.metadata["root_account_id"] = random.choice(_INVALID_VALUES[FieldKind.ID])
        return draft.event
    name = random.choice(
        [name for name in draft.fields if draft.fields[name].kind is not FieldKind.ANY]
    )
    field = draft.fields[name]
    _set(draft.body, name, _invalid_value(field, random))
    return draft.event


def _set(fields: Json, name: str, value: Any) -> None:
    """Set a field, or delete it if the value is :data:`_MISSING`."""
    if value is _MISSING:
        del fields[name]
    else:
        fields[name] = value


def _invalid_value(field: Field, random: Random) -> Any:
    if field.required and random.random() < 0.3:
        return random.choice((None, _MISSING))
    values = _INVALID_VALUES[field.kind]
    if not field.required and field.kind in _VALID_IF_OPTIONAL:
        values = tuple(value for value in values if value not in _VALID_IF_OPTIONAL[field.kind])
    return random.choice(values)


def make_not_an_event(draft: Draft, random: Random) -> Any:
    """Make JSON that is not an event: not an object, or without usable metadata, body, event_name
    or event_time. Changes the draft.
    """
    return random.choice(_NOT_AN_EVENT)(draft, random)


def _not_an_object(draft: Draft, random: Random) -> Any:
    return random.choice(([draft.event], [], None, 42, "enrollment_created", True, 1.5, {}))


def _part_missing(draft: Draft, random: Random) -> Any:
    del draft.event[random.choice((draft.metadata_name, "body"))]
    return draft.event


def _part_misnamed(draft: Draft, _random: Random) -> Any:
    draft.event["meta_data"] = draft.event.pop(draft.metadata_name)
    return draft.event


def _part_not_an_object(draft: Draft, random: Random) -> Any:
    draft.event[random.choice((draft.metadata_name, "body"))] = random.choice(
        (None, [], "x", 1, True)
    )
    return draft.event


def _flat(draft: Draft, _random: Random) -> Any:
    return draft.metadata | draft.body


def _name_invalid(draft: Draft, random: Random) -> Any:
    value = random.choice((_MISSING, None, "", 7, True, ["enrollment_created"], "x" * 256))
    _set(draft.metadata, "event_name", value)
    return draft.event


def _time_invalid(draft: Draft, random: Random) -> Any:
    _set(draft.metadata, "event_time", random.choice((_MISSING, None, *_INVALID_TIMES)))
    return draft.event


_NOT_AN_EVENT: tuple[Callable[[Draft, Random], Any], ...] = (
    _not_an_object,
    _part_missing,
    _part_misnamed,
    _part_not_an_object,
    _flat,
    _name_invalid,
    _time_invalid,
)


def make_caliper(draft: Draft, random: Random) -> Any:
    """Make an envelope of IMS Caliper, with the event's time and user. Uses up the draft."""
    time = draft.metadata.get("event_time")
    actor = {"id": "urn:instructure:canvas:user:21070000000004471", "type": "Person"}
    event = {
        "@context": "http://purl.imsglobal.org/ctx/caliper/v1p1",
        "id": "urn:uuid:c51570e4-f8ed-4c18-bb3a-dfe51b2cc594",
        "type": random.choice(("NavigationEvent", "GradeEvent", "SessionEvent")),
        "action": random.choice(("NavigatedTo", "Graded", "LoggedIn")),
        "actor": actor,
        "eventTime": time,
        "extensions": {"com.instructure.canvas": {"version": "1.0.0"}},
    }
    return {
        "sensor": "http://canvas.example.edu/",
        "sendTime": time,
        "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p1",
        "data": [event] if random.random() < 0.8 else [],
    }


def make_not_json(value: bytes, random: Random) -> bytes:
    """Make bytes that are not JSON in UTF-8 from those of an event."""
    return random.choice(_NOT_JSON)(value, random)


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


def _other_format(_value: bytes, random: Random) -> bytes:
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


_NOT_JSON: tuple[Callable[[bytes, Random], bytes], ...] = (
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
    _other_format,
)


def make_too_large(draft: Draft) -> Any:
    """Make an event with a field that is larger than a topic's limit. Changes the draft."""
    draft.body["description"] = Slot(_LARGE_TEXTS)
    return draft.event
