"""Receiver of OpenTelemetry traces (OTLP over HTTP), like a collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class ReceivedSpan:
    """A received span."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty: no parent."""
    attributes: dict[str, str | int]
    written_to: tuple[str, ...]
    """Topics of the derived records."""
    seconds: float


class Receiver:
    """Collects received spans."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[ReceivedSpan] = []

    def take(self, body: bytes) -> None:
        """Add the spans of a request."""
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            [service] = [
                each.value.string_value
                for each in resource_spans.resource.attributes
                if each.key == "service.name"
            ]
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    attributes: dict[str, str | int] = {
                        each.key: each.value.string_value
                        if each.value.HasField("string_value")
                        else each.value.int_value
                        for each in span.attributes
                    }
                    written_to = tuple(
                        each.value.string_value
                        for event in span.events
                        for each in event.attributes
                        if each.key == "messaging.destination.name"
                    )
                    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    self.spans.append(
                        ReceivedSpan(service, span.name, *ids, attributes, written_to, seconds)
                    )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path == "/v1/traces":
                receiver.take(_plain(self))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _plain(request: BaseHTTPRequestHandler) -> bytes:
    assert request.headers.get("Content-Encoding") is None
    return request.rfile.read(int(request.headers["Content-Length"]))
