"""The router's handler on chunks, without Kafka: what it writes, and what it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.record.default_records import DefaultRecordBatch
from prometheus_client import CollectorRegistry

from rollcall.events.pipeline import Pipeline
from rollcall.events.registry import REGISTRY
from rollcall.kafka.batches import BatchedOutputs, GatheredBatch
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.topics import TimestampWindow
from rollcall.process.breaker import BreakerPolicy
from rollcall.process.metrics import RouterMetrics
from rollcall.process.topics import TopicNames
from rollcall.record import Header
from rollcall.router.handler import RouterContext, RouterHandler, RouterResult
from rollcall.streaming.chunks import Chunk
from tests.outputs import MemoryOutputs, Output

NAMES = TopicNames("canvas")
PARTITIONS = 4
LIMIT = 16_384
ANY_TIME = TimestampWindow()
NO_BREAKER = BreakerPolicy(0.0, 10)


@dataclass(frozen=True)
class FakeRecord:
    """A record that was not fetched from anywhere."""

    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[Header] = ()
    timestamp: int = 1_700_000_000_000


class Producer:
    """Has no transactions."""

    _txn_manager = None


def written(outputs: BatchedOutputs) -> dict[tuple[str, int], list[Output]]:
    """The records of all batches, as every client of Kafka decodes them, by topic and partition."""
    return {
        (topic, partition): [
            Output(topic, partition, record.key, record.value, record.timestamp, record.headers)
            for batch in batches.batches
            for record in DefaultRecordBatch(
                bytes(GatheredBatch(batch, transactional=False)._build())
            )
        ]
        for (topic, partition), batches in outputs._batches.items()
    }


def context_of(
    pipeline: Pipeline,
    *,
    window: TimestampWindow = ANY_TIME,
    breaker: BreakerPolicy = NO_BREAKER,
    limit: int = LIMIT,
) -> RouterContext:
    """The context of a handler."""
    return RouterContext(
        pipeline=pipeline,
        names=NAMES,
        topics={name: NAMES.typed(event_type) for name, event_type in REGISTRY.items()},
        partitions=PARTITIONS,
        partition_of=partitioner(PARTITIONS),
        max_record_bytes=limit,
        retention_ms=None,
        window=window,
        breaker=breaker,
        metrics=RouterMetrics(CollectorRegistry(), REGISTRY),
    )


def handle(context: RouterContext, chunks: Sequence[Chunk]) -> tuple[MemoryOutputs, RouterResult]:
    """What a new handler makes of the chunks, after asserting that every client of Kafka decodes
    the same records from its batches.
    """
    outputs, batched = MemoryOutputs(), BatchedOutputs(Producer())
    result = RouterHandler(context).process(chunks, outputs)
    RouterHandler(context).process(chunks, batched)
    assert_same_records(written(batched), outputs)
    return outputs, result


def assert_same_records(
    found: dict[tuple[str, int], list[Output]], expected: Sequence[Output]
) -> None:
    """What is in the batches is what was appended, in this order for each topic and partition.
    Without a timestamp, it is the time of writing.
    """
    by_place: dict[tuple[str, int], list[Output]] = defaultdict(list)
    for output in expected:
        by_place[output.topic, output.partition].append(output)
    assert found.keys() == by_place.keys()
    for place, outputs in by_place.items():
        assert len(found[place]) == len(outputs)
        for one, other in zip(found[place], outputs, strict=True):
            assert (one.key, one.value, one.headers) == (
                other.key,
                other.value,
                list(other.headers),
            )
            if other.timestamp is not None:
                assert one.timestamp == other.timestamp
            else:
                assert one.timestamp is not None
                assert one.timestamp > 1_700_000_000_000
