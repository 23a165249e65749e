"""State of the page in one process, and its background tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from rollcall.serve.context import ServeContext
from rollcall.serve.page.dead_letters import DeadLetters
from rollcall.serve.page.flow import Flow
from rollcall.serve.page.responses import PageError, StaticFiles, read_document
from rollcall.serve.page.sessions import Sessions
from rollcall.serve.page.streams import Streams

log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""Pause before a background task that failed runs again."""


class Page:
    """Parts that the handlers share. Stands in the application's state as ``page``."""

    def __init__(self, context: ServeContext) -> None:
        self.context = context
        self.sessions = Sessions(context.tokens)
        self.flow = Flow(context.settings.metrics_urls, lambda: context.follower.progress)
        self.dead_letters = DeadLetters(context.settings, context.bootstrap)
        self.streams = Streams()
        self.files = StaticFiles()
        self.document = read_document("page")
        self.login_document = read_document("login")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read metrics and dead letters while the context is open."""
        tasks = [
            asyncio.create_task(_run_forever(work, name), name=name)
            for work, name in ((self.flow.run, "flow"), (self.dead_letters.run, "dead letters"))
        ]
        try:
            yield
        finally:
            self.end_streams()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def end_streams(self) -> None:
        """End all streams of events. A server that stops waits for them otherwise."""
        self.streams.end()

    def check_streams(self) -> None:
        """Check that one more stream can start.

        Raises:
            PageError: 503.
        """
        if self.streams.refusal is not None:
            raise PageError(503, self.streams.refusal)

    def check_replica(self) -> None:
        """Check that the replica has all rows.

        Raises:
            PageError: 503.
        """
        progress = self.context.follower.progress
        if not progress.complete:
            reason = f": {progress.problem}" if progress.problem else ""
            raise PageError(
                503,
                f"the replica is still being filled ({progress.records:,} records so far){reason}",
            )


async def _run_forever(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Run something that should never end, and run it again if it fails: one unexpected record must
    not stop the page's updates.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception(
                "the %s of the page failed, and is begun again: a fault of Rollcall; report it, "
                "with this",
                name,
            )
        await asyncio.sleep(RESTART_SECONDS)
