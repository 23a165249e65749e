"""A network that can be hurt: a TCP proxy in front of a broker."""

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
"""A socket with this option, closed, resets its connection."""


class Proxy:
    """Passes on what comes, both ways, between its own port and another one of this machine. Its
    methods may be called from any thread.

    Args:
        target: the port of 127.0.0.1 to pass on to.
        host: the address of this machine to listen at.
        port: of it; 0: any.
    """

    def __init__(self, target: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = target
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._reset = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = port

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._connected, self._host, self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, *, reset: bool = False) -> None:
        """End all connections that there are. New ones are taken.

        Args:
            reset: as a firewall does that has forgotten them (RST), not as a program that closes
                them (FIN).
        """
        self._do(self._cut(reset=reset))

    def redirect(self, target: int) -> None:
        """Pass new connections on to another port."""
        self._target = target

    def slow(self, seconds: float) -> None:
        """Let each piece of up to 64 KiB wait for so long; 0: no more."""
        self._delay = seconds

    def freeze(self) -> None:
        """Pass on nothing, and tell nobody: connections stay, and new ones are taken."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        """Pass on what has come meanwhile, and everything else."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _end(self) -> None:
        self._server.close()
        await self._cut(reset=False)
        while left := asyncio.all_tasks() - {
            asyncio.current_task()
        }:  # connections that are being taken
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

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        other: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                from_broker, other = await asyncio.open_connection("127.0.0.1", self._target)
                async with asyncio.TaskGroup() as both:
                    ways = [
                        both.create_task(self._pass_on(reader, other)),
                        both.create_task(self._pass_on(from_broker, writer)),
                    ]
                    for way in ways:  # one side that ends, ends the other
                        way.add_done_callback(lambda _done: connection.cancel())
        finally:
            self._connections.discard(connection)
            for each in (writer, other):
                if each is not None:
                    if self._reset and not each.is_closing():
                        each.get_extra_info("socket").setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING
                        )
                    each.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(READ_BYTES):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()
