"""A TCP proxy in front of a broker, for network faults."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

READ_BYTES = 64 * 1024
NO_LINGERING = struct.pack("ii", 1, 0)
"""Value of SO_LINGER: closing the socket resets its connection."""


class Proxy:
    """Forwards data in both directions between its own port and a port of 127.0.0.1. Its methods
    may be called from any thread. A context manager.

    Args:
        target: the other port.
        host: the local address to listen at.
        port: the port to listen at; 0: any free one.
    """

    def __init__(self, target: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = target
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._reset = False
        self._is_flowing = asyncio.Event()
        self._is_flowing.set()
        self.port = port

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, self._host, self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, *, reset: bool = False) -> None:
        """End all current connections. New ones are accepted.

        Args:
            reset: end them by RST, like a firewall that has forgotten them, instead of FIN.
        """
        self._run(self._cut(reset=reset))

    def redirect(self, target: int) -> None:
        """Forward new connections to another port."""
        self._target = target

    def slow(self, seconds: float) -> None:
        """Delay each piece of up to 64 KiB by these seconds; 0: no delay."""
        self._delay = seconds

    def freeze(self) -> None:
        """Hold back all data. Connections stay open, and new ones are accepted."""
        self._loop.call_soon_threadsafe(self._is_flowing.clear)

    def thaw(self) -> None:
        """Forward data again, first the data that was held back."""
        self._loop.call_soon_threadsafe(self._is_flowing.set)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _end(self) -> None:
        self._server.close()
        await self._cut(reset=False)
        # connections that are being accepted
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            # until 3.12, asyncio logs an error for a connection that is cancelled before it begins
            await asyncio.sleep(0)
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    async def _cut(self, *, reset: bool) -> None:
        connections = set(self._connections)
        self._reset = reset
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)
        self._reset = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        other: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                from_broker, other = await asyncio.open_connection("127.0.0.1", self._target)
                async with asyncio.TaskGroup() as group:
                    directions = [
                        group.create_task(self._forward(reader, other)),
                        group.create_task(self._forward(from_broker, writer)),
                    ]
                    for direction in directions:  # the end of one direction ends the other
                        direction.add_done_callback(lambda _done: connection.cancel())
        finally:
            self._connections.discard(connection)
            for each in (writer, other):
                if each is not None:
                    if self._reset and not each.is_closing():
                        each.get_extra_info("socket").setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING
                        )
                    each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(READ_BYTES):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._is_flowing.wait()
                writer.write(piece)
                await writer.drain()
