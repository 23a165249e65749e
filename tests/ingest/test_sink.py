"""The sink of ingest against a real broker."""

from __future__ import annotations

import asyncio
import os

import pytest

from rollcall.ingest.raw_records import RawRecord
from rollcall.ingest.sink import SLOW_SECONDS, KafkaAwayError, KafkaSink, RecordTooLargeError
from rollcall.kafka.topics import TopicsError
from rollcall.process.topics import EVENT_RECORD_BYTES
from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.settings import Settings, load_settings
from rollcall.streaming.failures import terminate
from tests.kafka_client import create_topic, delete_topic, headers, limit_record_size, read_all
from tests.waiting import eventually, in_time

MIB = 1024**2


def settings_for(prefix: str, **others: object) -> Settings:
    """Settings of an installation of its own."""
    return load_settings(topic_prefix=prefix, group_prefix=prefix, partitions=2, **others)


def record(number: int, size: int = 0) -> RawRecord:
    """A record whose value cannot be compressed."""
    value = str(number).encode() + os.urandom(size)
    return RawRecord(b"%d" % (number % 5), value, (("rollcall.source", b"sqs"),))


def written(bootstrap: str, prefix: str, at_least: int) -> list[bytes]:
    """Values in the raw topic."""
    return [
        message.value() or b""
        for message in read_all(bootstrap, [f"{prefix}.raw"], at_least=at_least)
    ]


async def test_what_is_acknowledged_can_be_read(bootstrap: str, prefix: str) -> None:
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        assert sink.unavailable_reason is None
        records = [record(number) for number in range(500)]
        sends = [asyncio.ensure_future(sink.send(each)) for each in records]
        await asyncio.sleep(0)
        assert sink.pending_bytes > 0
        await in_time(asyncio.gather(*sends), what="the acknowledgements")
        assert sink.pending_bytes == 0
        messages = read_all(bootstrap, [f"{prefix}.raw"], at_least=500)
    assert sorted(message.value() or b"" for message in messages) == sorted(
        each.value for each in records
    )
    assert headers(messages[0]) == {"rollcall.source": b"sqs"}
    partitions: dict[bytes | None, set[int | None]] = {}
    for message in messages:
        partitions.setdefault(message.key(), set()).add(message.partition())
    assert all(len(numbers) == 1 for numbers in partitions.values())


async def test_a_large_event_passes(bootstrap: str, prefix: str) -> None:
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        large = record(1, MIB)
        await in_time(sink.send(large), what="the acknowledgement")
        with pytest.raises(RecordTooLargeError, match="takes no record of"):
            await sink.send(record(2, EVENT_RECORD_BYTES))
    assert written(bootstrap, prefix, 1) == [large.value]


@pytest.mark.parametrize("limited", ["before", "meanwhile"])
async def test_a_record_that_kafka_refuses_is_the_only_one_to_fail(
    bootstrap: str, prefix: str, limited: str
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    if limited == "before":
        limit_record_size(bootstrap, f"{prefix}.raw", 20_000)
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        if limited == "meanwhile":
            await asyncio.to_thread(limit_record_size, bootstrap, f"{prefix}.raw", 20_000)
        records = [record(number, 30_000 if number % 50 == 7 else 100) for number in range(200)]
        results = await in_time(
            asyncio.gather(*map(sink.send, records), return_exceptions=True), what="all answers"
        )
        assert sink.unavailable_reason is None
    refused = [each for each, result in zip(records, results, strict=True) if result is not None]
    assert [len(each.value) > 20_000 for each in refused] == [True] * 4
    assert all(isinstance(result, RecordTooLargeError) for result in results if result is not None)
    found = set(written(bootstrap, prefix, 196))
    assert found == {each.value for each in records} - {each.value for each in refused}


async def test_a_failed_producer_is_replaced(bootstrap: str, prefix: str) -> None:
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        await sink.send(record(0))
        sends = [asyncio.ensure_future(sink.send(record(number))) for number in range(1, 50)]
        await asyncio.sleep(0)
        producer = sink._producer
        assert producer is not None
        await terminate(producer)
        producer._closed = True
        await in_time(asyncio.gather(*sends), what="the acknowledgements")
        assert sink._producer is not producer
        assert sink.unavailable_reason is None
    assert len(set(written(bootstrap, prefix, 50))) == 50


async def test_a_sender_that_gives_up_loses_nothing(bootstrap: str, prefix: str) -> None:
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        sending = asyncio.ensure_future(sink.send(record(1)))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
        assert sink.pending_bytes > 0
        await eventually(lambda: sink.pending_bytes == 0, what="the acknowledgement")
    assert len(written(bootstrap, prefix, 1)) == 1


@pytest.mark.slow
async def test_a_topic_that_was_deleted_is_made_anew(bootstrap: str, prefix: str) -> None:
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        await sink.send(record(1))
        delete_topic(bootstrap, f"{prefix}.raw")
        await in_time(sink.send(record(2)), 120, what="the acknowledgement")


async def test_a_missing_topic_that_must_not_be_created_is_an_error(
    bootstrap: str, prefix: str
) -> None:
    sink = KafkaSink(settings_for(prefix, create_topics=False), bootstrap)
    with pytest.raises(TopicsError, match="topics apply"):
        await sink.start()
    await sink.stop()


async def test_without_kafka_the_sink_waits(prefix: str) -> None:
    sink = KafkaSink(settings_for(prefix), "127.0.0.1:1")
    await sink.start()
    assert "127.0.0.1:1" in (sink.unavailable_reason or "")
    sending = asyncio.ensure_future(sink.send(record(1)))
    await asyncio.sleep(0)
    await sink.stop(0.1)
    with pytest.raises(KafkaAwayError):
        await sending
    with pytest.raises(KafkaAwayError):
        await sink.send(record(2))


@pytest.mark.slow
async def test_the_sink_goes_on_after_an_outage(own_broker: EmbeddedBroker, prefix: str) -> None:
    bootstrap = own_broker.bootstrap
    async with KafkaSink(settings_for(prefix), bootstrap) as sink:
        await sink.send(record(0))
        await asyncio.to_thread(own_broker.kill)
        sends = [asyncio.ensure_future(sink.send(record(number))) for number in range(1, 100)]
        await eventually(lambda: sink.unavailable_reason is not None, what="the reason")
        await asyncio.sleep(SLOW_SECONDS)
        assert not any(send.done() for send in sends)
        await asyncio.to_thread(own_broker.start)
        await in_time(asyncio.gather(*sends), 120, what="the acknowledgements")
        assert sink.unavailable_reason is None
        assert len(set(written(bootstrap, prefix, 100))) == 100
