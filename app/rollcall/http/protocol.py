"""HTTP protocol with limits for clients that are slow, or whose requests are too large."""

from __future__ import annotations

import asyncio
from collections import deque

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 10.0
"""Time for the head of a request. uvicorn has no limit."""

SENDING_SECONDS = 60.0
"""Time for a client to receive a response. uvicorn has no limit, and neither has the kernel for a
closed connection.
"""

MOST_HEAD_BYTES = 32 * 1024
"""Limit of a request's address and headers. uvicorn's httptools parser has no limit."""

MOST_WAITING = 16
"""Requests of a connection that wait for the answer to an earlier one. uvicorn has no limit, and
parses a whole read at once: that can be thousands.
"""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: "
    b"close\r\ncontent-length: 0\r\n\r\n"
)


class TooManyRequestsError(Exception):
    """A client sends requests faster than it gets answers. Ends the parsing of a read."""


class _PatientFlow(FlowControl):
    """Reads nothing while requests wait. The one that is answered then is complete already."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Called when a request asks for its body, and after each answer."""
        if not self._waiting:
            super().resume_reading()


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits of time and size."""

    _reading: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None
    _unfinished = 0
    """Bytes of an incomplete request, without its body."""
    _cycles: deque[RequestResponseCycle]
    """Cycles of requests whose responses may be incomplete, in their order. uvicorn's ``cycle`` is
    the last one only.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called for a new connection."""
        super().connection_made(transport)
        self._cycles = deque()
        self.flow = _PatientFlow(transport, self.pipeline)  # type: ignore[arg-type]
        # pause_writing is called for any unsent byte, not only above 64 KiB. With TLS, asyncio
        # pauses as soon as the limit is reached: at 0 always, and it would not resume.
        transport.set_write_buffer_limits(high=1 if self.scheme == "https" else 0)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Called for each part of a request."""
        if self._reading is None and not self._is_responding:
            self._start_timer()
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > MOST_HEAD_BYTES and not self.transport.is_closing():
            if not self._is_responding:
                self.transport.write(_TOO_LARGE)
            self.transport.close()
        if self.transport.is_closing():  # by this method, or by uvicorn after a parse error
            self._abandon()

    def on_headers_complete(self) -> None:
        """Called for a complete head."""
        self._stop_timer()
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)
        if len(self.pipeline) > MOST_WAITING:
            self.transport.close()
            raise TooManyRequestsError

    def send_400_response(self, msg: str) -> None:
        """Called after a parse error."""
        if not self.transport.is_closing():  # closed for another reason, in the midst of an answer
            super().send_400_response(msg)

    def on_body(self, body: bytes) -> None:
        """Called for each part of a body. A middleware limits the size of bodies."""
        self._unfinished -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called for a complete request."""
        self._unfinished = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Called if the client does not receive as fast as the response is written."""
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(SENDING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Called if the client has received everything."""
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Called after the end of the connection."""
        self._stop_timer()
        super().connection_lost(exc)
        self._abandon()
        self.resume_writing()

    @property
    def _is_responding(self) -> bool:
        """Whether a response is incomplete. Of several requests, the last one is answered last."""
        return not getattr(self.cycle, "response_complete", True)  # None before the first request

    def _start_timer(self) -> None:
        self._reading = self.loop.call_later(HEAD_SECONDS, self._time_out)

    def _stop_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _time_out(self) -> None:
        self._reading = None
        self.transport.close()
        self._abandon()

    def _abandon(self) -> None:
        """Stop all responses: uvloop raises an error for a write to a closed connection."""
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        self._cycles.clear()
