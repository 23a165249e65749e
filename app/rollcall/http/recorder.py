"""A ``send`` that records the status and the size of a response."""

from __future__ import annotations

from starlette.types import Message, Send

CLIENT_GONE = 499
"""Status in log and metrics if the client left before the response started, as in nginx."""


class ResponseRecorder:
    """Passes messages on to ``send``."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status: int | None = None
        self.body_bytes = 0

    @property
    def started(self) -> bool:
        """Whether the response has a status already, and can no longer be replaced."""
        return self._status is not None

    @property
    def status(self) -> int:
        """Status of the response; :data:`CLIENT_GONE` if there was none."""
        return CLIENT_GONE if self._status is None else self._status

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body":
            self.body_bytes += len(message.get("body", b""))
        await self._send(message)
