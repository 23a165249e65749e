"""The router's handler on the same chunks twice, judging each event by the pipeline, and with the
express: the same must come of it.
"""

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
from rollcall.record import Header, Headers
from rollcall.router.express import new_express
from rollcall.router.handler import ROOM_FOR_HEADERS, RouterHandler, RouterKit, RouterResult
from rollcall.streaming.chunks import Chunk

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


@dataclass(frozen=True)
class Output:
    """What the handler wrote."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int | None
    headers: Headers


class MemoryOutputs(list[Output]):
    """Implements Outputs."""

    def append(self, *fields: object) -> None:
        super().append(Output(*fields))  # type: ignore[arg-type]


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


def kit_of(
    pipeline: Pipeline,
    *,
    express: bool,
    window: TimestampWindow = ANY_TIME,
    breaker: BreakerPolicy = NO_BREAKER,
    limit: int = LIMIT,
) -> RouterKit:
    """What a handler needs."""
    names = TopicNames("canvas")
    ride = new_express(pipeline, names, PARTITIONS, limit - ROOM_FOR_HEADERS) if express else None
    metrics = RouterMetrics(CollectorRegistry(), REGISTRY)
    return RouterKit(
        pipeline,
        ride,
        names,
        PARTITIONS,
        partitioner(PARTITIONS),
        limit,
        None,
        window,
        breaker,
        metrics,
    )


class Twice:
    """Two handlers that share a pipeline, one of them with the express."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        window: TimestampWindow = ANY_TIME,
        breaker: BreakerPolicy = NO_BREAKER,
        limit: int = LIMIT,
    ) -> None:
        self._without, self._with = (
            RouterHandler(
                kit_of(pipeline, express=express, window=window, breaker=breaker, limit=limit)
            )
            for express in (False, True)
        )

    def __call__(self, chunks: Sequence[Chunk]) -> tuple[MemoryOutputs, RouterResult]:
        """What the pipeline makes of the chunks, after asserting that the express makes the same of
        them.
        """
        outputs, batched = MemoryOutputs(), BatchedOutputs(Producer())
        result = self._without.process(chunks, outputs)
        assert_same_counts(self._with.process(chunks, batched), result)
        assert_same_records(written(batched), outputs)
        return outputs, result


def assert_same_counts(one: RouterResult, other: RouterResult) -> None:
    """Two ways counted the same."""
    for name in (
        "consumed",
        "halt",
        "routed",
        "unknown",
        "dead",
        "unknown_fields",
        "unknown_values",
        "redacted",
        "event_times",
        "timestamps",
    ):
        assert getattr(one, name) == getattr(other, name), name


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
