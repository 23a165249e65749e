"""Sends traffic at a steady rate, and prints the number of records. Runs as a process, so that its
CPU time is not the router's.
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop
from aiokafka import AIOKafkaProducer

from rollcall.kafka.batches import BatchedOutputs
from rollcall.process.topics import TopicNames
from rollcall.record import encode_headers
from rollcall.sandbox.canvas.mixes import Mix
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic

TICK_SECONDS = 0.02


async def send_steadily(bootstrap: str, topic: str, rate: float, seconds: float, mix: Mix) -> int:
    """Send ``rate`` records a second, in turn to all partitions."""
    records = list(generate_traffic(TrafficPlan(count=int(rate * seconds), mix=mix)))
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        partitions = len(await producer.partitions_for(topic))
        started, sent = time.perf_counter(), 0
        while sent < len(records):
            due = min(int((time.perf_counter() - started) * rate) + 1, len(records))
            outputs = BatchedOutputs(producer)
            for number, record in enumerate(records[sent:due], sent):
                outputs.append(
                    topic,
                    number % partitions,
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
