"""What is meant by a filter, what is counted, what is sent again and written out: for any
record.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from rollcall.dead_letters import tally as tally_module
from rollcall.dead_letters.export import export_object
from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.replay import Judge, ReplayOutcome, ReplayPolicy, raw_record
from rollcall.dead_letters.report import record_report, replay_report, tally_report
from rollcall.dead_letters.selection import Selection, parse_moment
from rollcall.dead_letters.sending import Replay
from rollcall.dead_letters.tally import NOT_SHOWN, Tally
from rollcall.dead_letters.view import event_name_of
from rollcall.errors import ConfigurationError
from rollcall.events.outcomes import DeadLetter, ErrorCode, Routed, Unknown
from rollcall.events.pipeline import REDACTED_HEADER, Pipeline
from rollcall.events.publishing import ERROR_PREFIX, OWN_HEADERS
from rollcall.events.redaction import Redactor
from rollcall.process.dead_letter_records import ATTEMPT_HEADER, attempts_of, dead_letter_headers
from rollcall.record import Header
from tests.dead_letters.records import Stored, error_headers, event
from tests.events.schemas.events import VALIDATORS
from tests.examples import examples

WORDS = known_words()
PIPELINE = Pipeline(VALIDATORS, shard=2107, redactor=Redactor(["access_token"]))
NOW = 1_711_752_180_000
HOUR = 3_600_000

STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e\x7f"
"""What a terminal would obey, and what turns a line around."""

texts = st.text() | st.sampled_from([STEERING, "[bold]", "user_created", "Isaac Newton"])
ERROR_HEADER_NAMES = [
    f"{ERROR_PREFIX}{name}"
    for name in ("code", "message", "path", "schema", "topic", "attempt", "size")
]
header_names = texts | st.sampled_from(ERROR_HEADER_NAMES + sorted(OWN_HEADERS))
codes = st.sampled_from(ErrorCode)
header_values = (
    st.none()
    | st.binary(max_size=30)
    | texts.map(lambda text: text.encode(errors="replace"))
    | codes.map(str.encode)
)
values = (
    st.none()
    | st.binary(max_size=30)
    | texts.map(lambda text: text.encode(errors="replace"))
    | st.sampled_from([code.encode() for code in ErrorCode])
)
values = (
    st.none()
    | st.binary(max_size=60)
    | st.sampled_from(
        [
            event("user_created"),
            event("group_created", context_type="Nothing"),
            event("user_created", name=5),
            event("course_updated")[:-20],
        ]
    )
    | st.builds(
        lambda name, text: orjson.dumps(
            {
                "metadata": {"event_name": name, "event_time": "2024-01-01T00:00:00Z"},
                "body": {text: text},
            }
        ),
        texts,
        texts,
    )
)
records = st.builds(
    Stored,
    value=values,
    headers=st.lists(st.tuples(header_names, header_values), max_size=5)
    | st.builds(error_headers, codes, attempt=st.integers(1, 9)),
    key=st.none() | st.binary(max_size=20),
    partition=st.integers(0, 5),
    offset=st.integers(0, 2**62),
    timestamp=st.none() | st.integers(-1, 2**62),
    topic=st.just("canvas.dead-letter"),
)


def judge(most_attempts: int = 3, *, also_invalid: bool = False) -> Judge:
    """With the schemas as they are."""
    return Judge(PIPELINE, ReplayPolicy(most_attempts, also_invalid), shard=2107)


# --- the filter


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - 90_000),
        ("15m", NOW - 900_000),
        ("2h", NOW - 2 * HOUR),
        ("3d", NOW - 72 * HOUR),
        ("99999999d", 0),
        ("1970-01-02", 86_400_000),
        ("1960-01-01", 0),
        ("2024-03-29T22:43:00.250Z", NOW + 250),
        ("2024-03-29T22:43", NOW),
        ("2024-03-29 15:43:00-07:00", NOW),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert parse_moment(text, NOW) == moment


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_any_time_of_iso_8601_is_a_moment(moment: datetime) -> None:
    read = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        milliseconds=parse_moment(moment.isoformat(), NOW)
    )
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)


@given(st.text())
def test_what_is_no_moment_is_refused(text: str) -> None:
    try:
        output = str(parse_moment(text, NOW))
    except ConfigurationError as error:
        output = str(error)
    assert output.isascii()  # nothing of it steers a terminal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"from_offset": 3}, "add --partition"),
        ({"to_offset": 3}, "add --partition"),
        ({"partition": 0, "from_offset": 3, "to_offset": 3}, "first offset after the range"),
        ({"since_ms": 5, "until_ms": 5}, "--since must be before --until"),
    ],
)
def test_a_selection_of_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Selection(**options)


@given(records)
def test_without_a_filter_every_record_is_meant(record: Stored) -> None:
    assert Selection().matches(record)


def test_what_is_meant() -> None:
    record = Stored(event("user_created"), error_headers(), timestamp=NOW)
    for selection in (
        Selection(codes=frozenset({ErrorCode.SCHEMA_VIOLATION, ErrorCode.EMPTY})),
        Selection(event_names=frozenset({"user_created"})),
        Selection(since_ms=NOW, until_ms=NOW + 1),
    ):
        assert selection.matches(record)
    for selection in (
        Selection(codes=frozenset({ErrorCode.EMPTY})),
        Selection(event_names=frozenset({"user_updated"})),
        Selection(since_ms=NOW + 1),
        Selection(until_ms=NOW),
        Selection(
            codes=frozenset({ErrorCode.SCHEMA_VIOLATION}), event_names=frozenset({"user_updated"})
        ),
    ):
        assert not selection.matches(record)
    assert not Selection(since_ms=0).matches(record._replace(timestamp=None))
    assert Selection(event_names=frozenset({"group_created"})).matches(
        Stored(b"cut off", [("ce_type", b"group_created")])
    )
    assert Selection(event_names=frozenset({"Isaac"})).matches(
        Stored(orjson.dumps({"attributes": {"event_name": "Isaac"}}))
    )


@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.none() | st.integers(0, 20),
    st.none() | st.integers(0, 20),
)
def test_only_offsets_that_are_meant_and_there_are_read(
    beginning: int, length: int, first: int | None, last: int | None
) -> None:
    end = beginning + length
    try:
        start, stop = Selection(partition=0, from_offset=first, to_offset=last).bounds(
            beginning, end
        )
    except ConfigurationError:
        return
    meant = {
        offset
        for offset in range(beginning, end)
        if (first is None or offset >= first) and (last is None or offset < last)
    }
    assert set(range(start, stop)) == meant


# --- counting


def test_reasons_and_hours_are_counted() -> None:
    tally = Tally(WORDS)
    for minute in (0, 59, 60):
        tally.add(
            Stored(
                event("user_created"), error_headers(), timestamp=NOW - NOW % HOUR + minute * 60_000
            )
        )
    tally.add(Stored(None, error_headers(ErrorCode.EMPTY), timestamp=None))
    tally.add(Stored(orjson.dumps({"metadata": {"event_name": "Isaac Newton"}})))
    violation = (
        "schema_violation",
        "user_created",
        "urn:rollcall:canvas:user_created:1.0.0",
        "/body/name",
    )
    assert dict(tally.counts) == {
        (*violation, "2024-03-29T22:00:00Z"): 2,
        (*violation, "2024-03-29T23:00:00Z"): 1,
        ("empty", "", "", "/body/name", None): 1,
        ("", NOT_SHOWN, "", "", "1970-01-01T00:00:00Z"): 1,
    }
    assert tally.by_reason()[tally_module.Reason(*violation)] == 3
    assert tally.by_hour()["2024-03-29T22:00:00Z"] == 2


def test_no_more_groups_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "MAX_GROUPS", 3)
    tally = Tally(WORDS)
    for path in range(10):
        tally.add(Stored(b"", [(f"{ERROR_PREFIX}path", b"/%d" % path)]))
    assert sum(tally.counts.values()) == 10
    assert len(tally.counts) == 4
    assert tally.by_reason()[tally_module.Reason(tally_module.OTHERS, "", "", "")] == 7


# --- what is sent again


def test_what_is_sent_is_the_raw_record_and_how_often_it_failed() -> None:
    raw: list[Header] = [("origin", b"sqs"), (REDACTED_HEADER, b"access_token"), ("nothing", None)]
    record = Stored(b"value", error_headers(attempt=2, headers=raw), key=b"key")
    assert raw_record(record) == (b"key", b"value", [*raw, (ATTEMPT_HEADER, b"2")])
    assert raw_record(Stored(None, [("ce_id", b"mine")])) == (None, None, [("ce_id", b"mine")])


def test_of_a_typed_record_what_the_router_wrote_is_taken_off() -> None:
    routed = PIPELINE(event("group_created", context_type="Nothing"), [("origin", b"sqs")])
    assert isinstance(routed, Routed)
    record = Stored(
        routed.value,
        error_headers(ErrorCode.NOT_APPLICABLE, headers=routed.headers),
        key=routed.key,
    )
    assert raw_record(record).headers == [("origin", b"sqs"), (ATTEMPT_HEADER, b"1")]


@given(values, st.lists(st.tuples(texts, header_values), max_size=3), st.integers(1, 3))
def test_however_often_it_is_sent_a_record_stays_the_same(
    value: bytes | None, headers: list[Header], times: int
) -> None:
    """Through router and replay: bytes and headers as after the first time, and one attempt more
    each time. Redaction finds nothing new.
    """
    first = PIPELINE(value, headers)
    if not isinstance(first, DeadLetter):
        return
    dead_letter = first
    for number in range(1, times + 1):
        stored = Stored(dead_letter.value, dead_letter_headers(dead_letter, "canvas.raw", 0, 0))
        assert attempts_of(stored.headers) == number
        again = raw_record(stored)
        outcome = PIPELINE(again.value, again.headers)
        assert isinstance(outcome, DeadLetter)
        dead_letter = outcome
        assert (dead_letter.code, dead_letter.value) == (first.code, first.value)
        own = [header for header in first.headers if not header[0].startswith(ERROR_PREFIX)]
        assert sorted(
            map(
                str,
                (
                    header
                    for header in dead_letter.headers
                    if not header[0].startswith(ERROR_PREFIX)
                ),
            )
        ) == sorted(map(str, own))


@pytest.mark.parametrize(
    ("record", "prospect", "send", "forced"),
    [
        (Stored(event("user_created"), error_headers()), ReplayOutcome.VALID, True, True),
        (
            Stored(event("user_created", name=5), error_headers()),
            ReplayOutcome.STILL_DEAD,
            False,
            True,
        ),
        (Stored(None, error_headers(ErrorCode.EMPTY)), ReplayOutcome.STILL_DEAD, False, True),
        (
            Stored(event("user_created"), error_headers(attempt=3)),
            ReplayOutcome.EXHAUSTED,
            False,
            False,
        ),
        (
            Stored(event("user_created")[:10], error_headers(ErrorCode.TOO_LARGE)),
            ReplayOutcome.NOT_WHOLE,
            False,
            False,
        ),
        (
            Stored(b"", [*error_headers(ErrorCode.NOT_JSON), ("rollcall.dropped", b"*")]),
            ReplayOutcome.NOT_WHOLE,
            False,
            False,
        ),
        (
            Stored(
                event("user_created").replace(b"user_created", b"user_praised"), error_headers()
            ),
            ReplayOutcome.STILL_UNKNOWN,
            False,
            True,
        ),
        (
            Stored(
                event("group_created", context_type="Nothing"),
                error_headers(ErrorCode.NOT_APPLICABLE),
            ),
            ReplayOutcome.STILL_NOT_APPLICABLE,
            False,
            True,
        ),
        (
            Stored(event("group_created"), error_headers(ErrorCode.NOT_APPLICABLE)),
            ReplayOutcome.VALID,
            True,
            True,
        ),
        (
            Stored(event("account_created"), error_headers(ErrorCode.NOT_APPLICABLE)),
            ReplayOutcome.STILL_NOT_APPLICABLE,
            False,
            True,
        ),
        # from the topic of unknown events
        (
            Stored(event("user_created").replace(b"user_created", b"user_praised")),
            ReplayOutcome.STILL_UNKNOWN,
            False,
            False,
        ),
        (Stored(event("user_created")), ReplayOutcome.VALID, True, True),
        (Stored(event("user_created", name=5)), ReplayOutcome.STILL_DEAD, False, True),
    ],
)
def test_what_is_sent(record: Stored, prospect: ReplayOutcome, send: bool, forced: bool) -> None:
    assert judge()(record)[:2] == (send, prospect)
    assert judge(also_invalid=True)(record)[:2] == (forced, prospect)


@given(records, st.integers(1, 5))
def test_what_is_taken_for_valid_the_router_routes(record: Stored, most_attempts: int) -> None:
    decision = judge(most_attempts)(record)
    again = raw_record(record)
    outcome = PIPELINE(again.value, again.headers)
    assert decision.send == (decision.outcome is ReplayOutcome.VALID)
    if decision.send:
        assert isinstance(outcome, Routed)
        assert attempts_of(record.headers) < most_attempts
    forced = judge(most_attempts, also_invalid=True)(record)
    assert forced[1:] == decision[1:]
    assert forced.send or not decision.send
    assert not (forced.send and attempts_of(record.headers) >= most_attempts)
    if isinstance(outcome, Unknown) and not any(
        name.startswith(ERROR_PREFIX) for name, _ in record.headers
    ):
        assert not forced.send, "it would only come back"


# --- what is shown and written out


def shown(*parts: Any, width: int = 250) -> str:
    """As a terminal gets it."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=True,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )
    for part in parts:
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def steers(text: str) -> bool:
    """Whether something in a text steers a terminal."""
    return any(character in text for character in "\x1b\x07\x9b\r\u202e\x7f")


@settings(max_examples=examples(150), deadline=None)  # rich measures what it has not seen
@given(records)
def test_nothing_of_a_record_steers_a_terminal(record: Stored) -> None:
    tally = Tally(WORDS)
    tally.add(record)
    replay = Replay(judge(), WORDS)
    replay.select([record])
    assert not steers(
        shown(
            *tally_report(tally, with_errors=True),
            *record_report(record, WORDS),
            *replay_report(replay),
        )
    )
    assert not steers(
        json.dumps(export_object(record, WORDS, raw=True))
        + json.dumps(export_object(record, WORDS, raw=False))
    )
    assert "\n" not in json.dumps(export_object(record, WORDS, raw=True))


def test_a_letter_is_shown_without_what_it_says() -> None:
    headers = error_headers(attempt=2, headers=[("origin", b"Isaac"), ("newton@example.edu", b"x")])
    record = Stored(
        event("user_created", name="Isaac Newton"),
        headers,
        key=b"Isaac",
        partition=3,
        offset=99,
        timestamp=NOW,
    )
    text = shown(*record_report(record, WORDS))
    for line in (
        "canvas.dead-letter, partition 3, offset 99",
        "  time     2024-03-29T22:43:00.000Z",
        "  code     schema_violation",
        "  rule     type: must be text",
        "  path     /body/name",
        "  schema   urn:rollcall:canvas:user_created:1.0.0",
        "  attempt  2",
        "  from     canvas.raw, partition 2, offset 7",
        "  event    user_created",
        "  key      5 bytes",
        "      name: text, 12 characters",
    ):
        assert line in text.splitlines() or f"{line} " in text, line
    assert "origin (5 bytes)" in text
    for private in ("Isaac", "Newton", "newton"):
        assert private not in text
        assert private not in json.dumps(export_object(record, WORDS, raw=False))


def bytes_of(written: str | dict[str, str] | None) -> bytes | None:
    """The way back, as docs/dead-letters.md has it."""
    if isinstance(written, dict):
        return base64.b64decode(written["base64"])
    return None if written is None else written.encode()


@given(records)
def test_a_raw_export_holds_every_byte(record: Stored) -> None:
    line = json.loads(json.dumps(export_object(record, WORDS, raw=True)))
    assert (bytes_of(line["key"]), bytes_of(line["value"])) == (record.key, record.value)
    names = [name for name, _ in record.headers]
    assert [(name, bytes_of(content)) for name, content in line["headers"]] == list(
        record.headers
    ) or any("\ud800" <= c <= "\udfff" for n in names for c in n)
    assert (line["partition"], line["offset"]) == (record.partition, record.offset)


@given(records)
def test_the_event_name_is_what_the_pipeline_would_look_at(record: Stored) -> None:
    outcome = PIPELINE(record.value)
    if isinstance(outcome, Routed):
        assert event_name_of(record) == outcome.event_type.name
