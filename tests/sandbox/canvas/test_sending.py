"""Sending: all records arrive unchanged and in order for each partition, even the largest."""

from __future__ import annotations

from collections import defaultdict

from rollcall.kafka.partitioner import partitioner
from rollcall.sandbox.canvas.sending import CHUNK_RECORDS, send_records
from rollcall.sandbox.canvas.traffic import TrafficPlan, TrafficRecord, generate_traffic
from tests.kafka_client import create_topic, read_all

PARTITIONS = 3


async def test_all_records_arrive_unchanged_and_in_order(bootstrap: str, prefix: str) -> None:
    topic = f"{prefix}.raw"
    # with Kafka's default limit, which is for compressed batches
    create_topic(bootstrap, topic, PARTITIONS)
    records = list(generate_traffic(TrafficPlan(count=CHUNK_RECORDS * 2 + 10, too_large=0.001)))
    counts: list[int] = []

    assert await send_records(
        {"bootstrap_servers": bootstrap},
        topic,
        records,
        keep_timestamps=True,
        on_sent=counts.append,
    ) == len(records)

    assert counts == [CHUNK_RECORDS, CHUNK_RECORDS * 2, len(records)]
    partition_of, expected = partitioner(PARTITIONS), defaultdict[int, list[TrafficRecord]](list)
    keyless = 0
    for record in records:
        partition = keyless % PARTITIONS if record.key is None else partition_of(record.key)
        expected[partition].append(record)
        keyless += record.key is None
    found = defaultdict[int, list[tuple[object, ...]]](list)
    for message in read_all(bootstrap, [topic], at_least=len(records)):
        found[message.partition() or 0].append(
            (message.key(), message.value(), tuple(message.headers() or []), message.timestamp()[1])
        )
    assert found.keys() == expected.keys()
    for partition, sent in expected.items():
        assert found[partition] == [record[:4] for record in sent]
