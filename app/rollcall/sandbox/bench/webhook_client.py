"""Sends signed events to the webhook at a steady rate over keep-alive connections, without waiting
for earlier answers; prints the times. Runs as a process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import cycle
from pathlib import Path

import uvloop

CONNECTIONS = 200
"""Maximum number of concurrent requests."""

SUCCESS = b"HTTP/1.1 204"


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called for the new connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called for each part of an answer."""
        self._received += data
        if self._received.endswith(b"\r\n\r\n") and self._answer is not None:
            received, self._received = self._received, b""
            self._answer.set_result(received)

    def connection_lost(self, error: Exception | None) -> None:
        """Called at the end of the connection."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError(repr(self._received[:200])))

    async def exchange(self, request: bytes) -> bytes:
        """The head of the answer to a request."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


async def send_events(
    host: str, port: int, requests: list[bytes], rate: float, seconds: float
) -> list[float]:
    """Answer times in seconds, each from the due time of a request to its 204."""
    loop = asyncio.get_running_loop()
    idle: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        _transport, connection = await loop.create_connection(_Connection, host, port)
        idle.put_nowait(connection)
    times: list[float] = []

    async def send(request: bytes, due: float) -> None:
        connection = await idle.get()
        answer = await connection.exchange(request)
        idle.put_nowait(connection)
        if not answer.startswith(SUCCESS):
            raise RuntimeError(repr(answer[:200]))
        times.append(time.perf_counter() - due)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, request in zip(range(int(rate * seconds)), cycle(requests), strict=False):
            due = started + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            group.create_task(send(request, due))
    return times


def requests_of(bodies: Path, path: str) -> list[bytes]:
    """Whole requests with the bodies in a file, one a line."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    return [
        f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies.read_bytes().splitlines()
    ]


def main() -> None:
    """Arguments: host, port, path, file of bodies, requests per second, seconds."""
    host, port, path, bodies, rate, seconds = sys.argv[1:]
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    requests = requests_of(Path(bodies), path)
    print(
        json.dumps(asyncio.run(send_events(host, int(port), requests, float(rate), float(seconds))))
    )


if __name__ == "__main__":
    main()
