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
from rollcall.router.typed_outputs import TypedOutputs
from rollcall.streaming.chunks import Chunk, Halt, Outputs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RouterContext:
    """Shared by the handlers of all partitions."""

    pipeline: Pipeline
    names: TopicNames
    topics: dict[str, str]
    """The typed topics, by event_name."""
    partitions: int
    """Of the typed, unknown and dead-letter topics."""
    partition_of: Callable[[bytes], int]
    """From key to partition of these topics."""
    max_record_bytes: int
    """Maximum record size that these topics accept."""
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
        """Count records that have an output."""
        self.consumed += len(records)
        self.timestamps += [
            record.timestamp
            for record in records
            if record.timestamp is not None and record.timestamp >= 0
        ]

    def on_committed(self, now: float) -> None:
        """Count the chunk, in one step: at every scrape, received = routed + unknown + not selected
        + dead letters.
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

    def __init__(self, context: RouterContext) -> None:
        self._context = context
        self._breaker = Breaker(context.breaker)

    @property
    def unfinished(self) -> int:
        """Always 0: each record has its output at once."""
        return 0

    def resume(self, note: str) -> Halt | None:
        """A breaker that opened in an earlier process or lane stays open."""
        return self._breaker.resume(note)

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> RouterResult:
        """Write one record for each record, until the breaker opens."""
        result = RouterResult(self._context.metrics)
        now = int(time.time() * 1000)
        self._earliest, self._latest = self._context.window.around(now)
        for chunk in chunks:
            self._process(chunk, outputs, result)
            if result.halt is not None:
                break
        if (
            self._context.retention_ms is not None
            and min(result.timestamps, default=now) < now - self._context.retention_ms
        ):
            log.warning(
                "records bear timestamps older than the retention of the topics they go to: Kafka "
                "deletes them within minutes; raise retention.ms for a while"
            )
        return result

    def _process(self, chunk: Chunk, outputs: Outputs, result: RouterResult) -> None:
        context, breaker, judge = self._context, self._breaker, self._context.pipeline.judge
        publish = TypedOutputs(
            outputs=outputs,
            result=result,
            topics=context.topics,
            partition_of=context.partition_of,
            keyless_partition=chunk.partition % context.partitions,
            max_record_bytes=context.max_record_bytes,
            accepted=(self._earliest, self._latest),
        ).publish
        counted = 0  # number of records that the breaker has counted
        records = chunk.records
        for index, record in enumerate(records):
            outcome = judge(record.value, record.headers)
            if isinstance(outcome, Routed):
                dead_letter = publish(outcome, record.timestamp)
                if dead_letter is None:
                    continue
                outcome = dead_letter
            if self._write_unrouted(outcome, chunk, record, outputs, result):
                breaker.passed(index - counted)
                counted = index + 1
                if breaker.failed():
                    result.halt = breaker.halt()
                    result.count(records[:counted])
                    return
        breaker.passed(len(records) - counted)
        result.count(records)

    def _write_unrouted(
        self,
        outcome: Unknown | DeadLetter,
        chunk: Chunk,
        record: Record,
        outputs: Outputs,
        result: RouterResult,
    ) -> bool:
        """Write an unknown record or dead letter. Returns whether it became a dead letter."""
        context, limit = self._context, self._context.max_record_bytes
        key = context.pipeline.clean_key(record.key)
        partition = (
            chunk.partition % context.partitions
            if record.key is None
            else context.partition_of(record.key)
        )
        if isinstance(outcome, Unknown):
            size = record_bytes(key, outcome.value, outcome.headers)
            if size <= limit:
                outputs.append(
                    context.names.unknown,
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
        dead_letter, key, headers = bounded_dead_letter(
            outcome, key, chunk.topic, chunk.partition, record, limit
        )
        outputs.append(
            context.names.dead_letter,
            partition,
            key,
            dead_letter.value,
            self._timestamp(record),
            encode_headers(headers),
        )
        result.dead[dead_letter.code.value, dead_letter.event_name or UNKNOWN_NAME] += 1
        result.redacted += dead_letter.redacted
        return True

    def _timestamp(self, record: Record) -> int | None:
        """The raw record's timestamp. None (now) if it has none or the topics would refuse it: a
        producer with a wrong clock must not stop the router.
        """
        timestamp = record.timestamp
        return (
            timestamp
            if timestamp is not None and self._earliest <= timestamp <= self._latest
            else None
        )
