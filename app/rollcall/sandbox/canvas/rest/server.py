"""The API on a port of the loopback address."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import uvicorn

from rollcall.http.server import Server, listen
from rollcall.sandbox.canvas.rest.access import ADMIN_TOKEN, Access
from rollcall.sandbox.canvas.rest.application import RestApplication
from rollcall.sandbox.canvas.rest.faults import Faults
from rollcall.sandbox.canvas.rest.recording import RecordedRequest
from rollcall.sandbox.canvas.rest.replica import Replica
from rollcall.sandbox.canvas.rest.throttle import Throttle
from rollcall.sandbox.canvas.simulation.world import World

T = TypeVar("T")


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class CanvasServer:
    """A server in a thread, as a context manager.

    Args:
        world: gives the rows, at each request.
        clock: Canvas's clock, milliseconds since the epoch: that of the events' times. For a
            simulation, ``lambda: simulation.canvas.now_ms``.
        port: 0: a free one.
    """

    def __init__(
        self, world: Callable[[], World], *, clock: Callable[[], int] = wall_clock, port: int = 0
    ) -> None:
        self._port = port
        self.replica = Replica(world, clock)
        """Set its ``lag``, in seconds, to get older enrollments."""
        self.tokens: dict[str, Access] = {ADMIN_TOKEN: Access()}
        """Rights by token. Add or change any."""
        self._application = RestApplication(world, clock, self.replica, self.tokens)
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.url = ""
        """Address without a path, while the server runs."""

    @property
    def faults(self) -> Faults:
        """The switches."""
        return self._application.faults

    @property
    def throttle(self) -> Throttle:
        """The buckets and their sizes."""
        return self._application.throttle

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests up to now, in their order."""
        return self._application.requests

    def between_requests(self, act: Callable[[], T]) -> T:
        """Do something to the world while no request is answered."""
        assert self._loop is not None

        async def acted() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(acted(), self._loop).result()

    def __enter__(self) -> CanvasServer:
        listening = listen("127.0.0.1", self._port, hint="choose another port")
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Server(
            uvicorn.Config(
                self._application,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
            )
        )
        loop = asyncio.new_event_loop()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(server.serve(sockets=[listening]))

        self._server, self._loop = server, loop
        self._thread = threading.Thread(target=run, name="canvas", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._application.stopping.set)
        self._server.should_exit = True
        self._thread.join()
