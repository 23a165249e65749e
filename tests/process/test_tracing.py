"""Traces: which records have spans, their content, and no cost while disabled."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rollcall.errors import ConfigurationError
from rollcall.process.stream import new_tracing
from rollcall.process.tracing import TracedRecord, Tracing
from rollcall.record import Header, encode_headers
from rollcall.settings import load_settings
from rollcall.streaming.chunks import Chunk, ChunkAgent, Halt, Outputs
from rollcall.streaming.rows import Rows
from tests.kafka_client import Sent, create_topic, headers, read_all, send
from tests.otlp import receiving
from tests.outputs import MemoryOutputs
from tests.processes import RostersProcess, RouterProcess
from tests.rosters.cluster import PARTITIONS, SHARD, RosterCluster
from tests.rosters.scenarios import course, enrollment, section

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()
UNSAMPLED = f"00-{TRACE}-{SPAN}-00".encode()
STATE = ("tracestate", b"vendor=1")


class Echo:
    """Implements :class:`rollcall.streaming.chunks.ChunkHandler`: writes its input with headers, up
    to a record at which it halts.
    """

    unfinished = 7

    def __init__(self) -> None:
        self.commits = 0
        self.changes = 3
        self.consumed = 0
        self.halt: Halt | None = None

    def resume(self, note: str) -> Halt | None:
        """A halt with the note."""
        return Halt(note, note)

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> Echo:
        """Write the records."""
        for chunk in chunks:
            for record in chunk.records:
                outputs.append(
                    "out",
                    0,
                    record.key,
                    record.value,
                    record.timestamp,
                    encode_headers(record.headers),
                )
                self.consumed += 1
                if record.value == b"enough":
                    self.halt = Halt("enough", "enough")
                    return self
        return self

    def on_committed(self, now: float) -> None:
        """Count the commit."""
        self.commits += 1


def written(outputs: MemoryOutputs) -> list[dict[str, bytes | None]]:
    """The headers of the outputs; no name comes twice."""
    found = [dict(output.headers) for output in outputs]
    assert [len(headers) for headers in found] == [len(output.headers) for output in outputs]
    return found


def traced(ratio: float) -> tuple[Echo, InMemorySpanExporter, ChunkAgent]:
    """A traced agent, its inner handler, and the exporter of its spans."""
    echo, exporter = Echo(), InMemorySpanExporter()
    tracing = Tracing("rollcall-test", ratio, SimpleSpanProcessor(exporter))
    return (
        echo,
        exporter,
        tracing.traced(ChunkAgent("echo", ("in",), "g-echo", lambda _partition, _rows: echo), "g"),
    )


def chunk(*records: tuple[bytes, Sequence[Header]], first: int = 0) -> Chunk:
    """Values and headers as a chunk."""
    found = [
        TracedRecord(first + index, 5, b"k", value, list(with_headers))
        for index, (value, with_headers) in enumerate(records)
    ]
    return Chunk("in", 3, first, first + len(found), list(found), 0)


def test_a_trace_continues() -> None:
    echo, exporter, agent = traced(0.0)
    handler, outbox = agent.new_handler(3, Rows()), MemoryOutputs()
    result = handler.process(
        [
            chunk(
                (b"1", [("a", b"b"), ("traceparent", SAMPLED), STATE]),
                (b"2", []),
                (b"3", [("traceparent", UNSAMPLED)]),
            )
        ],
        outbox,
    )
    assert (result.consumed, result.halt) == (3, None)
    assert not exporter.get_finished_spans(), "before the commit"
    result.on_committed(0.0)
    assert echo.commits == 1
    [span] = exporter.get_finished_spans()
    assert span.context is not None
    assert span.parent is not None
    assert span.name == "process in"
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    first, second, third = written(outbox)
    assert first == {
        "a": b"b",
        "traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01".encode(),
        "tracestate": b"vendor=1",
    }
    assert second == {}
    assert third == {"traceparent": UNSAMPLED}
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "g",
        "messaging.destination.name": "in",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 0,
        "rollcall.agent": "echo",
    }
    [event] = span.events
    assert (event.name, dict(event.attributes or {})) == (
        "write",
        {"messaging.destination.name": "out", "messaging.destination.partition.id": "0"},
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish",
        b"\xff\xfe",
        SAMPLED + b"-more",
        b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
        None,
    ],
)
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_invalid_traceparents(content: bytes | None, ratio: float) -> None:
    """The trace continues unchanged, unless a new one is started."""
    _echo, exporter, agent = traced(ratio)
    outbox = MemoryOutputs()
    agent.new_handler(3, Rows()).process(
        [chunk((b"1", [("traceparent", content)]))], outbox
    ).on_committed(0.0)
    spans = exporter.get_finished_spans()
    assert len(spans) == ratio
    if ratio:
        assert spans[0].parent is None
        assert re.fullmatch(
            rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", written(outbox)[0]["traceparent"] or b""
        )
    else:
        assert written(outbox) == [{"traceparent": content}]


def test_a_share_of_the_records_starts_a_trace() -> None:
    random.seed(1)
    _echo, exporter, agent = traced(0.25)
    records = [(b"1", [STATE]) for _ in range(4_000)]
    agent.new_handler(3, Rows()).process(
        [chunk(*records[:1_000]), chunk(*records[1_000:], first=1_000)], outbox := MemoryOutputs()
    ).on_committed(0.0)
    assert 900 < len(exporter.get_finished_spans()) < 1_100
    assert len(
        {
            (span.attributes or {})["messaging.kafka.offset"]
            for span in exporter.get_finished_spans()
        }
    ) == len(exporter.get_finished_spans())
    assert sum("traceparent" in each for each in written(outbox)) == len(
        exporter.get_finished_spans()
    )


def test_records_that_are_not_consumed_have_no_span() -> None:
    _echo, exporter, agent = traced(1.0)
    handler = agent.new_handler(3, Rows())
    result = handler.process(
        [chunk((b"1", [])), chunk((b"enough", []), (b"3", []), first=1)], MemoryOutputs()
    )
    assert result.halt == Halt("enough", "enough")
    result.on_committed(0.0)
    assert [
        (span.attributes or {})["messaging.kafka.offset"] for span in exporter.get_finished_spans()
    ] == [0, 1]


def test_other_members_are_those_of_the_handler() -> None:
    _echo, _exporter, agent = traced(1.0)
    handler = agent.new_handler(3, Rows())
    assert handler.unfinished == 7
    assert handler.resume("note") == Halt("note", "note")
    assert (agent.name, agent.topics, agent.producer_prefix) == ("echo", ("in",), "g-echo")


def test_from_the_raw_topic_to_the_rosters(
    bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    cluster = RosterCluster(bootstrap, prefix)
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        options: dict[str, Any] = {"shard": SHARD, "partitions": PARTITIONS, "trace_ratio": 0}
        with (
            RouterProcess(tmp_path, bootstrap, prefix, **options) as router,
            RostersProcess(tmp_path, bootstrap, prefix, **options) as rosters,
        ):
            router.wait_ready()
            rosters.wait_ready()
            events = [course(1), section(1), enrollment(1)]
            sent = [
                Sent(
                    event.value, headers=(("traceparent", SAMPLED),) if event is events[-1] else ()
                )
                for event in events
            ]
            send(bootstrap, f"{prefix}.raw", sent)
            read_all(bootstrap, [f"{prefix}.events.enrollment_updated"], at_least=1)
            cluster.wait_settled(router, rosters)
            assert router.end() == rosters.end() == 0
    spans = {span.span_id: span for span in receiver.spans}
    assert {span.trace_id for span in spans.values()} == {TRACE}
    [first] = [span for span in spans.values() if span.parent_id == SPAN]
    assert (first.service, first.name) == ("rollcall-router", f"process {prefix}.raw")
    assert first.written_to == (f"{prefix}.events.enrollment_updated",)
    assert first.seconds > 0
    [typed] = read_all(bootstrap, [f"{prefix}.events.enrollment_updated"], at_least=1)
    assert headers(typed)["traceparent"].decode() == f"00-{TRACE}-{first.span_id}-01"
    [second] = [span for span in spans.values() if span.parent_id == first.span_id]
    assert (second.service, second.attributes["rollcall.agent"]) == (
        "rollcall-rosters",
        "enrollment",
    )
    [row] = read_all(bootstrap, [cluster.roster("enrollments")], at_least=1)
    [_, trace_id, span_id, _] = headers(row)["traceparent"].decode().split("-")
    last = spans[span_id]
    assert trace_id == TRACE
    assert cluster.roster("enrollments") in last.written_to
    path = [last.attributes["rollcall.agent"]]
    while last.parent_id != SPAN:
        last = spans[last.parent_id]
        path.append(last.attributes["rollcall.agent"])
    assert path == ["course", "section", "enrollment", "router"]
    for message in read_all(
        bootstrap, [cluster.roster("courses"), cluster.roster("sections")], at_least=2
    ):
        assert not headers(message), "these have no trace"


def test_a_missing_collector_does_not_stop_the_router(
    bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topic(bootstrap, f"{prefix}.raw", 1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with RouterProcess(tmp_path, bootstrap, prefix, trace_ratio=1) as router:
        router.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent(course(1).value)])
        [typed] = read_all(bootstrap, [f"{prefix}.events.course_updated"], at_least=1)
        assert headers(typed)["traceparent"].startswith(b"00-")
        assert router.end() == 0


def test_disabled_tracing_loads_no_modules() -> None:
    assert new_tracing(load_settings(), "router") is None
    loaded = (
        "import sys, rollcall.cli.run, rollcall.rosters.application; print([name for name in "
        "sys.modules if name.startswith('opentelemetry')])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_missing_opentelemetry_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rollcall.process.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(
        ConfigurationError,
        match=r"^ROLLCALL_TRACE_RATIO is set, and opentelemetry\.sdk\.trace is not there: "
        r"pip install '\.\[tracing\]'",
    ):
        new_tracing(load_settings(trace_ratio=0.5), "rosters")
