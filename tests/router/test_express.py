"""The express does for an event what pipeline and handler would do, and takes what is meant for
it.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from rollcall.events.dropping import MetadataDropper
from rollcall.events.outcomes import Outcome
from rollcall.events.pipeline import Pipeline
from rollcall.events.redaction import Redactor
from rollcall.kafka.batches import BatchedOutputs
from rollcall.process.topics import TopicNames
from rollcall.record import Header, Record
from rollcall.router.express import Express, new_express
from rollcall.router.handler import RouterHandler
from rollcall.sandbox.canvas.traffic import CREDENTIAL, TrafficPlan, TrafficRecord, generate_traffic
from rollcall.streaming.chunks import Chunk
from tests.events.schemas.events import VALIDATORS
from tests.events.test_pipeline import EVENT, event
from tests.router.both_ways import PARTITIONS, FakeRecord, Producer, Twice, kit_of
from tests.tools import COMPILER, lack

REDACTOR = Redactor(("access_token", "client_secret"))

pytestmark = pytest.mark.skipif(Express is None, reason=lack("a C compiler", COMPILER))


class Asked(Pipeline):
    """A pipeline that counts what it has to judge."""

    times = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Outcome:
        self.times += 1
        return super().__call__(*args, **kwargs)


def chunk(*records: FakeRecord) -> Chunk:
    """Records of one partition."""
    return Chunk("canvas.raw", 2, 0, len(records), list(records), 0)


def left(*records: FakeRecord, limit: int = 16_384, shard: int | None = None) -> int:
    """How many records the express leaves to the pipeline; what it does with the others is what the
    pipeline would do.
    """
    Twice(Pipeline(VALIDATORS, redactor=REDACTOR, shard=shard), limit=limit)([chunk(*records)])
    pipeline = Asked(VALIDATORS, redactor=REDACTOR, shard=shard)
    RouterHandler(kit_of(pipeline, express=True, limit=limit)).process(
        [chunk(*records)], BatchedOutputs(Producer())
    )
    return pipeline.times


def record(value: Any, headers: tuple[Header, ...] = (), **fields: Any) -> FakeRecord:
    """A record whose value is an event."""
    return FakeRecord(
        0,
        value=value if isinstance(value, bytes) else orjson.dumps(value),
        headers=headers,
        **fields,
    )


@pytest.fixture(scope="module")
def traffic() -> list[TrafficRecord]:
    """Records of all sorts."""
    return list(generate_traffic(TrafficPlan(count=6_000)))


@pytest.mark.parametrize(("shard", "redactor"), [(None, REDACTOR), (2107, REDACTOR), (None, None)])
def test_varied_traffic_of_several_chunks(
    traffic: list[TrafficRecord], shard: int | None, redactor: Redactor | None
) -> None:
    twice = Twice(Pipeline(VALIDATORS, shard=shard, redactor=redactor), limit=1_000_000)
    fetched: list[Record] = [
        FakeRecord(number, sent.key, sent.value, sent.headers, number)
        for number, sent in enumerate(traffic)
    ]
    routed = 0
    for start in range(0, len(fetched), 1_500):
        parts = [fetched[start : start + 700], [], fetched[start + 700 : start + 1_500]]
        routed += len(twice([Chunk("canvas.raw", 1, 0, 1, part, 0) for part in parts])[1].routed)
    assert routed > 5_000


def test_what_is_valid_is_taken() -> None:
    sent = [sent for sent in generate_traffic(TrafficPlan.clean(count=2_000)) if sent.value]
    assert (
        left(
            *(
                FakeRecord(number, each.key, each.value, each.headers)
                for number, each in enumerate(sent)
            ),
            limit=1_000_000,
        )
        == 0
    )


def test_what_is_to_be_redacted_is_taken() -> None:
    url = f"https://x/?access_token={CREDENTIAL}&per_page=10"
    assert (
        left(
            record(event(url=url)),
            record(event({"user_name": "about client_secret and access_token"})),
        )
        == 0
    )
    assert left(record(event(url=url), (("from", url.encode()), ("trace", b"1")))) == 0


@pytest.mark.parametrize(
    "headers",
    [
        (("trace", b"abc"),),
        (("trace", None), ("trace", b""), ("é", b"\xff"), ("", b"x")),
        (
            ("ce_id", b"theirs"),
            ("content-type", None),
            ("rollcall.error.code", b"not_json"),
            ("rollcall.redacted", b"x"),
        ),
        tuple((f"h{number}", b"v" * number) for number in range(40)),
    ],
)
def test_raw_headers_go_along(headers: tuple[Header, ...]) -> None:
    assert left(record(EVENT, headers), record(EVENT)) == 0


@pytest.mark.parametrize(
    "root",
    [
        ...,
        None,
        "1",
        1,
        "21070000000000001",
        21070000000000001,
        "31070000000000001",
        "9223372036854775807",
        2**63 - 1,
        "0",
    ],
)
@pytest.mark.parametrize("shard", [None, 2107])
def test_ids(root: Any, shard: int | None) -> None:
    """One after the other: what is remembered of a root account is not that of another."""
    ids = (
        "1533",
        1533,
        "21070000000001533",
        21070000000001533,
        "9999999999999",
        "10000000000000",
        "123456789012345678",
        10**18,
    )
    records = [
        record(event({"enrollment_id": enrollment_id}, root_account_id=each))
        for enrollment_id in ids
        for each in (root, "1", 1, root, None)
    ]
    left(*records, shard=shard)


@pytest.mark.parametrize(
    "time",
    [
        "2019-11-01T19:11:01Z",
        "2019-11-01T19:11:01.1Z",
        "2019-11-01T19:11:01.123456789Z",
        "2024-03-29T15:43:00-07:00",
        "2019-10-05 05:38:00 -0800",
        "2019-10-05 05:38:00.5 UTC",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1684-07-28T00:00:00Z",
        "2255-06-05T23:47:34.740992Z",
        "2255-06-05T23:47:34.740993Z",
        "1969-12-31T23:59:59.999999Z",
        "2000-02-29T00:00:00Z",
        "1900-02-28T23:59:59Z",
    ],
)
def test_times(time: str) -> None:
    assert left(record(event(event_time=time))) <= (
        time in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
    )


def test_days_of_all_years_are_the_seconds_that_python_counts() -> None:
    times = (
        f"{year:04}-{month:02}-{day:02}T12:34:56.789Z"
        for year in range(1, 10_000, 7)
        for month, day in ((1, 1), (2, 28), (3, 1), (12, 31))
    )
    assert left(*(record(event(event_time=time)) for time in times)) == 0


def test_what_is_hardly_small_enough_or_too_large() -> None:
    """Whether a record fits is for the handler to reckon when it is not plain."""
    for size in (11_000, 11_300, 11_600, 12_000, 15_000, 15_500, 15_800, 16_300, 20_000):
        left(
            record(event({"user_name": "N" * size})),
            record(event({"user_name": "N" * 5_000}), (("h", b"v" * (size - 5_000)),)),
        )
    assert left(record(event({"user_name": "N" * 11_000}))) == 0
    assert left(record(event({"user_name": "N" * 20_000}))) == 1


def test_what_is_not_valid_is_left_and_order_is_kept() -> None:
    good, bad = (
        record(EVENT),
        [
            record(b"rubbish"),
            record(b""),
            FakeRecord(0),
            record(event(event_name="quiz_submitted")),
            record(event(event_name=...)),
        ],
    )
    assert left(good, *bad, good, bad[0], good) == len(bad) + 1


def test_there_is_no_express_where_fields_are_dropped() -> None:
    pipeline = Pipeline(VALIDATORS, dropper=MetadataDropper(("client_ip",)))
    assert new_express(pipeline, TopicNames("canvas"), PARTITIONS, 10_000) is None
