"""HTTP for clients that take their time, or say too much: whoever does not get on gives the
connection back.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 10.0
"""So long may a client take for the head of a request. uvicorn waits for ever."""

SENDING_SECONDS = 60.0
"""So long may a client take to receive what was written for it. uvicorn, and a closed connection's
system too, wait as long as the client is there.
"""

MOST_HEAD_BYTES = 32 * 1024
"""Of a request's address and headers. uvicorn's fast parser takes as many as come."""

_TOO_MUCH = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: "
    b"close\r\ncontent-length: 0\r\n\r\n"
)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's, with an end to its patience."""

    _reading: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None
    _unfinished = 0
    """Bytes of a request that is not complete, without its body."""
    _cycles: tuple[RequestResponseCycle, ...] = ()
    """Of the requests that may not have been answered yet. uvicorn's own ``cycle`` is the last one
    only.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        # To hear of everything that the client has not taken yet, not only of the first 64 KiB of
        # it.
        transport.set_write_buffer_limits(high=0)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """The client says something: more of a request, or the beginning of the next one."""
        if self._reading is None and not self._is_answering:
            self._wait()
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > MOST_HEAD_BYTES and not self.transport.is_closing():
            if not self._is_answering:
                self.transport.write(_TOO_MUCH)
            self.transport.close()
        if self.transport.is_closing():  # here, or by uvicorn, which could make nothing of it
            self._abandon()

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._calm()
        super().on_headers_complete()
        self._cycles = (
            *(cycle for cycle in self._cycles if not cycle.response_complete),
            self.cycle,
        )

    def on_body(self, body: bytes) -> None:
        """Some of a request's body is there. How much of it there may be is not a matter of the
        protocol.
        """
        self._unfinished -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is there as a whole."""
        self._unfinished = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not take all that is there for it."""
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(SENDING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken it."""
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._calm()
        super().connection_lost(exc)
        self._abandon()
        self.resume_writing()

    @property
    def _is_answering(self) -> bool:
        """Whether a request has not been answered yet; of several at once the last one is answered
        last.
        """
        return not getattr(self.cycle, "response_complete", True)  # None before the first request

    def _wait(self) -> None:
        self._reading = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _calm(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _give_up(self) -> None:
        self._reading = None
        self.transport.close()
        self._abandon()

    def _abandon(self) -> None:
        """Have nothing more written of any answer: uvloop raises when somebody writes to a
        connection that is closed.
        """
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        self._cycles = ()
