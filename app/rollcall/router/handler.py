"""One partition's chunks through the pipeline: one record in, one record out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rollcall.events.outcomes import DeadLetter, Routed, Unknown, UnknownReason
from rollcall.events.pipeline import Pipeline
from rollcall.kafka.topics import TimestampWindow
from rollcall.process.breaker import Breaker, BreakerPolicy
from rollcall.process.dead_letter_records import bounded_dead_letter, record_bytes, too_large
from rollcall.process.metrics import UNKNOWN_NAME, RouterMetrics
from rollcall.process.topics import TopicNames
from rollcall.record import Record, encode_headers
from rollcall.router.publishing import TypedOutputs
from rollcall.streaming.chunks import Chunk, Halt, Outputs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RouterKit:
    """What the handlers of all partitions share."""

    pipeline: Pipeline
    names: TopicNames
    topics: dict[str, str]
    """The typed topics, by event_name."""
    partitions: int
    """Of the typed, unknown and dead-letter topics."""
    partition_of: Callable[[bytes], int]
    """From key to partition of these topics."""
    max_record_bytes: int
    """What these topics take."""
    retention_ms: int | None
    """The shortest retention of these topics; None: for ever."""
    window: TimestampWindow
    breaker: BreakerPolicy
    metrics: RouterMetrics


@dataclass(slots=True)
class RouterResult:
    """Implements :class:`rollcall.streaming.chunks.Result`: the counts of one chunk, which become
    metrics when it is committed.
    """

    metrics: RouterMetrics
    consumed: int = 0
    halt: Halt | None = None
    changes: int = 0
    routed: list[str] = field(default_factory=list)
    """The event_name of each."""
    unknown: Counter[UnknownReason] = field(default_factory=Counter)
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    unknown_values: Counter[str] = field(default_factory=Counter)
    redacted: int = 0
    event_times: list[float] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)

    def count(self, records: Sequence[Record]) -> None:
        """Take note of records for which there is an output."""
        self.consumed += len(records)
        self.timestamps += [
            record.timestamp
            for record in records
            if record.timestamp is not None and record.timestamp >= 0
        ]

    def on_committed(self, now: float) -> None:
        """Count the chunk, in one step: whoever scrapes sees that received = routed + unknown +
        not selected + dead letters.
        """
        metrics = self.metrics
        metrics.events_received_total.inc(self.consumed)
        for name, count in Counter(self.routed).items():
            metrics.events_routed_total.labels(name).inc(count)
        metrics.events_unknown_total.inc(self.unknown[UnknownReason.NO_SCHEMA])
        metrics.events_not_selected_total.inc(self.unknown[UnknownReason.NOT_SELECTED])
        for (code, name), count in self.dead.items():
            metrics.dead_letters_total.labels(code, name).inc(count)
        for name, count in self.unknown_fields.items():
            metrics.unknown_fields_total.labels(name).inc(count)
        for name, count in self.unknown_values.items():
            metrics.unknown_values_total.labels(name).inc(count)
        metrics.redacted_total.inc(self.redacted)
        metrics.event_age_seconds.observe_ages(self.event_times, now)
        metrics.pipeline_seconds.observe_ages([stamp / 1000 for stamp in self.timestamps], now)


class RouterHandler:
    """Implements :class:`rollcall.streaming.chunks.ChunkHandler`."""

    def __init__(self, kit: RouterKit) -> None:
        self._kit = kit
        self._breaker = Breaker(kit.breaker)

    @property
    def unfinished(self) -> int:
        """What comes in goes out at once."""
        return 0

    def resume(self, note: str) -> Halt | None:
        """A breaker that opened in another life stays open."""
        return self._breaker.resume(note)

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> RouterResult:
        """Write one record for each record, until the breaker opens."""
        result = RouterResult(self._kit.metrics)
        now = int(time.time() * 1000)
        self._earliest, self._latest = self._kit.window.around(now)
        for chunk in chunks:
            self._process(chunk, outputs, result)
            if result.halt is not None:
                break
        if (
            self._kit.retention_ms is not None
            and min(result.timestamps, default=now) < now - self._kit.retention_ms
        ):
            log.warning(
                "records bear timestamps older than the retention of the topics they go to: Kafka "
                "deletes them within minutes; raise retention.ms for a while"
            )
        return result

    def _process(self, chunk: Chunk, outputs: Outputs, result: RouterResult) -> None:
        kit, breaker, judge = self._kit, self._breaker, self._kit.pipeline.judge
        publish = TypedOutputs(
            outputs=outputs,
            result=result,
            topics=kit.topics,
            partition_of=kit.partition_of,
            keyless_partition=chunk.partition % kit.partitions,
            max_record_bytes=kit.max_record_bytes,
            accepted=(self._earliest, self._latest),
        ).publish
        told = 0  # so many of the records the breaker knows of
        records = chunk.records
        for index, record in enumerate(records):
            outcome = judge(record.value, record.headers)
            if isinstance(outcome, Routed):
                letter = publish(outcome, record.timestamp)
                if letter is None:
                    continue
                outcome = letter
            if self._set_aside(outcome, chunk, record, outputs, result):
                breaker.passed(index - told)
                told = index + 1
                if breaker.failed():
                    result.halt = breaker.halt()
                    result.count(records[:told])
                    return
        breaker.passed(len(records) - told)
        result.count(records)

    def _set_aside(
        self,
        outcome: Unknown | DeadLetter,
        chunk: Chunk,
        record: Record,
        outputs: Outputs,
        result: RouterResult,
    ) -> bool:
        """Write a record that is not routed; whether it became a dead letter."""
        kit, limit = self._kit, self._kit.max_record_bytes
        key = kit.pipeline.clean_key(record.key)
        partition = (
            chunk.partition % kit.partitions if record.key is None else kit.partition_of(record.key)
        )
        if isinstance(outcome, Unknown):
            size = record_bytes(key, outcome.value, outcome.headers)
            if size <= limit:
                outputs.append(
                    kit.names.unknown,
                    partition,
                    key,
                    outcome.value,
                    self._timestamp(record),
                    encode_headers(outcome.headers),
                )
                result.unknown[outcome.reason] += 1
                result.redacted += outcome.redacted
                return False
            outcome = too_large(outcome.value, outcome.headers, None, size, limit, outcome.redacted)
        letter, key, headers = bounded_dead_letter(
            outcome, key, chunk.topic, chunk.partition, record, limit
        )
        outputs.append(
            kit.names.dead_letter,
            partition,
            key,
            letter.value,
            self._timestamp(record),
            encode_headers(headers),
        )
        result.dead[letter.code.value, letter.event_name or UNKNOWN_NAME] += 1
        result.redacted += letter.redacted
        return True

    def _timestamp(self, record: Record) -> int | None:
        """The raw record's timestamp, or None (now) when it has none or the topics would refuse it:
        a producer with a wrong clock must not stop the router.
        """
        timestamp = record.timestamp
        return (
            timestamp
            if timestamp is not None and self._earliest <= timestamp <= self._latest
            else None
        )
