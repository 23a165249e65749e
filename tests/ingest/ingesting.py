"""The source of ``rollcall ingest sqs`` in the event loop of a test, with a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from rollcall.ingest.metrics import SqsMetrics
from rollcall.ingest.raw_records import MESSAGE_ID_HEADER, raw_keys
from rollcall.ingest.sink import KafkaSink
from rollcall.ingest.sqs.client import Queue
from rollcall.ingest.sqs.ledger import Ledger
from rollcall.ingest.sqs.source import SqsSource
from rollcall.settings import Settings, load_settings
from tests.ingest.queues import Queues
from tests.ingest.shim import Shim
from tests.kafka_client import PASSING_FOR_READERS, TIMED_OUT, headers, read_all
from tests.waiting import eventually, in_time, wait_until

VISIBILITY_SECONDS = 30


def settings_for(queue: Queues, shim: Shim, prefix: str, **others: object) -> Settings:
    """Settings of an installation of its own, which reads a queue through a shim. The visibility
    may be shorter than a user may choose.
    """
    visibility = others.pop("sqs_visibility_seconds", VISIBILITY_SECONDS)
    options: dict[str, object] = {
        "topic_prefix": prefix,
        "group_prefix": prefix,
        "partitions": 2,
        "sqs_queue_url": f"{shim.url}{queue.path}",
        "sqs_endpoint": shim.url,
        "sqs_wait_seconds": 1,
        **others,
    }
    return load_settings(**options).model_copy(update={"sqs_visibility_seconds": visibility})


@dataclass
class Running:
    """A running source."""

    source: SqsSource
    sink: KafkaSink
    metrics: SqsMetrics
    stop: asyncio.Event
    run: asyncio.Task[None]

    def value(self, name: str) -> float:
        """A metric's value. Only this metric is collected: tests look often."""
        full = f"rollcall_ingest_{name}"
        return sum(
            sample.value
            for family in self.metrics.registry.restricted_registry([full]).collect()
            for sample in family.samples
            if sample.name == full
        )

    async def wait_deleted(self, count: int) -> None:
        """Wait until so many messages are deleted."""
        await eventually(
            lambda: self.value("sqs_deleted_total") >= count or self.run.done(),
            what=f"{count} deleted messages",
        )


@asynccontextmanager
async def ingesting(
    settings: Settings, bootstrap: str, *, ledger: Ledger | None = None
) -> AsyncIterator[Running]:
    """Move messages until the end of the context."""
    metrics = SqsMetrics(CollectorRegistry())
    sink = KafkaSink(settings, bootstrap)
    stop = asyncio.Event()
    await sink.start()
    try:
        async with Queue(settings) as queue:
            source = SqsSource(
                settings, queue=queue, sink=sink, keys=raw_keys(settings), metrics=metrics
            )
            if ledger is not None:
                source._ledger = ledger
            run = asyncio.create_task(source.run(stop))
            try:
                yield Running(source, sink, metrics, stop, run)
            finally:
                stop.set()
                await in_time(run, what="the end of the source")
    finally:
        await sink.stop(0)


def raw_bodies(bootstrap: str, prefix: str, at_least: int) -> dict[str, list[bytes]]:
    """Values of the raw topic, by the id of their message."""
    found: dict[str, list[bytes]] = {}
    for message in read_all(bootstrap, [f"{prefix}.raw"], at_least=at_least):
        message_id = headers(message)["sqs.message_id"].decode()
        found.setdefault(message_id, []).append(message.value() or b"")
    return found


PASSING = (
    *PASSING_FOR_READERS,
    *TIMED_OUT,
    KafkaError._DESTROY_BROKER,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
)
"""Errors of a reader while a topic is new, or a broker is away."""

ANSWER_SECONDS = 300.0
"""Time limit for an answer of Kafka to the witness: tests stop its brokers."""


class KafkaWitness:
    """Reads the raw topic, and checks at each deletion that the message's record can be read."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{prefix}-witness",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        self._topic = f"{prefix}.raw"
        self._count = partitions
        self._places: list[TopicPartition] = []
        self._lock = Lock()
        self.seen: set[str] = set()
        self.too_early: list[str] = []
        """Messages that were deleted before their record could be read."""
        self.deletions = 0

    def __call__(self, ids: Sequence[str]) -> None:
        with self._lock:
            self.deletions += len(ids)
            if not self.seen.issuperset(ids):
                self._read()
            self.too_early += [each for each in ids if each not in self.seen]

    def _read(self) -> None:
        """Read to the current end, also of partitions that were added."""
        known = self._ask(lambda: self._consumer.list_topics(self._topic, timeout=10))
        self._count = max(self._count, len(known.topics[self._topic].partitions))
        added = [
            TopicPartition(self._topic, number, 0)
            for number in range(len(self._places), self._count)
        ]
        if added:
            self._consumer.incremental_assign(added)
            self._places += added
        ends = {place.partition: self._end(place) for place in self._places}
        while any(self._position(place) < ends[place.partition] for place in self._places):
            for message in self._consumer.consume(1_000, 0.05):
                if message.error() is None and MESSAGE_ID_HEADER in (found := headers(message)):
                    self.seen.add(found[MESSAGE_ID_HEADER].decode())

    def _end(self, place: TopicPartition) -> int:
        _first, end = self._ask(lambda: self._consumer.get_watermark_offsets(place, timeout=10))
        return int(end)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """An answer of Kafka. Brokers may be away, or not know yet that they lead."""
        answers: list[Any] = []
        errors: list[KafkaException] = []

        def is_told() -> bool:
            try:
                answers.append(question())
            except KafkaException as error:
                cause = error.args[0]
                if not cause.retriable() and cause.code() not in PASSING:
                    raise
                errors.append(error)
                return False
            return True

        wait_until(
            is_told,
            ANSWER_SECONDS,
            what=lambda: f"an answer about {self._topic}: {errors[-1:]}",
        )
        return answers[0]

    def _position(self, place: TopicPartition) -> int:
        return max(self._consumer.position([place])[0].offset, 0)

    def close(self) -> None:
        """End."""
        self._consumer.close()
