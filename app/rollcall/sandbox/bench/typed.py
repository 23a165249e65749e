"""Writes typed records to the typed topics, in place of a router."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, NamedTuple, TypeVar

import uvloop
from aiokafka import AIOKafkaProducer

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import REGISTRY
from rollcall.events.schemas.validation import load_validators
from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.partitioner import partitioner
from rollcall.process.topics import TopicNames
from rollcall.record import EncodedHeaders
from rollcall.rosters.registry import stages_by_event
from rollcall.sandbox.bench.sender import TICK_SECONDS
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan

CHUNK_RECORDS = 5_000

SHARD = 2107

LATENCY_COURSES = 100

Item = TypeVar("Item")


class TypedRecord(NamedTuple):
    """A record for a typed topic."""

    name: str
    """The event_name."""
    key: bytes
    value: bytes
    headers: EncodedHeaders


def simulated_records(courses: int, steps: int) -> Iterator[TypedRecord]:
    """Typed records of a simulated institution, for the topics that rosters read."""
    simulation = Simulation(SimulationPlan(courses=courses, steps=steps, shard=SHARD))
    return _typed(event.value for event in simulation.events())


def enrollments(count: int) -> Iterator[TypedRecord]:
    """Typed records of ``count`` enrollments: 25 in a section, two sections in a course."""
    home = SHARD * 10_000_000_000_000
    template = (
        '{"metadata":{"event_name":"enrollment_created","event_time":"2024-03-29T22:43:%02d.%03dZ","root_account_id":"%d"},"body":{"enrollment_id":"%d",'
        '"course_id":"%d","course_section_id":"%d","user_id":"%d","user_name":"Isaac Newton '
        '%d","type":"StudentEnrollment","workflow_state":"active",'
        '"limit_privileges_to_course_section":false,"created_at":"2024-03-29T15:43:00-07:00","updated_at":"2024-03-29T15:43:00-07:00",'
        '"course_uuid":"RgDOeYBBwRlAqJPHxqZ3dXpUNsVyHBPOJhYbpDMf","user_uuid":"cqRNSRjBz6gVvEXgPq8HGuyC3CYMFQW7kAHAAyzl"}}'
    )
    numbers = itertools.count(1)
    return _typed(
        (
            template
            % (
                n % 60,
                n % 1000,
                home + 1,
                home + n,
                home + 1 + n // 50,
                home + 1 + n // 25,
                home + n % 200_000,
                n,
            )
        ).encode()
        for n in itertools.islice(numbers, count)
    )


def _typed(events: Iterable[bytes]) -> Iterator[TypedRecord]:
    pipeline, read = Pipeline(load_validators(), shard=SHARD), stages_by_event()
    for value in events:
        routed = pipeline(value)
        if isinstance(routed, Routed) and routed.event_type.name in read:
            assert routed.key is not None
            yield TypedRecord(
                routed.event_type.name, routed.key, routed.value, routed.encoded_headers
            )


async def send_typed(
    client_options: Mapping[str, Any],
    prefix: str,
    partitions: int,
    chunks: AsyncIterable[Sequence[TypedRecord]],
) -> int:
    """Send chunks, each after the acknowledgement of the last one; return the number of records."""
    names = TopicNames(prefix)
    partition_of: Callable[[bytes], int] = partitioner(partitions)
    producer = AIOKafkaProducer(**client_options, acks="all", enable_idempotence=True, linger_ms=0)
    await producer.start()
    sent = 0
    try:
        async for chunk in chunks:
            outputs = BatchedOutputs(producer)
            for name, key, value, headers in chunk:
                outputs.append(
                    names.typed(REGISTRY[name]), partition_of(key), key, value, None, headers
                )
                sent += 1
            await outputs.send()
        return sent
    finally:
        await producer.stop()


async def chunks_of(records: Iterable[Item]) -> AsyncIterator[Sequence[Item]]:
    """Records in chunks that fill batches."""
    remaining = iter(records)
    while chunk := list(itertools.islice(remaining, CHUNK_RECORDS)):
        yield chunk


async def chunks_at_rate(records: Sequence[Item], rate: float) -> AsyncIterator[Sequence[Item]]:
    """Records in chunks at ``rate`` records a second."""
    started, sent = time.perf_counter(), 0
    while sent < len(records):
        due = min(int((time.perf_counter() - started) * rate) + 1, len(records))
        yield records[sent:due]
        sent = due
        await asyncio.sleep(TICK_SECONDS)


def main() -> None:
    """Send at a steady rate, and print the number of records. Runs as a process, so that its CPU
    time is not that of the process under test.

    Arguments: bootstrap servers, topic prefix, partitions, records per second, seconds, number of
    records to skip first.
    """
    bootstrap, prefix, partitions, rate, seconds, skip = sys.argv[1:]
    records = list(
        itertools.islice(
            simulated_records(LATENCY_COURSES, 1_000_000_000),
            int(skip),
            int(skip) + int(float(rate) * float(seconds)),
        )
    )
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(
        asyncio.run(
            send_typed(
                {"bootstrap_servers": bootstrap},
                prefix,
                int(partitions),
                chunks_at_rate(records, float(rate)),
            )
        )
    )


if __name__ == "__main__":
    main()
