"""Refused batches: the error names the partition, and asyncio logs nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from cramjam import zstd
from faust.types import TP

from rollcall.kafka import batches, encoding
from rollcall.kafka.batches import BatchedOutputs, GatheredBatch
from rollcall.kafka.encoding import PythonRecordBatches, RecordBatches
from rollcall.kafka.sender import open_sender
from rollcall.record import NO_HEADERS, encode_headers
from tests.kafka_client import create_topic

_HEADER_BYTES = 61


@pytest.fixture(
    autouse=True, params=[RecordBatches, PythonRecordBatches], ids=["compiled", "plain"]
)
def encoding_of_records(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations, if there are two."""
    monkeypatch.setattr(batches, "RecordBatches", request.param)


class Transactions:
    """Transactions of a producer."""

    transactional_id = "lane-0"


class Client:
    """Knows all topics."""

    cluster = SimpleNamespace(partitions_for_topic=lambda _topic: {0})


class Producer:
    """Refuses batches of one topic, and does not deliver those of another."""

    def __init__(self, transactions: Transactions | None = None) -> None:
        self._txn_manager = transactions
        self.sent: list[tuple[str, int, BatchBuilder]] = []
        self.end = 100
        self.client = Client()

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[object]:
        """Accept or refuse a batch."""
        if topic == "untaken":
            raise UnknownTopicOrPartitionError
        self.sent.append((topic, partition, batch))
        delivered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if topic == "undelivered":
            delivered.set_exception(MessageSizeTooLargeError("too large"))
        elif topic == "fine":
            delivered.set_result(SimpleNamespace(offset=self.end))
            self.end += batch.record_count()
        elif topic == "forgotten":
            delivered.set_result(SimpleNamespace(offset=-1))
        return delivered


@pytest.mark.parametrize(
    ("topic", "kind"),
    [("untaken", UnknownTopicOrPartitionError), ("undelivered", MessageSizeTooLargeError)],
)
async def test_an_error_says_where(
    topic: str, kind: type[KafkaError], caplog: pytest.LogCaptureFixture
) -> None:
    outputs = BatchedOutputs(Producer())
    for name, partition in (("fine", 0), ("never", 1), (topic, 3)):
        outputs.append(name, partition, None, b"", None, NO_HEADERS)
    with pytest.raises(kind) as raised:
        await outputs.send()
    assert raised.value.__notes__ == [f"topic {topic}, partition 3"]
    del outputs, raised
    gc.collect()
    await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_batches_hold_the_records_in_order_and_say_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compressed: list[bytes] = []
    compressor = encoding._compressor

    class Compressor:
        def compress(self, data: bytes | memoryview, mode: Any) -> bytes:
            compressed.append(bytes(data))
            return compressor.compress(data, mode)

    monkeypatch.setattr(encoding, "_compressor", Compressor())
    producer = Producer()
    outputs = BatchedOutputs(producer, batch_bytes=4_096)
    records = [
        (
            b"%d" % number,
            b"value" * number,
            1_700_000_000_000 + number,
            [("name", b"%d" % number), ("none", None)],
        )
        for number in range(50)
    ]
    for key, value, timestamp, headers in records:
        outputs.append("fine", 0, key, value, timestamp, encode_headers(headers))
    await outputs.send()
    found = []
    for _topic, _partition, sent in producer.sent:
        batch = bytes(sent._build())
        decoded = list(DefaultRecordBatch(batch))
        assert sent.record_count() == len(decoded)
        assert [record.offset for record in decoded] == list(range(len(decoded)))
        assert zstd.decompress(batch[_HEADER_BYTES:]).read() == compressed.pop(0), (
            "what every other zstd reads"
        )
        found += [
            (record.key, record.value, record.timestamp, record.headers) for record in decoded
        ]
    assert found == records
    assert len(producer.sent) > 1, "one batch was not enough"
    assert not compressed


async def test_sending_tells_where_the_last_records_lie() -> None:
    outputs = BatchedOutputs(Producer(), batch_bytes=4_096)
    for number in range(50):
        outputs.append("fine", 0, None, b"value" * number, None, NO_HEADERS)
    outputs.append("forgotten", 0, None, b"", None, NO_HEADERS)
    assert await outputs.send() == {TP("fine", 0): 150}, "as far as the leaders tell"


def test_a_batch_that_was_sent_stays_what_it_was() -> None:
    """Sent again by the same producer with the same sequence number, it is stored once."""
    outputs = BatchedOutputs(Producer())
    outputs.append("fine", 0, b"key", b"value", 1, NO_HEADERS)
    batch = GatheredBatch(outputs._batches["fine", 0].batches[0], transactional=True)
    batch._set_producer_state(7, 3, 11)
    sealed = bytes(batch._build())
    assert (DefaultRecordBatch(sealed).producer_id, DefaultRecordBatch(sealed).base_sequence) == (
        7,
        11,
    )
    with pytest.raises(AssertionError):
        batch._set_producer_state(8, 0, 0)
    assert bytes(batch._build()) == sealed


def test_a_record_larger_than_any_batch_is_a_batch_by_itself() -> None:
    outputs = BatchedOutputs(Producer(), batch_bytes=4_096)
    for value in (b"1", b"2" * 10_000, b"3"):
        outputs.append("fine", 0, None, value, None, NO_HEADERS)
    assert [batch.count for batch in outputs._batches["fine", 0].batches] == [1, 1, 1]


@pytest.mark.parametrize("encoding_of_records", [RecordBatches], indirect=True)
async def test_metadata_of_new_topics_is_requested_together(bootstrap: str, prefix: str) -> None:
    topics = [f"{prefix}-{number}" for number in range(5)]
    for topic in topics:
        create_topic(bootstrap, topic, 1)
    async with open_sender({"bootstrap_servers": bootstrap}) as producer:
        # the producer of a lane has written to another topic: it knows no longer all
        await producer.client.set_topics(topics[:1])
        requested: list[set[str]] = []
        update = producer.client._metadata_update

        async def record(cluster: object, wanted: set[str]) -> object:
            requested.append(set(wanted))
            return await update(cluster, wanted)

        producer.client._metadata_update = record
        for _ in range(2):
            outputs = BatchedOutputs(producer)
            for topic in topics:
                outputs.append(topic, 0, b"key", b"value", None, NO_HEADERS)
            assert len(await outputs.send()) == len(topics)
    assert requested == [set(topics)]
