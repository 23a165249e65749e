"""Traffic of the router's benchmark. As a process, sends it at a steady rate, and prints the number
of records, so that its CPU time is not the router's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import uvloop
from aiokafka import AIOKafkaProducer

from rollcall.ingest.raw_records import raw_keys
from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.partitioner import partitioner
from rollcall.process.topics import TopicNames
from rollcall.record import encode_headers
from rollcall.sandbox.bench.machine import default_settings
from rollcall.sandbox.canvas.mixes import Mix
from rollcall.sandbox.canvas.traffic import TrafficPlan, TrafficRecord, generate_traffic

TICK_SECONDS = 0.02


def ingest_traffic(count: int, mix: Mix) -> Iterator[TrafficRecord]:
    """Mixed records with the keys that ``rollcall ingest`` gives them, so that a lane of the router
    writes to one partition of each topic.
    """
    keys = raw_keys(default_settings())
    for record in generate_traffic(TrafficPlan(count=count, mix=mix)):
        yield record._replace(key=keys.key(record.value or b""))


async def send_steadily(bootstrap: str, topic: str, rate: float, seconds: float, mix: Mix) -> int:
    """Send ``rate`` records a second."""
    records = list(ingest_traffic(int(rate * seconds), mix))
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        partition_of = partitioner(len(await producer.partitions_for(topic)))
        started, sent = time.perf_counter(), 0
        while sent < len(records):
            due = min(int((time.perf_counter() - started) * rate) + 1, len(records))
            outputs = BatchedOutputs(producer)
            for record in records[sent:due]:
                assert record.key is not None
                outputs.append(
                    topic,
                    partition_of(record.key),
                    record.key,
                    record.value,
                    None,
                    encode_headers(record.headers),
                )
            await outputs.send()
            sent = due
            await asyncio.sleep(TICK_SECONDS)
        return sent
    finally:
        await producer.stop()


def main() -> None:
    """Arguments: bootstrap servers, topic prefix, records per second, seconds, mix of types."""
    bootstrap, prefix, rate, seconds, mix = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(
        asyncio.run(
            send_steadily(bootstrap, TopicNames(prefix).raw, float(rate), float(seconds), Mix(mix))
        )
    )


if __name__ == "__main__":
    main()
