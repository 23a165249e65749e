"""OpenTelemetry traces of single events, from the raw topic to the rosters. Disabled, and not
loaded, unless ``ROLLCALL_TRACE_RATIO`` is set.

A traced record has the W3C headers ``traceparent`` and ``tracestate``. An agent that reads one
creates a span, from the start of work on its chunk to the commit. The records derived from it carry
that span's context. The router also starts traces, for a share of the records without one. A record
whose producer decided against sampling gets no trace.

Spans name topics, partitions and offsets, and no content of records: no key, no value.

Needs the extra ``tracing`` (opentelemetry-sdk and its OTLP exporter over HTTP). OpenTelemetry's own
variables, such as ``OTEL_EXPORTER_OTLP_ENDPOINT``, configure the export and the resource.
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

from rollcall.record import (
    TRACE_HEADERS,
    EncodedHeaders,
    Header,
    Headers,
    Record,
    decode_headers,
)
from rollcall.streaming.chunks import Chunk, ChunkAgent, ChunkHandler, Halt, Outputs, Result
from rollcall.streaming.rows import Rows

TRACEPARENT = "traceparent"

CLOSE_SECONDS = 2.0
"""Time limit for exporting the last spans when the process ends."""

_PROPAGATOR = TraceContextTextMapPropagator()


class TracedRecord(NamedTuple):
    """Implements :class:`rollcall.record.Record`, with a span's context in its headers."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


class Tracing:
    """Creates spans for the agents of a process while it is open.

    Args:
        service: name of the process, unless OTEL_SERVICE_NAME is set.
        ratio: share of records without a trace for which one is started, 0 to 1.
        processor: takes the spans; by default they are exported by OTLP.
    """

    def __init__(self, service: str, ratio: float, processor: SpanProcessor | None = None) -> None:
        named = {} if OTEL_SERVICE_NAME in os.environ else {SERVICE_NAME: service}
        # sampling is decided in TracedHandler._begin
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(named), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("rollcall")
        self._ratio = ratio

    def traced(self, agent: ChunkAgent, group: str) -> ChunkAgent:
        """The agent, with tracing."""

        def new_handler(partition: int, rows: Rows) -> TracedHandler:
            return TracedHandler(
                agent.new_handler(partition, rows),
                tracer=self._tracer,
                ratio=self._ratio,
                agent=agent.name,
                group=group,
            )

        return replace(agent, new_handler=new_handler)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Export the last spans, if that is quick."""
        # the exporter may retry for long
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_SECONDS)


class TracedHandler:
    """Implements :class:`rollcall.streaming.chunks.ChunkHandler` around another handler."""

    def __init__(
        self, inner: ChunkHandler, *, tracer: Tracer, ratio: float, agent: str, group: str
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
        """Of the inner handler."""
        return self._inner.unfinished

    def resume(self, note: str) -> Halt | None:
        """Of the inner handler."""
        return self._inner.resume(note)

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> Result:
        """Pass the chunks to the inner handler; traced records carry their spans' contexts."""
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
        """Records of a chunk; traced ones carry their span's context in place of the original one.

        Args:
            first: number of the first record, over all chunks.
            spans: by record number; added to.
            by_context: by the header with the span's context; added to.
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
        """Start a span for a record; None if it is not traced."""
        carrier = {
            name: (content or b"").decode("ascii", "replace")
            for name, content in record.headers
            if name in TRACE_HEADERS
        }
        parent = _PROPAGATOR.extract(carrier, Context()) if carrier else Context()
        parent_context = trace.get_current_span(parent).get_span_context()
        if parent_context.is_valid:
            if not parent_context.trace_flags.sampled:
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
    """Implements :class:`rollcall.streaming.chunks.Outputs`: adds an event to a span for each
    record derived from its record.
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
        headers: EncodedHeaders,
    ) -> None:
        """Pass a record on."""
        for header in decode_headers(headers):
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
    """Implements :class:`rollcall.streaming.chunks.Result` around another one: ends spans at the
    commit. Without a commit they are never exported.
    """

    def __init__(self, inner: Result, spans: dict[int, Span]) -> None:
        self._inner = inner
        self._spans = spans
        self.consumed = inner.consumed
        self.halt = inner.halt

    def on_committed(self, now: float) -> None:
        """Pass the call on, and end the spans of consumed records."""
        self._inner.on_committed(now)
        at = time.time_ns()
        for index, span in self._spans.items():
            if index < self.consumed:
                span.end(at)


def _context_of(span: Span) -> Headers:
    """Headers with a span's context."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return [(name, content.encode("ascii", "replace")) for name, content in carrier.items()]
