"""Reads the router's output topics with a plain Kafka consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from rollcall.errors import RollcallError
from rollcall.events.registry import REGISTRY
from rollcall.ingest.raw_records import SOURCE_HEADER
from rollcall.kafka.bounded import stop_reader
from rollcall.process.topics import TopicNames
from rollcall.sandbox.canvas.traffic import CREDENTIAL
from rollcall.sandbox.demo.arrivals import RawEvent
from rollcall.sandbox.demo.ledger import Ledger

SILENCE_SECONDS = 30.0
"""Deadline for the next records."""

_CREDENTIAL = CREDENTIAL.encode()
_CODE = "rollcall.error.code"
_REDACTED = "rollcall.redacted"


class ReadingError(RollcallError):
    """The topics could not be read to their ends."""


class Sample(NamedTuple):
    """A record for the report."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes | None]


@dataclass(slots=True)
class Outputs:
    """Counts and samples of the records on the output topics."""

    changed: set[bytes]
    """Values that must not change; at the end, those that were not found."""
    ledger: Ledger = field(default_factory=Ledger)
    dead_letters: dict[str, Sample] = field(default_factory=dict)
    """The first readable dead letter of each code."""
    events: dict[str, Sample] = field(default_factory=dict)
    """The first typed event of each kind (:func:`_kind`), if possible a documented one."""
    redacted: int = 0
    """Records with a replaced credential."""
    leaked: int = 0
    """Records with a credential."""

    def add(self, sample: Sample, event_name: str | None, dead: bool) -> None:
        """Count a record of a typed topic if it has an event_name, else of the dead-letter topic or
        the topic of unknown events.
        """
        if event_name is not None:
            self.ledger.routed[event_name] += 1
            if sample.value in self.changed:
                self.changed.discard(sample.value)
                self.events[event_name] = sample
            else:
                self.events.setdefault(_kind(sample, event_name), sample)
        elif dead:
            code = (sample.headers.get(_CODE) or b"no code").decode(errors="replace")
            self.ledger.dead[code] += 1
            if code not in self.dead_letters or (
                _is_legible(sample) and not _is_legible(self.dead_letters[code])
            ):
                self.dead_letters[code] = sample
        else:
            self.ledger.unknown += 1
        self.redacted += _REDACTED in sample.headers
        self.leaked += _CREDENTIAL in (sample.value or b"") or any(
            _CREDENTIAL in (content or b"") for content in sample.headers.values()
        )


def _is_legible(sample: Sample) -> bool:
    return (sample.value or b"").isascii()


def _kind(sample: Sample, event_name: str) -> str:
    """The kind of a typed event in the report: ``redacted``, or its event_name."""
    if _REDACTED in sample.headers:
        return "redacted"
    return event_name


async def read_outputs(
    client_options: Mapping[str, Any],
    names: TopicNames,
    partitions: int,
    documented: Iterable[bytes],
) -> Outputs:
    """Read the committed records of all output topics.

    Args:
        client_options: see :func:`rollcall.kafka.client.client_options`.
        names: names of the topics.
        partitions: number of partitions of each topic.
        documented: values that must not change.

    Raises:
        ReadingError: the cluster does not answer, or an end is not reached.
    """
    event_names = {names.typed(event_type): name for name, event_type in REGISTRY.items()}
    places = [
        TopicPartition(topic, number)
        for topic in (*event_names, names.unknown, names.dead_letter)
        for number in range(partitions)
    ]
    found = Outputs(set(documented))
    async for record in read_committed(client_options, places):
        found.add(
            Sample(
                record.topic,
                record.partition,
                record.offset,
                record.key,
                record.value,
                dict(record.headers),
            ),
            event_names.get(record.topic),
            record.topic == names.dead_letter,
        )
    return found


async def read_raw_events(
    client_options: Mapping[str, Any], topic: str, partitions: int
) -> list[RawEvent]:
    """Read the records of the raw topic that came through a queue or the webhook. Raises like
    :func:`read_outputs`.
    """
    places = [TopicPartition(topic, number) for number in range(partitions)]
    return [
        RawEvent(source.decode(), record.partition, record.value)
        async for record in read_committed(client_options, places)
        if (source := dict(record.headers).get(SOURCE_HEADER)) is not None
    ]


async def read_committed(
    client_options: Mapping[str, Any], places: Collection[TopicPartition]
) -> AsyncIterator[ConsumerRecord]:
    """The committed records of partitions, up to their present ends.

    Raises:
        ReadingError: the cluster does not answer, or an end is not reached.
    """
    options = {**client_options, "enable_auto_commit": False, "request_timeout_ms": 20_000}
    consumer = AIOKafkaConsumer(
        **options,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    count = 0
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            ends = await high_watermarks(options, places)
            await consumer.start()
            consumer.assign(places)
        pending = {place for place in places if ends[place] > 0}
        while pending:
            async with asyncio.timeout(SILENCE_SECONDS):
                chunks: dict[TopicPartition, list[ConsumerRecord]] = {}
                while pending and not chunks:
                    chunks = await consumer.getmany(timeout_ms=200, max_records=5_000)
                    pending = {
                        place for place in pending if await consumer.position(place) < ends[place]
                    }
            for records in chunks.values():
                count += len(records)
                for record in records:
                    yield record
    except TimeoutError:
        raise ReadingError(
            f"no records could be read for {SILENCE_SECONDS:.0f} s, after {count:,} records; look "
            "at the broker's log"
        ) from None
    except (KafkaError, OSError) as error:
        raise ReadingError(
            f"the topics could not be read ({type(error).__name__}: {error}); look at the "
            "broker's log"
        ) from None
    finally:
        await stop_reader(consumer)


async def high_watermarks(
    options: Mapping[str, Any], places: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The high watermark of each partition. The last stable offset is lower until transaction
    markers are written.
    """
    consumer = AIOKafkaConsumer(**options)
    try:
        await consumer.start()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
        return ends
    finally:
        await stop_reader(consumer)
