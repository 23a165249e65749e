"""Reads the bodies of requests whose signature is not checked yet, within bounds of time and memory
for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from rollcall.http.errors import HttpError

BODY_SECONDS = 5.0
"""Time for a body. Canvas sends it with the head."""


class Bodies:
    """All bodies that are being read or checked.

    Args:
        most_bytes: of all of them. Above it, the oldest ones are given up: their senders are slow,
            and a new one may be Canvas's.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: dict[asyncio.Timeout, int] = {}
        """Bytes of each body, the oldest first."""
        self.held_bytes = 0

    @contextlib.asynccontextmanager
    async def held(self, receive: Receive) -> AsyncIterator[bytes]:
        """A body. It counts until the context ends.

        Raises:
            HttpError: 408: it took too long, or was given up.
            ClientDisconnect: the client has left.
        """
        try:
            async with asyncio.timeout(BODY_SECONDS) as timeout:
                self._held[timeout] = 0
                try:
                    body = bytearray()
                    async for part in _parts(receive):
                        body += part
                        self._count(timeout, len(part))
                    timeout.reschedule(None)
                    yield bytes(body)
                finally:
                    self._forget(timeout)
        except TimeoutError:
            raise HttpError(
                408, "the body came too slowly", headers={"connection": "close"}
            ) from None

    def _count(self, timeout: asyncio.Timeout, size: int) -> None:
        """Count a part.

        Raises:
            TimeoutError: its body has been given up.
        """
        if timeout in self._held:
            self._held[timeout] += size
            self.held_bytes += size
        while self.held_bytes > self._most_bytes:
            oldest = next(iter(self._held))
            self._forget(oldest)
            if oldest is not timeout:
                oldest.reschedule(asyncio.get_running_loop().time())
        if timeout not in self._held:
            raise TimeoutError

    def _forget(self, timeout: asyncio.Timeout) -> None:
        self.held_bytes -= self._held.pop(timeout, 0)


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a body, as they come."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return
