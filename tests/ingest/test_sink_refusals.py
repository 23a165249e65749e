"""The sink, when producers and records fail, without a broker."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    UnknownError,
)

from rollcall.ingest.raw_records import RawRecord
from rollcall.ingest.sink import REFUSALS, KafkaAwayError, RecordRefusedError
from tests.ingest.producers import FakeProducer, FakeSink, NoAnswer
from tests.waiting import eventually, in_time

GOOD, BAD = RawRecord(b"good", b"{}", ()), RawRecord(b"bad", b"{}", ())


async def with_others(sink: FakeSink, bad: asyncio.Future[None], count: int) -> list[str | None]:
    """Send other records until the bad one has ended, or so many. The reasons for readiness."""
    reasons = []
    for _ in range(count):
        await in_time(sink.send(GOOD), what="the acknowledgement of another record")
        reasons.append(sink.unavailable_reason)
        if bad.done():
            break
    return reasons


@pytest.mark.parametrize("error", [UnknownError, PolicyViolationError])
async def test_a_refused_record_ends_alone(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka takes the others meanwhile, with few producers."""
    monkeypatch.setattr("rollcall.ingest.sink.LEAST_SECONDS", 0.1)
    sink = FakeSink(lambda: FakeProducer(lambda key: error() if key == b"bad" else None))
    await sink.start()
    bad = asyncio.ensure_future(sink.send(BAD))
    reasons = await with_others(sink, bad, 100_000)
    assert set(reasons) == {None}
    with pytest.raises(RecordRefusedError, match="takes others, but not this record"):
        await bad
    await in_time(sink.send(GOOD), what="the acknowledgement of another record")
    assert sink.openings <= REFUSALS + 2
    assert sink.pending_bytes == 0
    await sink.stop()


async def test_a_record_that_always_ends_its_producer_costs_few_producers() -> None:
    """Its own pauses grow, whatever the other records do."""
    sink = FakeSink(
        lambda: FakeProducer(lambda key: OutOfOrderSequenceNumber() if key == b"bad" else None)
    )
    await sink.start()
    bad = asyncio.ensure_future(sink.send(BAD))
    await with_others(sink, bad, 200)
    assert not bad.done()
    (delivery,) = sink._deliveries.values()
    assert sink.openings <= delivery.failures + 1
    assert sink.openings < 20
    await sink.stop(0)
    with pytest.raises(KafkaAwayError):
        await bad


async def test_a_partition_without_a_leader_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rollcall.ingest.sink.SLOW_SECONDS", 0.1)
    led = asyncio.Event()
    sink = FakeSink(
        lambda: FakeProducer(
            lambda key: NotLeaderForPartitionError() if key == b"bad" and not led.is_set() else None
        )
    )
    await sink.start()
    bad = asyncio.ensure_future(sink.send(BAD))
    await eventually(
        lambda: any(each.failures > 2 for each in sink._deliveries.values()), what="attempts"
    )
    assert sink.unavailable_reason is None
    assert set(await with_others(sink, bad, 20)) == {None}
    assert sink.openings == 1
    led.set()
    await in_time(bad, what="the acknowledgement")
    await sink.stop()


async def test_one_silent_record_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only without any acknowledgement is Kafka away."""
    monkeypatch.setattr("rollcall.ingest.sink.SLOW_SECONDS", 0.5)
    sink = FakeSink(lambda: FakeProducer(lambda key: NoAnswer() if key == b"bad" else None))
    await sink.start()
    bad = asyncio.ensure_future(sink.send(BAD))
    await eventually(lambda: sink.unavailable_reason is not None, what="the reason")
    await sink.send(GOOD)
    assert sink.unavailable_reason is None
    await eventually(lambda: sink.unavailable_reason is not None, what="the reason again")
    await sink.stop(0)
    with pytest.raises(KafkaAwayError):
        await bad


async def test_an_old_acknowledgement_does_not_hide_the_outage() -> None:
    """That of a producer which is not used any more."""
    answers: list[asyncio.Future[None]] = []

    class Slow(FakeProducer):
        async def send(self, *_arguments: object, **_options: object) -> asyncio.Future[None]:
            answers.append(asyncio.get_running_loop().create_future())
            return answers[-1]

        async def stop(self) -> None:
            await asyncio.wait(answers)

    producers = [Slow(lambda key: None)]

    def make() -> FakeProducer:
        if not producers:
            raise KafkaConnectionError("gone")
        return producers.pop()

    sink = FakeSink(make)
    await sink.start()
    sends = [asyncio.ensure_future(sink.send(GOOD)) for _ in range(2)]
    await eventually(lambda: len(answers) == 2, what="two records")
    answers[0].set_exception(KafkaConnectionError("gone"))
    await eventually(lambda: sink.openings > 1, what="another attempt to open")
    answers[1].set_result(None)
    await in_time(sends[1], what="the old acknowledgement")
    assert sink.unavailable_reason is not None
    assert sink._failures > 0
    await sink.stop(0)
    with pytest.raises(KafkaAwayError):
        await sends[0]


async def test_an_unexpected_error_does_not_end_the_opening(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is reported, in readiness too, and opening goes on."""
    good = FakeProducer(lambda _key: None)
    broken = FakeProducer(lambda _key: KafkaConnectionError("gone"))
    found: list[FakeProducer | Exception] = [good, AssertionError("a mistake"), broken]

    def make() -> FakeProducer:
        match found.pop():
            case FakeProducer() as producer:
                return producer
            case error:
                reasons.append(sink.unavailable_reason)
                raise error

    reasons: list[str | None] = []
    sink = FakeSink(make)
    await sink.start()
    await in_time(sink.send(GOOD), what="the acknowledgement")
    assert sink.openings == 3
    assert reasons != [None]
    assert [each.levelname for each in caplog.records if each.exc_info] == ["ERROR"]
    await sink.stop()


async def test_a_producer_that_cannot_be_closed_gives_its_records_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FakeProducer):
        async def stop(self) -> None:
            raise KeyError("a mistake")

    producers = [FakeProducer(lambda _key: None), Broken(lambda _key: NoAnswer())]
    sink = FakeSink(producers.pop)
    await sink.start()
    sending = asyncio.ensure_future(sink.send(GOOD))
    await eventually(lambda: sink._producer is not None and sink._producer.sent, what="a record")
    assert sink._producer is not None
    sink._replace(sink._producer, KafkaConnectionError("gone"))
    await in_time(sending, what="the acknowledgement")
    assert [each.levelname for each in caplog.records if each.exc_info] == ["ERROR"]
    await sink.stop()
