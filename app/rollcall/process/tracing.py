"""OpenTelemetry traces of single events, from the raw topic to the rosters. Off unless
``ROLLCALL_TRACE_RATIO`` is set, and then nothing here is loaded.

A traced record carries the W3C headers ``traceparent`` and ``tracestate``. An agent that reads one
makes a span of it, from the begin of the work on its chunk to the commit, and the records that
follow from it carry that span's context. The router begins traces, too, for a share of the records
that bear none. A record whose producer decided against a trace has none.

Spans name topics, partitions and offsets, and nothing that is in a record: no key, no value.

Needs the extra ``tracing`` (opentelemetry-sdk and its OTLP exporter over HTTP). Where to send, how,
and what else to say of the process is told by OpenTelemetry's own variables:
``OTEL_EXPORTER_OTLP_ENDPOINT`` and others.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from rollcall.record import TRACE_HEADERS, Header, Headers, Record
from rollcall.streaming.chunks import Chunk, ChunkAgent, ChunkHandler, Halt, Outputs, Result
from rollcall.streaming.rows import Rows

TRACEPARENT = "traceparent"

CLOSE_SECONDS = 2.0
"""So long may the last spans take on their way out when the process ends."""

_PROPAGATOR = TraceContextTextMapPropagator()


class TracedRecord(NamedTuple):
    """Implements :class:`rollcall.streaming.chunks.Record`: one that carries a span of ours."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


class Tracing:
    """Makes spans of what the agents of a process do, as long as it is open.

    Args:
        service: the name of the process, where OTEL_SERVICE_NAME gives it no other.
        ratio: the share of records without a trace for which one is begun, 0 to 1.
        processor: takes the spans; where none is given, they are sent by OTLP.
    """

    def __init__(self, service: str, ratio: float, processor: SpanProcessor | None = None) -> None:
        named = {} if OTEL_SERVICE_NAME in os.environ else {SERVICE_NAME: service}
        # what has a span was sampled before
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(named), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("rollcall")
        self._ratio = ratio

    def traced(self, agent: ChunkAgent, group: str) -> ChunkAgent:
        """The same agent, traced."""

        def new_handler(partition: int, rows: Rows) -> TracedHandler:
            return TracedHandler(
                agent.new_handler(partition, rows), self._tracer, self._ratio, agent.name, group
            )

        return replace(agent, new_handler=new_handler)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Send what is left, if that is quick."""
        # it may try again for long
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)


class TracedHandler:
    """Implements :class:`rollcall.streaming.chunks.ChunkHandler` around another one."""

    def __init__(
        self, inner: ChunkHandler, tracer: Tracer, ratio: float, agent: str, group: str
    ) -> None:
        self._inner = inner
        self._tracer = tracer
        self._ratio = ratio
        self._attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": group,
            "rollcall.agent": agent,
        }

    @property
    def unfinished(self) -> int:
        """As the other one says."""
        return self._inner.unfinished

    def resume(self, note: str) -> Halt | None:
        """As the other one says."""
        return self._inner.resume(note)

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> Result:
        """Let the other one process the records, those that are traced with their spans'
        contexts.
        """
        spans: dict[int, Span] = {}
        by_context: dict[Header, Span] = {}
        traced, first = [], 0
        for chunk in chunks:
            traced.append(
                chunk._replace(records=list(self._traced(chunk, first, spans, by_context)))
            )
            first += len(chunk.records)
        if not spans:
            return self._inner.process(chunks, outputs)
        return _TracedResult(
            self._inner.process(traced, _TracedOutputs(outputs, by_context)), spans
        )

    def _traced(
        self, chunk: Chunk, first: int, spans: dict[int, Span], by_context: dict[Header, Span]
    ) -> Iterator[Record]:
        """The records of a chunk, those that are traced with their spans' contexts in place of the
        ones that they came with.

        Args:
            first: the number of the first record, of all chunks.
            spans: by the number of the record; added to.
            by_context: by the header that carries the span's context; added to.
        """
        for index, record in enumerate(chunk.records, first):
            span = self._begin(chunk, record)
            if span is None:
                yield record
                continue
            context = _context_of(span)
            spans[index] = span
            by_context.update((header, span) for header in context if header[0] == TRACEPARENT)
            headers = [header for header in record.headers if header[0] not in TRACE_HEADERS]
            yield TracedRecord(
                record.offset, record.timestamp, record.key, record.value, headers + context
            )

    def _begin(self, chunk: Chunk, record: Record) -> Span | None:
        """A span of the work on a record; None when it is not traced."""
        carrier = {
            name: (content or b"").decode("ascii", "replace")
            for name, content in record.headers
            if name in TRACE_HEADERS
        }
        parent = _PROPAGATOR.extract(carrier, Context()) if carrier else Context()
        told = trace.get_current_span(parent).get_span_context()
        if told.is_valid:
            if not told.trace_flags.sampled:
                return None
        elif random.random() >= self._ratio:  # noqa: S311
            return None
        attributes: dict[str, AttributeValue] = {
            **self._attributes,
            "messaging.destination.name": chunk.topic,
            "messaging.destination.partition.id": str(chunk.partition),
            "messaging.kafka.offset": record.offset,
        }
        return self._tracer.start_span(
            f"process {chunk.topic}", context=parent, kind=SpanKind.CONSUMER, attributes=attributes
        )


@dataclass(frozen=True, slots=True)
class _TracedOutputs:
    """Implements :class:`rollcall.streaming.chunks.Outputs`: notes on the spans where the records
    went that follow from theirs.
    """

    outputs: Outputs
    by_context: dict[Header, Span]

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: Headers,
    ) -> None:
        """Pass a record on."""
        for header in headers:
            if (span := self.by_context.get(header)) is not None:
                span.add_event(
                    "write",
                    {
                        "messaging.destination.name": topic,
                        "messaging.destination.partition.id": str(partition),
                    },
                )
        self.outputs.append(topic, partition, key, value, timestamp, headers)


class _TracedResult:
    """Implements :class:`rollcall.streaming.chunks.Result` around another one: spans end with the
    commit, and without one there were none.
    """

    def __init__(self, inner: Result, spans: dict[int, Span]) -> None:
        self._inner = inner
        self._spans = spans
        self.consumed = inner.consumed
        self.halt = inner.halt

    def on_committed(self, now: float) -> None:
        """Pass it on, and end the spans of what was consumed."""
        self._inner.on_committed(now)
        at = time.time_ns()
        for index, span in self._spans.items():
            if index < self.consumed:
                span.end(at)


def _context_of(span: Span) -> Headers:
    """A span's context, as the headers that carry it."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return [(name, content.encode("ascii", "replace")) for name, content in carrier.items()]
