"""Made-up inputs: events that are changed in their structure or in their bytes, and bytes that were
none. The same random numbers give the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

import orjson

from rollcall.events.registry import REGISTRY
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.traffic import CREDENTIAL, TrafficPlan, generate_traffic
from tests.events.json_texts import write
from tests.events.schemas.events import DOCUMENTED, NAMES, example

MARK = "Zqx.Holmes-221B"
"""Stands in changed events as value and as key, for a person's data: where it shows up, the event
was quoted.
"""

DEEP = {"@60": 60, "@250": 250, "@260": 260, "@900": 900, "@1100": 1_100}
"""Texts that stand for values nested so deep, which Python's serializers would not write."""

MOST_BYTES = 4_000
"""Of random bytes."""

ODD_WORDS = (
    "metadata",
    "attributes",
    "body",
    "event_name",
    "client_ip",
    "client\u005fip",
    "user_login",
    "",
    "a",
    "ce_id",
    "__proto__",
    MARK,
    "é",
    "a/b~c",
    "\x00",
)
ODD_TEXTS = (
    MARK, f"/users/{MARK}?access_token={CREDENTIAL}", "", "0", "1533", "21070000000001533",
    "9223372036854775808", "٣٤", "1533\n", "abc", "null", "\x00",
    "\uffff", "𝄞", "e\u0301", "2019-11-01T19:11:01.163Z", "2019-02-29T00:00:00Z",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "20240-02-29T00:00:00Z",
    "2019-10-05 05:38:00 -0800", "2019-10-05 05:38:00 UTC", "active", "deleted",
    "StudentEnrollment", "Course", "Account", *NAMES[:3],
)  # fmt: skip
ODD_NUMBERS = (
    0,
    -1,
    1,
    1533,
    21070000000001533,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    0.5,
    1.0,
    2.1070000000001533e16,
    1e300,
    -0.0,
)
ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"NaN",
    b"-0",
    b"1e400",
    b"\n",
    b"=",
    b"%3D",
)


@cache
def events() -> Sequence[bytes]:
    """Good ones: of the schemas, of the documents, of a simulated institution, and of the router's
    traffic.
    """
    found = [orjson.dumps(example(name)) for name in NAMES]
    found += [
        path.read_bytes()
        for path in sorted(DOCUMENTED.glob("*.json"))
        if path.stem != "user_updated"
    ]
    found += [
        event.value
        for event in Simulation(SimulationPlan(courses=3, steps=150, seed=3, class_size=5)).events()
    ][:600]
    found += [
        record.value for record in generate_traffic(TrafficPlan.clean(count=400)) if record.value
    ]
    return found


def any_input(random: Random) -> bytes | None:
    """What may come along on a topic."""
    kind = random.random()
    if kind < 0.01:
        return random.choice((None, b""))
    if kind < 0.05:
        return random.randbytes(int(random.random() ** 4 * MOST_BYTES))
    if kind < 0.12:
        return text_of(any_value(random, 4), random)
    if kind < 0.17:
        return random.choice(events())
    value = changed_event(random) if kind < 0.90 else random.choice(events())
    return changed_bytes(value, random) if kind >= 0.80 else value


def changed_event(random: Random) -> bytes:
    """An event with up to four changes of its structure."""
    event = orjson.loads(random.choice(events()))
    for _ in range(random.randint(1, 4)):
        random.choice(CHANGES)(event, random)
    return text_of(event, random)


def changed_bytes(value: bytes, random: Random) -> bytes:
    """Bytes with up to three changes: one is another, some are gone, come twice, or come from
    another event.
    """
    data = bytearray(value)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data) + 1)
        end = min(at + int(random.random() ** 6 * 200), len(data))
        match random.randrange(6):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = random.choice(ODD_BYTES)
            case 2:
                data[at : at + 1] = random.randbytes(1)
            case 3:
                data[at:at] = data[at:end]
            case 4:
                data = data[:at]
            case _:
                other = random.choice(events())
                place = random.randrange(len(other))
                data[at:end] = other[place : place + end - at + 8]
    return bytes(data)


def text_of(value: Any, random: Random) -> bytes:
    """A value as JSON, in one of the ways in which programs write it, or in one in which none
    does.
    """
    style = random.random()
    if style < 0.1:
        text = write(value, random).encode()
    else:
        text = json.dumps(
            value,
            ensure_ascii=style < 0.3,
            indent=1 if style > 0.9 else None,
            separators=(",", ":") if style < 0.6 else None,
        ).encode()
    for name, depth in DEEP.items():
        text = text.replace(
            b'"%b"' % name.encode(), b'{"a":[' * (depth // 2) + b"1" + b"]}" * (depth // 2)
        )
    return text


def any_value(random: Random, depth: int) -> Any:
    """A JSON value: Python's own types, so that any serializer takes it."""
    kind = random.randrange(8 if depth else 6)
    match kind:
        case 0:
            return random.choice((None, True, False))
        case 1:
            return random.choice(ODD_NUMBERS)
        case 2 | 3 | 4:
            return random.choice(ODD_TEXTS)
        case 5:
            return "".join(
                chr(random.choice((random.randrange(32, 127), random.randrange(0xD800))))
                for _ in range(random.randrange(20))
            )
        case 6:
            return [any_value(random, depth - 1) for _ in range(random.randrange(4))]
    return {
        random.choice(ODD_WORDS): any_value(random, depth - 1) for _ in range(random.randrange(4))
    }


def _part(event: Any, random: Random) -> dict[str, Any]:
    """The metadata or the body, or the event as a whole."""
    parts = (
        [part for part in event.values() if isinstance(part, dict)]
        if isinstance(event, dict)
        else []
    )
    return random.choice([*parts * 5, event]) if parts else event


def _set(event: Any, random: Random) -> None:
    part = _part(event, random)
    if part:
        part[random.choice(list(part))] = any_value(random, 2)


def _remove(event: Any, random: Random) -> None:
    part = _part(event, random)
    if part:
        del part[random.choice(list(part))]


def _add(event: Any, random: Random) -> None:
    _part(event, random)[random.choice(ODD_WORDS)] = any_value(random, 3)


def _rename(event: Any, random: Random) -> None:
    part = _part(event, random)
    if part:
        part[random.choice(ODD_WORDS)] = part.pop(random.choice(list(part)))


def _exchange(event: Any, random: Random) -> None:
    """A field's value for that of another."""
    one, other = _part(event, random), _part(event, random)
    if one and other:
        value = other[random.choice(list(other))]
        # a part of itself could not be written
        one[random.choice(list(one))] = MARK if isinstance(value, dict | list) else value


def _call_metadata_attributes(event: Any, _random: Random) -> None:
    if "metadata" in event:
        event["attributes"] = event.pop("metadata")


def _call_it_otherwise(event: Any, random: Random) -> None:
    part = event.get("metadata")
    if isinstance(part, dict):
        part["event_name"] = random.choice((*REGISTRY, "quiz_created", "x.y", MARK))


def _nest(event: Any, random: Random) -> None:
    _part(event, random)[random.choice(ODD_WORDS)] = random.choice(list(DEEP))


def _lengthen(event: Any, random: Random) -> None:
    part = _part(event, random)
    if part:
        part[random.choice(list(part))] = MARK * random.choice((10, 100, 2_000))


CHANGES: tuple[Callable[[Any, Random], None], ...] = (
    *(_set,) * 8,
    *(_remove,) * 3,
    *(_add,) * 5,
    *(_rename,) * 2,
    *(_exchange,) * 4,
    _call_metadata_attributes,
    _call_it_otherwise,
    _nest,
    _lengthen,
)

HEADERS = (
    ("trace", b"abc"), ("ce_id", b"theirs"), ("content-type", None), ("rollcall.error.attempt",
    b"3"), ("rollcall.error.attempt", b"x"),
    ("rollcall.dropped", b"url"), ("rollcall.redacted", b""), ("", b""), ("é", b"\xff\xfe"),
    ("from", f"/?access_token={CREDENTIAL}".encode()),
    ("long", b"v" * 9_000),
)  # fmt: skip


def any_headers(random: Random) -> list[tuple[str, bytes | None]]:
    """A raw record's, most of which have none."""
    return random.choices(HEADERS, k=random.randrange(4)) if random.random() < 0.2 else []
