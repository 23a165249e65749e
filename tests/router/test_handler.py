"""One record in, one record out, for whatever records; without Kafka."""

from __future__ import annotations

import sys
import time

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from rollcall.events.times import parse_time
from rollcall.kafka.topics import TimestampWindow
from rollcall.process.breaker import BreakerPolicy
from rollcall.process.dead_letter_records import record_bytes
from rollcall.process.metrics import RouterMetrics
from rollcall.record import Header, Record
from rollcall.router import typed_outputs
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from rollcall.streaming.chunks import Chunk
from tests.events.recognisers import Recognisers
from tests.events.schemas.events import VALIDATORS, changed
from tests.events.schemas.events import example as schema_example
from tests.events.test_pipeline import EVENT, event
from tests.examples import examples
from tests.outputs import MemoryOutputs
from tests.router import digests
from tests.router.handling import (
    ANY_TIME,
    LIMIT,
    FakeRecord,
    context_of,
    handle,
)
from tests.waiting import run_bytes

PIPELINE = Pipeline(VALIDATORS, redactor=Redactor(("access_token",)))
IS_COMPILED = not str(typed_outputs.__file__).endswith(".py")


def run(
    *chunks: Chunk, ratio: float = 0.0, events: int = 10, window: TimestampWindow = ANY_TIME
) -> tuple[MemoryOutputs, RouterMetrics, bool]:
    """Outputs, metrics after the commit, and whether the handler halted."""
    context = context_of(PIPELINE, window=window, breaker=BreakerPolicy(ratio, events))
    outputs, result = handle(context, chunks)
    result.on_committed(1_700_000_001.0)
    return outputs, result.metrics, result.halt is not None


def chunk(*records: FakeRecord, partition: int = 6) -> Chunk:
    """Records of one partition."""
    return Chunk("canvas.raw", partition, 0, len(records), list(records), 0)


def value_of(metrics: RouterMetrics, name: str) -> float:
    """The sum of a metric."""
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    )


HEADER_NAMES = st.sampled_from(
    [
        "h",
        "ce_id",
        "content-type",
        "rollcall.error.attempt",
        "rollcall.error.code",
        "rollcall.redacted",
        "",
    ]
) | st.text(max_size=5)
RECORDS = st.builds(
    FakeRecord,
    offset=st.integers(0, 10**12),
    key=st.none() | st.binary(max_size=20) | st.just(b"k" * 17_000),
    value=st.none()
    | st.binary(max_size=30)
    | st.sampled_from(
        [
            orjson.dumps(event()),
            orjson.dumps(event(event_name="x.y")),
            b"N" * 20_000,
            orjson.dumps(event({"user_name": "N" * 20_000})),
        ]
    )
    | st.just(orjson.dumps(event(url="https://x/?access_token=secret"))),
    headers=st.lists(
        st.tuples(
            HEADER_NAMES,
            st.none()
            | st.binary(max_size=20)
            | st.sampled_from([b"v" * 17_000, b"/?access_token=secret"]),
        ),
        max_size=3,
    ).map(tuple),
    timestamp=st.sampled_from([-1, 0, 1_700_000_000_000]),
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(RECORDS, max_size=12))
@example(
    [
        FakeRecord(
            0,
            value=orjson.dumps(event({"user_name": "N" * 20_000})),
            headers=(("from", b"/?access_token=secret"),),
        )
    ]
)
def test_one_in_one_out_and_all_fit(records: list[FakeRecord]) -> None:
    outputs, metrics, _ = run(chunk(*records))
    assert len(outputs) == len(records)
    for output, record in zip(outputs, records, strict=True):
        assert record_bytes(output.key, output.value, list(output.headers)) <= LIMIT
        assert 0 <= output.partition < 4
        assert output.timestamp == (None if record.timestamp < 0 else record.timestamp)
        names = [name for name, _ in output.headers if name.startswith("rollcall.error.")]
        assert len(names) == len(set(names))
        assert bool(names) == (output.topic == "canvas.dead-letter")
        assert b"secret" not in b"".join(
            [output.value or b"", *(content or b"" for _, content in output.headers)]
        )
    received = value_of(metrics, "rollcall_events_received_total")
    parts = (
        "rollcall_events_routed_total",
        "rollcall_events_unknown_total",
        "rollcall_events_not_selected_total",
        "rollcall_dead_letters_total",
    )
    assert received == len(records) == sum(value_of(metrics, part) for part in parts)


def test_events_that_are_not_selected_are_counted_apart() -> None:
    """Otherwise the alert on new events would never end."""
    name = "course_updated"
    validators = {each: it for each, it in VALIDATORS.items() if each != name}
    records = [
        FakeRecord(at, value=orjson.dumps(value))
        for at, value in enumerate([schema_example(name), *[event(event_name="x.y")] * 2])
    ]
    _, result = handle(context_of(Pipeline(validators, not_selected=[name])), [chunk(*records)])
    result.on_committed(1_700_000_001.0)
    assert value_of(result.metrics, "rollcall_events_not_selected_total") == 1
    assert value_of(result.metrics, "rollcall_events_unknown_total") == 2


def test_a_record_without_key_stays_on_its_partition_and_one_with_key_goes_where_java_puts_it() -> (
    None
):
    outputs, _, _ = run(
        chunk(FakeRecord(0, value=b"x"), FakeRecord(1, key=b"21", value=b"x"), partition=6)
    )
    assert [output.partition for output in outputs] == [6 % 4, (-973932308 & 0x7FFFFFFF) % 4]


def test_a_typed_record_without_key_goes_where_the_raw_partition_says() -> None:
    """The raw record's key is not the event's: it does not decide."""
    value = orjson.dumps(schema_example("heartbeat"))
    outputs, _, _ = run(chunk(FakeRecord(0, key=b"21", value=value), partition=6))
    [output] = outputs
    assert (output.topic, output.partition, output.key) == ("canvas.events.heartbeat", 6 % 4, None)


def test_a_long_key_counts() -> None:
    """A key that is a text is in the record twice."""
    text = "x" * (LIMIT // 2)
    export = changed(schema_example("quiz_export_complete"), "body", "content_export_id", to=text)
    [output], result = handle(
        context_of(PIPELINE), [chunk(FakeRecord(0, value=orjson.dumps(export)))]
    )
    assert output.topic == "canvas.dead-letter"
    assert result.dead == {("too_large", "quiz_export_complete"): 1}


def test_the_breaker_ends_the_chunk_where_it_opens() -> None:
    good, bad = orjson.dumps(event()), b"rubbish"
    records = [FakeRecord(n, value=bad if n % 4 else good) for n in range(40)]
    first, second = chunk(*records[:4]), chunk(*records[4:])
    outputs, metrics, halted = run(first, second, ratio=0.5, events=10)
    assert halted
    assert len(outputs) == value_of(metrics, "rollcall_events_received_total") == 10


def test_a_timestamp_that_the_topics_would_refuse_becomes_now() -> None:
    now = int(time.time() * 1000)
    hour = 3_600_000
    stamps = [
        now,
        now - hour // 2,
        now + hour // 2,
        now - 2 * hour,
        now + 2 * hour,
        now + hour - 1_000,
        -1,
    ]
    records = [FakeRecord(n, value=b"x", timestamp=stamp) for n, stamp in enumerate(stamps)]
    outputs, _, _ = run(chunk(*records), window=TimestampWindow(hour, hour))
    assert [output.timestamp for output in outputs] == [*stamps[:3], None, None, None, None]
    outputs, _, _ = run(chunk(*records))
    assert [output.timestamp for output in outputs] == [*stamps[:6], None]


@pytest.mark.parametrize("headers", [(), (("h", b"v" * 3_000),), (("", None),) * 200])
def test_what_fits_is_typed_and_what_does_not_says_its_size(headers: tuple[Header, ...]) -> None:
    """At every size near the limit, whether it is reckoned in haste or exactly."""
    context = context_of(PIPELINE)
    fitting = 0
    for length in range(LIMIT - 9_000, LIMIT + 100, 37):
        value = orjson.dumps(event({"user_name": "N" * length}))
        record = FakeRecord(0, value=value, headers=headers)
        typed = PIPELINE(value, headers)
        assert isinstance(typed, Routed)
        size = record_bytes(typed.key, value, typed.headers)
        [output] = handle(context, [chunk(record)])[0]
        if size <= LIMIT:
            fitting += 1
            assert (output.value, output.headers) == (value, typed.headers)
        else:
            assert output.topic == "canvas.dead-letter"
            message = dict(output.headers)["rollcall.error.message"] or b""
            assert message.startswith(b"the record has %d bytes" % size)
    assert fitting


@pytest.mark.parametrize("headers", [(), (("h", b"v" * 3_000),)])
def test_a_record_of_exactly_the_limit_is_typed(headers: tuple[Header, ...]) -> None:
    def outputs_and_size(length: int) -> tuple[MemoryOutputs, int]:
        value = orjson.dumps(event({"user_name": "N" * length}))
        typed = PIPELINE(value, headers)
        assert isinstance(typed, Routed)
        outputs, _ = handle(
            context_of(PIPELINE), [chunk(FakeRecord(0, value=value, headers=headers))]
        )
        return outputs, record_bytes(typed.key, value, typed.headers)

    length = LIMIT - outputs_and_size(0)[1]
    for beyond, dead in ((-1, False), (0, False), (1, True), (2, True)):
        [output], size = outputs_and_size(length + beyond)
        assert size == LIMIT + beyond
        assert (output.topic == "canvas.dead-letter") == dead


def test_all_of_a_typed_record_is_counted() -> None:
    """Whichever recogniser takes it."""
    strange = event(
        {"workflow_state": "on_the_moon", "hobby": "x"}, planet="x", token="access_token=x"
    )
    plain = orjson.dumps(strange)
    escaped = plain.replace(b'"on_the_moon"', b'"on_the_\\u006doon"')
    found = Recognisers(VALIDATORS)
    assert found.scan(escaped) is None
    assert found.taken(plain) or not IS_COMPILED
    name = EVENT["metadata"]["event_name"]
    time = parse_time(EVENT["metadata"]["event_time"])
    assert time is not None
    for value in (plain, escaped):
        _, result = handle(context_of(PIPELINE), [chunk(FakeRecord(0, value=value, timestamp=7))])
        assert result.routed == [name]
        assert result.event_times == [time.epoch]
        assert result.unknown_fields == {name: 3}
        assert result.unknown_values == {name: 1}
        assert result.redacted == 1
        assert (result.consumed, result.timestamps) == (1, [7])


def test_all_of_a_typed_record_that_is_too_large_is_kept() -> None:
    value = orjson.dumps(event({"user_name": "N" * LIMIT}))
    headers = (("from", b"?access_token=secret"), ("trace", b"abc"))
    [output], result = handle(
        context_of(PIPELINE), [chunk(FakeRecord(0, value=value, headers=headers))]
    )
    found = dict(output.headers)
    assert found["rollcall.error.code"] == b"too_large"
    assert (found["from"], found["trace"]) == (b"?access_token=REDACTED", b"abc")
    assert found["rollcall.redacted"] == b"access_token"
    assert (result.routed, result.event_times) == ([], [])
    assert result.dead == {("too_large", EVENT["metadata"]["event_name"]): 1}
    assert result.redacted == 1


def test_nothing_compiled_makes_the_same_records() -> None:
    if not IS_COMPILED:
        pytest.skip("nothing is compiled here")
    done = run_bytes([sys.executable, "-m", "tests.pure_python", digests.__name__], check=True)
    loaded, found = orjson.loads(done.stdout)
    assert loaded.endswith("typed_outputs.py")
    assert found == digests.digests()


def test_varied_traffic_of_several_chunks() -> None:
    fetched: list[Record] = [
        FakeRecord(number, sent.key, sent.value, sent.headers, number)
        for number, sent in enumerate(generate_traffic(TrafficPlan(count=3_000)))
    ]
    outputs, metrics, _ = run(
        *(Chunk("canvas.raw", 1, 0, 1, part, 0) for part in (fetched[:1_700], [], fetched[1_700:]))
    )
    assert len(outputs) == len(fetched) == value_of(metrics, "rollcall_events_received_total")
    assert value_of(metrics, "rollcall_events_routed_total") > 2_500
