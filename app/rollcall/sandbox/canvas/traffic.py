"""Generates valid and invalid raw records of a bridge, each with its expected outcome, for demo,
benchmarks and tests.

The events are independent of each other. They have a realistic mix of types and of Canvas's
formats; some are late, repeated or invalid. The expected outcome follows from the way a record is
made, without the router's code.

    for record in generate_traffic(TrafficPlan(count=50_000, seed=7)): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from itertools import cycle, islice
from random import Random
from typing import Any, NamedTuple

from rollcall.sandbox.canvas.events import EventMaker, documented_events
from rollcall.sandbox.canvas.families import UNKNOWN_NAMES
from rollcall.sandbox.canvas.invalid import (
    make_caliper,
    make_not_an_event,
    make_not_json,
    make_too_large,
    violate_schema,
)
from rollcall.sandbox.canvas.mixes import Mix, shares_of
from rollcall.sandbox.canvas.pools import CREDENTIAL, Pools
from rollcall.sandbox.canvas.templates import Slot, Template, compile_template

__all__ = [
    "CREDENTIAL",
    "Destination",
    "Expectation",
    "TrafficPlan",
    "TrafficRecord",
    "documented_traffic",
    "generate_traffic",
]

START_MS = 1_711_752_180_000
"""2024-03-29T22:43:00Z: fixed, so that a plan without a start gives the same records every day."""


_ALL_SORTS_COUNT = 100
"""A plan with this many records has at least one of each sort."""
_TEMPLATES = 1_600
_INVALID_TEMPLATES = 400
_UNKNOWN_TEMPLATES = 200
_LARGE_TEMPLATES = 24


class Destination(StrEnum):
    """Expected destination of a record."""

    ROUTED = "routed"
    UNKNOWN = "unknown"
    DEAD_LETTER = "dead_letter"


class Expectation(NamedTuple):
    """Expected outcome of a record."""

    destination: Destination
    event_name: str | None
    """The event_name of an event, and of a dead letter if its event_name is known."""
    code: str | None
    """The error code of a dead letter."""


class TrafficRecord(NamedTuple):
    """A record for the raw topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int
    """Time of sending, milliseconds since the epoch."""
    expected: Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPlan:
    """Parameters of the traffic. The same plan gives the same records.

    Shares (0 to 1) are of all records, and exact. With 100 records or more, each sort with a share
    above 0 has at least one record. A record that is too large has 1.1 to 1.5 MB, so their share is
    small: with 1 %, 50,000 records would have 600 MB.
    """

    count: int = 50_000
    """Number of all records, including invalid and repeated ones."""
    seed: int = 1
    mix: Mix = Mix.ALL
    """The types of the events."""
    empty: float = 0.01
    """Values that are null or have no bytes."""
    not_json: float = 0.01
    not_an_event: float = 0.01
    caliper: float = 0.001
    """Envelopes of IMS Caliper, as a subscription with the wrong format sends them."""
    schema_violation: float = 0.01
    too_large: float = 0.0001
    """Values above Kafka's default limit without compression. A raw topic with Kafka's defaults
    accepts them compressed.
    """
    unknown: float = 0.02
    """Events without a schema."""
    duplicates: float = 0.02
    """Repeated records: half with the same bytes, half with other bytes of the same JSON."""
    disorder: int = 200
    """Maximum delay of an event, in records: the event's time is at most this many records before
    the record's time.
    """
    start_ms: int = START_MS
    """Time of the first record, milliseconds since the epoch. Kafka deletes records older than the
    topic's retention, at any offset.
    """
    step_ms: int = 20
    """Time between records."""

    def __post_init__(self) -> None:
        if self.count < 0 or self.disorder < 0 or self.step_ms < 0:
            raise ValueError("count, disorder and step_ms must not be negative")
        shares = [getattr(self, name) for name in _SHARE_NAMES]
        if min(shares) < 0 or sum(shares) > 1 or sum(self.counts().values()) > self.count:
            raise ValueError(
                f"the shares of {', '.join(_SHARE_NAMES)} must not be negative, nor more than 1 "
                "together"
            )

    @classmethod
    def clean(cls, **options: Any) -> TrafficPlan:
        """A plan with valid events only, still out of order."""
        return cls(**(dict.fromkeys(_SHARE_NAMES, 0.0) | options))

    def counts(self) -> dict[str, int]:
        """Number of records for each share."""
        minimum = int(self.count >= _ALL_SORTS_COUNT)
        return {
            name: max(minimum, int(share * self.count + 1e-6))
            if (share := getattr(self, name))
            else 0
            for name in _SHARE_NAMES
        }


_SHARE_NAMES = (
    "empty",
    "not_json",
    "not_an_event",
    "caliper",
    "schema_violation",
    "too_large",
    "unknown",
    "duplicates",
)
assert {field.name for field in fields(TrafficPlan)} >= set(_SHARE_NAMES)


class _Sort(IntEnum):
    """The way in which a record is made."""

    VALID = 0
    EMPTY = 1
    NOT_JSON = 2
    NOT_AN_EVENT = 3
    SCHEMA_VIOLATION = 4
    TOO_LARGE = 5
    UNKNOWN = 6
    DUPLICATES = 7
    CALIPER = 8


class _Source(NamedTuple):
    """A template, with the other parts of its records."""

    template: Template
    expected: Expectation
    keyed: bool
    """True: the record's key is the entity's id, if the template has one. False: no key."""
    headers: tuple[tuple[str, bytes | None], ...]


_EMPTY = Expectation(Destination.DEAD_LETTER, None, "empty")
_NOT_JSON = Expectation(Destination.DEAD_LETTER, None, "not_json")
_NOT_AN_EVENT = Expectation(Destination.DEAD_LETTER, None, "not_an_event")
_CALIPER = Expectation(Destination.DEAD_LETTER, None, "caliper")

_HEADERS: tuple[tuple[tuple[str, bytes | None], ...], ...] = (
    (("sqs.message_id", b"5fea7756-0ea4-451a-a703-a558b933e274"), ("sqs.receive_count", b"1")),
    (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
    (("bridge", None), ("note", "ü".encode())),
    (("ce_id", b"of-another-system"), ("content-type", b"text/plain")),
    (("http.url", b"https://bridge.example.edu/events?access_token=" + CREDENTIAL.encode()),),
)


def documented_traffic(*, timestamp_ms: int = START_MS) -> list[TrafficRecord]:
    """One record for each documented event, without key and headers."""
    return [
        TrafficRecord(
            None,
            json.dumps(event, ensure_ascii=False).encode(),
            (),
            timestamp_ms,
            Expectation(Destination.ROUTED, name, None),
        )
        for name, events in documented_events().items()
        for event in events
    ]


def generate_traffic(plan: TrafficPlan) -> Iterator[TrafficRecord]:
    """Records of a plan, in the order in which a bridge sends them. The first one comes after a few
    tenths of a second.
    """
    random = Random(plan.seed)  # no secrets  # noqa: S311
    maker = _RecordMaker(random, plan)
    chance, randrange = random.random, random.randrange
    valid = maker.valid
    sources = len(valid)
    recent: list[TrafficRecord] = []
    disorder, step, now = plan.disorder + 1, plan.step_ms, plan.start_ms
    max_recent = max(disorder, 100)
    for sort in _shuffled_sorts(plan, random):
        moment = now - int(chance() * disorder) * step
        if not sort:
            record = maker.fill(valid[int(chance() * sources)], moment, now)
        elif sort == _Sort.DUPLICATES and recent:
            record = maker.repeat(recent[randrange(len(recent))], now)
        else:
            record = maker.make(sort, moment, now)
        yield record
        now += step
        if sort != _Sort.TOO_LARGE:
            if len(recent) < max_recent:
                recent.append(record)
            else:
                recent[randrange(max_recent)] = record


def _shuffled_sorts(plan: TrafficPlan, random: Random) -> bytearray:
    sorts = bytearray(plan.count)
    at = 0
    for name, count in plan.counts().items():
        sorts[at : at + count] = bytes([_Sort[name.upper()]]) * count
        at += count
    random.shuffle(sorts)
    return sorts


class _RecordMaker:
    """Makes the records of one run from templates. Each sort has at most as many templates as
    records, but at least one for each event type.
    """

    def __init__(self, random: Random, plan: TrafficPlan) -> None:
        self._random = random
        self._maker = EventMaker(random, Pools(random, plan.start_ms))
        count, share_of = plan.count, shares_of(plan.mix, self._maker.event_names)
        names, shares = list(share_of), list(share_of.values())
        self._names = names
        total, templates = sum(shares), min(_TEMPLATES, count)
        invalid = min(_INVALID_TEMPLATES, max(count, len(names)))
        unknown = min(_UNKNOWN_TEMPLATES, max(count, len(UNKNOWN_NAMES)))
        large = min(_LARGE_TEMPLATES, max(count // 100, 4))
        self.valid: list[_Source] = []
        for name, share in share_of.items():
            # records choose any template, so a type's share of templates is its share of events
            self.valid += (
                self._valid(name) for _ in range(max(1, round(share / total * templates)))
            )
        self._makers: Mapping[int, Callable[[int, int], TrafficRecord]] = {
            _Sort.EMPTY: self._empty,
            _Sort.NOT_JSON: self._not_json,
            _Sort.DUPLICATES: self._any_valid,  # no record yet that could be repeated
        }
        invalid_names = random.choices(names, shares, k=invalid)
        self._sources: Mapping[int, Sequence[_Source]] = {
            _Sort.NOT_AN_EVENT: [
                self._source(make_not_an_event(self._maker.draft(name), random), _NOT_AN_EVENT)
                for name in invalid_names
            ],
            _Sort.CALIPER: [
                self._source(make_caliper(self._maker.draft(name), random), _CALIPER)
                for name in invalid_names[:20]
            ],
            # all types in turn: each has its own schema
            _Sort.SCHEMA_VIOLATION: [
                self._source(
                    violate_schema(self._maker.draft(name), random),
                    Expectation(Destination.DEAD_LETTER, name, "schema_violation"),
                )
                for name in islice(cycle(names), invalid)
            ],
            _Sort.UNKNOWN: [
                self._source(
                    self._maker.unknown_draft(name).event,
                    Expectation(Destination.UNKNOWN, name, None),
                )
                for name in islice(cycle(UNKNOWN_NAMES), unknown)
            ],
            _Sort.TOO_LARGE: [self._large(number) for number in range(large)],
        }

    def make(self, sort: int, moment_ms: int, now_ms: int) -> TrafficRecord:
        """A record of a sort other than :attr:`_Sort.VALID`."""
        maker = self._makers.get(sort)
        return (
            maker(moment_ms, now_ms)
            if maker
            else self.fill(self._random.choice(self._sources[sort]), moment_ms, now_ms)
        )

    def repeat(self, record: TrafficRecord, now_ms: int) -> TrafficRecord:
        """The same record again. An event may have other bytes of the same JSON."""
        random = self._random
        if record.expected.code is None and record.value is not None and random.random() < 0.5:
            return record._replace(value=_rewritten(record.value, random), timestamp_ms=now_ms)
        return record._replace(timestamp_ms=now_ms)

    def fill(self, source: _Source, moment_ms: int, now_ms: int) -> TrafficRecord:
        """A record of a source.

        Args:
            source: its template, key, headers and expectation.
            moment_ms: the event's time, milliseconds since the epoch.
            now_ms: the record's time, milliseconds since the epoch.
        """
        template, expected, keyed, headers = source
        value, entity = template.fill(self._random.random, moment_ms)
        return TrafficRecord(entity if keyed else None, value, headers, now_ms, expected)

    def _any_valid(self, moment_ms: int, now_ms: int) -> TrafficRecord:
        return self.fill(self._random.choice(self.valid), moment_ms, now_ms)

    def _empty(self, moment_ms: int, now_ms: int) -> TrafficRecord:
        record = self._any_valid(moment_ms, now_ms)
        return record._replace(
            key=self._random.choice((record.key, b"", b"\xff\xfe")),
            value=self._random.choice((None, b"")),
            expected=_EMPTY,
        )

    def _not_json(self, moment_ms: int, now_ms: int) -> TrafficRecord:
        record = self._any_valid(moment_ms, now_ms)
        assert record.value is not None
        return record._replace(value=make_not_json(record.value, self._random), expected=_NOT_JSON)

    def _valid(self, name: str) -> _Source:
        draft = self._maker.draft(name)
        return self._source(draft.event, Expectation(Destination.ROUTED, name, None), draft.entity)

    def _large(self, number: int) -> _Source:
        """A source of records that are too large: by number, of valid events, of events that break
        their schema, or of unknown events. The router checks the size first.
        """
        if number % 4 == 3:
            return self._source(
                make_too_large(
                    self._maker.unknown_draft(UNKNOWN_NAMES[number % len(UNKNOWN_NAMES)])
                ),
                Expectation(Destination.DEAD_LETTER, None, "too_large"),
            )
        draft = self._maker.draft(self._random.choice(self._names))
        if number % 4 == 2:
            violate_schema(draft, self._random)
        return self._source(
            make_too_large(draft),
            Expectation(Destination.DEAD_LETTER, draft.event_name, "too_large"),
        )

    def _source(self, event: object, expected: Expectation, entity: Slot | None = None) -> _Source:
        random = self._random
        template = compile_template(event, random, entity)
        headers = random.choice(_HEADERS) if random.random() < 0.1 else ()
        return _Source(template, expected, random.random() < 0.4, headers)


def _rewritten(value: bytes, random: Random) -> bytes:
    """Other bytes of the same JSON: other order of keys, spaces and escapes."""
    event = json.loads(value)
    for part in ("metadata", "attributes", "body"):
        if part in event:
            items = list(event[part].items())
            random.shuffle(items)
            event[part] = dict(items)
    items = list(event.items())
    random.shuffle(items)
    return json.dumps(
        dict(items),
        ensure_ascii=random.random() < 0.5,
        separators=random.choice(((",", ":"), (", ", ": "), (" , ", " : "))),
    ).encode()
