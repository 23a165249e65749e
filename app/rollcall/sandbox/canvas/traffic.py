"""Generates valid and invalid raw records of a bridge, each with its expected outcome, for demo,
benchmarks and tests.

The events are independent of each other, with a realistic mix of types and of Canvas's formats,
late, repeated and broken. The expected outcome follows from the way a record is made, without the
router's own code.

    for record in generate_traffic(TrafficPlan(count=50_000, seed=7)): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from random import Random
from typing import Any, NamedTuple

from rollcall.sandbox.canvas.events import EventMaker, documented_events
from rollcall.sandbox.canvas.families import UNKNOWN_NAMES
from rollcall.sandbox.canvas.invalid import disguise, garble, inflate, violate
from rollcall.sandbox.canvas.pools import CREDENTIAL, Pools
from rollcall.sandbox.canvas.templates import Template, compile_template

__all__ = [
    "CREDENTIAL",
    "Expectation",
    "Kind",
    "TrafficPlan",
    "TrafficRecord",
    "documented_traffic",
    "generate_traffic",
]

START_MS = 1_711_752_180_000
"""2024-03-29T22:43:00Z, so that a plan without a start gives the same records on any day."""

SHARES: Mapping[str, float] = {
    "enrollment_created": 18,
    "enrollment_updated": 22,
    "enrollment_state_created": 9,
    "enrollment_state_updated": 16,
    "group_membership_created": 9,
    "group_membership_updated": 6,
    "group_created": 2,
    "group_updated": 2,
    "group_category_created": 1,
    "group_category_updated": 1,
    "account_created": 0.5,
    "account_updated": 0.5,
    "account_notification_created": 0.5,
    "user_created": 3,
    "user_updated": 3.5,
    "user_account_association_created": 2,
    "course_created": 1,
    "course_updated": 1.5,
    "course_section_created": 0.75,
    "course_section_updated": 0.75,
}
"""Valid events of 100, by type. A type that is not here counts as one of the rare ones."""

_RARE = 0.5
_ENOUGH = 100
"""So many records have room for one of each sort."""
_TEMPLATES = 1_600
_BROKEN_TEMPLATES = 400
_GARBLED_TEMPLATES = 100
_UNKNOWN_TEMPLATES = 200
_LARGE_TEMPLATES = 24


class Kind(StrEnum):
    """Where a record must end."""

    ROUTED = "routed"
    UNKNOWN = "unknown"
    DEAD_LETTER = "dead_letter"


class Expectation(NamedTuple):
    """Expected outcome of a record."""

    kind: Kind
    event_name: str | None
    """The event_name of a routed or unknown event, and of a dead letter if it is known."""
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

    Shares are of all records (0 to 1) and exact. With 100 records or more, each kind with a share
    above 0 has at least one. Records that are too large have 1.1 to 1.5 MB each, so their share is
    small: at 1 %, 50,000 records would be 600 MB.
    """

    count: int = 50_000
    """Number of records, with invalid and repeated ones."""
    seed: int = 1
    empty: float = 0.01
    """Null, or zero bytes."""
    not_json: float = 0.01
    not_an_event: float = 0.01
    schema_violation: float = 0.01
    too_large: float = 0.0002
    """Larger than Kafka's default limit, uncompressed. Compressed, a raw topic with Kafka's
    defaults accepts them.
    """
    unknown: float = 0.02
    """Events without a schema."""
    duplicates: float = 0.02
    """Repeated records: half of them with the same bytes, half with other bytes of the same
    JSON.
    """
    disorder: int = 200
    """Maximum delay of an event, in records: the event's time is up to this many records before the
    record's.
    """
    start_ms: int = START_MS
    """Time of the first record, milliseconds since the epoch. Kafka deletes records that are older
    than the topic's retention, at any offset.
    """
    step_ms: int = 20
    """Time between records."""

    def __post_init__(self) -> None:
        if self.count < 0 or self.disorder < 0 or self.step_ms < 0:
            raise ValueError("count, disorder and step_ms must not be negative")
        shares = [getattr(self, name) for name in _SHARE_NAMES]
        if min(shares) < 0 or sum(shares) > 1 or sum(self.allotment().values()) > self.count:
            raise ValueError(
                f"the shares of {', '.join(_SHARE_NAMES)} must not be negative, nor more than 1 "
                "together"
            )

    @classmethod
    def clean(cls, **options: Any) -> TrafficPlan:
        """A plan for valid events only, in any order."""
        return cls(**(dict.fromkeys(_SHARE_NAMES, 0.0) | options))

    def allotment(self) -> dict[str, int]:
        """How many records there are of each share."""
        least = int(self.count >= _ENOUGH)
        return {
            name: max(least, int(share * self.count + 1e-6))
            if (share := getattr(self, name))
            else 0
            for name in _SHARE_NAMES
        }


_SHARE_NAMES = (
    "empty",
    "not_json",
    "not_an_event",
    "schema_violation",
    "too_large",
    "unknown",
    "duplicates",
)
assert {field.name for field in fields(TrafficPlan)} >= set(_SHARE_NAMES)


class _Sort(IntEnum):
    """What a record is made as."""

    VALID = 0
    EMPTY = 1
    NOT_JSON = 2
    NOT_AN_EVENT = 3
    SCHEMA_VIOLATION = 4
    TOO_LARGE = 5
    UNKNOWN = 6
    DUPLICATES = 7


class _Source(NamedTuple):
    """Where records of one sort come from."""

    template: Template
    expected: Expectation
    keyed: bool
    """Whether the record's key is the id of the entity, if it has one, or none."""
    headers: tuple[tuple[str, bytes | None], ...]


_EMPTY = Expectation(Kind.DEAD_LETTER, None, "empty")
_NOT_JSON = Expectation(Kind.DEAD_LETTER, None, "not_json")
_NOT_AN_EVENT = Expectation(Kind.DEAD_LETTER, None, "not_an_event")

_HEADERS: tuple[tuple[tuple[str, bytes | None], ...], ...] = (
    (("sqs.message_id", b"5fea7756-0ea4-451a-a703-a558b933e274"), ("sqs.receive_count", b"1")),
    (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),),
    (("bridge", None), ("note", "ü".encode())),
    (("ce_id", b"of-another-system"), ("content-type", b"text/plain")),
    (("http.url", b"https://bridge.example.edu/events?access_token=" + CREDENTIAL.encode()),),
)


def documented_traffic(*, timestamp_ms: int = START_MS) -> list[TrafficRecord]:
    """The documented events, one record each, without keys or headers."""
    return [
        TrafficRecord(
            None,
            json.dumps(event, ensure_ascii=False).encode(),
            (),
            timestamp_ms,
            Expectation(Kind.ROUTED, name, None),
        )
        for name, events in documented_events().items()
        for event in events
    ]


def generate_traffic(plan: TrafficPlan) -> Iterator[TrafficRecord]:
    """The records of a plan, in the order in which a bridge sends them. Takes a few tenths of a
    second before the first one.
    """
    random = Random(plan.seed)  # no secrets  # noqa: S311
    works = _Works(random, plan.start_ms, plan.count)
    chance, randrange = random.random, random.randrange
    valid = works.valid
    most = len(valid)
    recent: list[TrafficRecord] = []
    disorder, step, now = plan.disorder + 1, plan.step_ms, plan.start_ms
    memory = max(disorder, 100)
    for sort in _shuffled_sorts(plan, random):
        moment = now - int(chance() * disorder) * step
        if not sort:
            (template, expected, keyed, headers) = valid[int(chance() * most)]
            value, values = template.fill(chance, moment)
            key = (
                values[template.entity_at].strip(b'"')
                if keyed and template.entity_at >= 0
                else None
            )
            record = TrafficRecord(key, value, headers, now, expected)
        elif sort == _Sort.DUPLICATES and recent:
            record = works.again(recent[randrange(len(recent))], now)
        else:
            record = works.make(sort, moment, now)
        yield record
        now += step
        if sort != _Sort.TOO_LARGE:
            if len(recent) < memory:
                recent.append(record)
            else:
                recent[randrange(memory)] = record


def _shuffled_sorts(plan: TrafficPlan, random: Random) -> bytearray:
    sorts = bytearray(plan.count)
    at = 0
    for name, number in plan.allotment().items():
        sorts[at : at + number] = bytes([_Sort[name.upper()]]) * number
        at += number
    random.shuffle(sorts)
    return sorts


class _Works:
    """The templates of one run: of each sort no more than it has records, but one of each type that
    it is about.
    """

    def __init__(self, random: Random, start_ms: int, count: int) -> None:
        self._random = random
        self._maker = EventMaker(random, Pools(random, start_ms))
        names = self._maker.event_names
        shares = [SHARES.get(name, _RARE) for name in names]
        total, templates, broken = (
            sum(shares),
            min(_TEMPLATES, count),
            min(_BROKEN_TEMPLATES, max(count, len(names))),
        )
        unknown, large = (
            min(_UNKNOWN_TEMPLATES, max(count, len(UNKNOWN_NAMES))),
            min(_LARGE_TEMPLATES, max(count // 100, 4)),
        )
        self.valid: list[_Source] = []
        for name, share in zip(names, shares, strict=True):
            # A type's share of the templates is its share of the events, because a record's
            # template is any of them.
            self.valid += (
                self._valid(name) for _ in range(max(1, round(share / total * templates)))
            )
        self._makers: Mapping[int, Callable[[int, int], TrafficRecord]] = {
            _Sort.EMPTY: self._empty,
            _Sort.NOT_JSON: self._not_json,
            _Sort.DUPLICATES: self._first,
        }
        every = random.choices(names, shares, k=broken)
        self._sources: Mapping[int, Sequence[_Source]] = {
            _Sort.NOT_AN_EVENT: [
                self._source(disguise(self._maker.draft(name), random), _NOT_AN_EVENT)
                for name in every
            ],
            # Every type in turn, because each has its own schema to break.
            _Sort.SCHEMA_VIOLATION: [
                self._source(
                    violate(self._maker.draft(name), random),
                    Expectation(Kind.DEAD_LETTER, name, "schema_violation"),
                )
                for number in range(broken)
                for name in (names[number % len(names)],)
            ],
            _Sort.UNKNOWN: [
                self._unknown(UNKNOWN_NAMES[number % len(UNKNOWN_NAMES)])
                for number in range(unknown)
            ],
            _Sort.TOO_LARGE: [self._large(number) for number in range(large)],
        }

    def make(self, sort: int, moment_ms: int, now_ms: int) -> TrafficRecord:
        """A record that is not valid."""
        maker = self._makers.get(sort)
        return (
            maker(moment_ms, now_ms)
            if maker
            else self._fill(self._random.choice(self._sources[sort]), moment_ms, now_ms)
        )

    def again(self, record: TrafficRecord, now_ms: int) -> TrafficRecord:
        """A record that comes again, as it was or, if it is an event, as other bytes of the same
        JSON.
        """
        random = self._random
        if record.expected.code is None and record.value is not None and random.random() < 0.5:
            return record._replace(value=_rewritten(record.value, random), timestamp_ms=now_ms)
        return record._replace(timestamp_ms=now_ms)

    def _fill(self, source: _Source, moment_ms: int, now_ms: int) -> TrafficRecord:
        template = source.template
        value, values = template.fill(self._random.random, moment_ms)
        key = (
            values[template.entity_at].strip(b'"')
            if source.keyed and template.entity_at >= 0
            else None
        )
        return TrafficRecord(key, value, source.headers, now_ms, source.expected)

    def _first(self, moment_ms: int, now_ms: int) -> TrafficRecord:
        """There is nothing yet that could come again."""
        return self._fill(self._random.choice(self.valid), moment_ms, now_ms)

    def _empty(self, moment_ms: int, now_ms: int) -> TrafficRecord:
        source = self._random.choice(self.valid)
        record = self._fill(source, moment_ms, now_ms)
        return record._replace(
            key=self._random.choice((record.key, b"", b"\xff\xfe")),
            value=self._random.choice((None, b"")),
            expected=_EMPTY,
        )

    def _not_json(self, moment_ms: int, now_ms: int) -> TrafficRecord:
        record = self._first(moment_ms, now_ms)
        assert record.value is not None
        return record._replace(value=garble(record.value, self._random), expected=_NOT_JSON)

    def _valid(self, name: str) -> _Source:
        draft = self._maker.draft(name)
        template = compile_template(draft.event, self._random, draft.entity)
        return self._source_of(template, Expectation(Kind.ROUTED, name, None))

    def _unknown(self, name: str) -> _Source:
        return self._source(
            self._maker.foreign_draft(name).event, Expectation(Kind.UNKNOWN, name, None)
        )

    def _large(self, number: int) -> _Source:
        """In turn: a valid event, one with a fault, one of an unknown name. Its size comes
        first.
        """
        if number % 4 == 3:
            return self._source(
                inflate(self._maker.foreign_draft(UNKNOWN_NAMES[number % len(UNKNOWN_NAMES)])),
                Expectation(Kind.DEAD_LETTER, None, "too_large"),
            )
        draft = self._maker.draft(self._random.choice(self._maker.event_names))
        if number % 4 == 2:
            violate(draft, self._random)
        return self._source(
            inflate(draft), Expectation(Kind.DEAD_LETTER, draft.event_name, "too_large")
        )

    def _source(self, event: object, expected: Expectation) -> _Source:
        return self._source_of(compile_template(event, self._random), expected)

    def _source_of(self, template: Template, expected: Expectation) -> _Source:
        random = self._random
        headers = random.choice(_HEADERS) if random.random() < 0.1 else ()
        return _Source(template, expected, random.random() < 0.4, headers)


def _rewritten(value: bytes, random: Random) -> bytes:
    """Other bytes of the same JSON: keys in another order, other spaces, other escapes."""
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
