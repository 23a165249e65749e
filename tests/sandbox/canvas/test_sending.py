"""Sending: everything arrives, as it was, in order for each partition, the largest records too."""

from __future__ import annotations

from collections import defaultdict

from rollcall.kafka.partitioner import partitioner
from rollcall.sandbox.canvas.sending import CHUNK_RECORDS, send_records
from rollcall.sandbox.canvas.traffic import TrafficPlan, TrafficRecord, generate_traffic
from tests.kafka_client import create_topic, read_all

PARTITIONS = 3


async def test_everything_arrives_as_it_was_and_in_order(bootstrap: str, prefix: str) -> None:
    topic = f"{prefix}.raw"
    # with Kafka's default limit, which is for what is compressed
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
    place, wanted = partitioner(PARTITIONS), defaultdict[int, list[TrafficRecord]](list)
    keyless = 0
    for record in records:
        wanted[keyless % PARTITIONS if record.key is None else place(record.key)].append(record)
        keyless += record.key is None
    found = defaultdict[int, list[tuple[object, ...]]](list)
    for message in read_all(bootstrap, [topic], at_least=len(records)):
        partition = message.partition()
        assert partition is not None
        found[partition].append(
            (message.key(), message.value(), tuple(message.headers() or []), message.timestamp()[1])
        )
    assert found.keys() == wanted.keys()
    for partition, sent in wanted.items():
        assert found[partition] == [record[:4] for record in sent]
