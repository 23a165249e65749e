"""Sends events as Canvas does: to a queue of SQS, and as signed requests to the webhook."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from rollcall.sandbox.canvas.queue import BATCH, CREDENTIALS, CanvasQueue, open_queue
from rollcall.sandbox.demo.arrivals import Arrivals
from rollcall.sandbox.demo.metrics import IngestReading, read_ingest
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

MODULES = ("aiobotocore", "jwt", "moto")
"""Modules of the extra ``demo``."""

QUEUE = "canvas-live-events-demo"
QUEUED_SHARE = 5
"""One of so many events goes to the queue, the others as signed requests: moto's server takes a
time for each message that grows with the queue.
"""

TRIES = 4
"""Canvas sends a request four times."""
RETRY_SECONDS = 2.0
STILL_SECONDS = 60.0
"""Maximum time without a message that was deleted."""


def missing_modules() -> list[str]:
    """Modules of the extra ``demo`` that are not installed."""
    return [name for name in MODULES if importlib.util.find_spec(name) is None]


class WaysIn:
    """A queue, the webhook, and the processes that bring events from them to the raw topic."""

    def __init__(
        self,
        *,
        queue: CanvasQueue,
        sqs: ManagedProcess,
        https: ManagedProcess,
        session: aiohttp.ClientSession,
        signer: Any,
    ) -> None:
        self.webhook_url = ""
        self.processes = (sqs, https)
        self.queue = Arrivals()
        self.webhook = Arrivals()
        self.canvas_queue = queue
        self._sqs, self._https = sqs, https
        self._session = session
        self._signer = signer
        self._count = 0

    async def start(self) -> None:
        """Wait until both processes have started."""
        for process in self.processes:
            await process.started()
        self.webhook_url = self._https.logged("webhook")

    async def send(self, values: Iterable[bytes]) -> None:
        """Send events: some to the queue, the others as signed requests.

        Raises:
            QueueError, ProcessEndedError: an event was not taken.
        """
        remaining = iter(values)
        while chunk := list(islice(remaining, BATCH * QUEUED_SHARE)):
            queued: list[bytes] = []
            signed: list[bytes] = []
            for place, value in enumerate(chunk, self._count):
                (signed if place % QUEUED_SHARE else queued).append(value)
            self._count += len(chunk)
            await asyncio.gather(self._send_to_queue(queued), *map(self._post, signed))

    async def _send_to_queue(self, values: Sequence[bytes]) -> None:
        if not values:
            return
        for value in values:
            self.queue.add_sent(value)
        await self.canvas_queue.send(values)

    async def _post(self, value: bytes) -> None:
        self.webhook.add_sent(value)
        body = self._signer.request_body(orjson.loads(value), int(time.time()))
        problem = ""
        for _ in range(TRIES):
            try:
                async with self._session.post(self.webhook_url, data=body) as answer:
                    if answer.status == 204:
                        return
                    problem = f"answered with status {answer.status}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = f"did not answer ({type(error).__name__})"
            self._https.check()
            await asyncio.sleep(RETRY_SECONDS)
        raise self._https.failure(f"{problem} {TRIES} times")

    async def wait_until_empty(self) -> None:
        """Wait until the queue is empty: all messages are on the raw topic, and deleted.

        Raises:
            ProcessEndedError: a process ended, or makes no progress.
        """
        left, moved = -1, time.monotonic()
        while left:
            before, left = left, await self.canvas_queue.depth()
            for process in (self.canvas_queue.server, *self.processes):
                process.check()
            if left != before:
                moved = time.monotonic()
            elif time.monotonic() - moved > STILL_SECONDS:
                raise self._sqs.failure(f"left {left:,} messages in the queue")
            await asyncio.sleep(0.1)

    async def reading(self) -> IngestReading:
        """Counts of both processes."""
        return read_ingest(await self._sqs.metrics(), await self._https.metrics())


@contextlib.asynccontextmanager
async def open_ways_in(settings: Settings, bootstrap: str, folder: Path) -> AsyncIterator[WaysIn]:
    """Start an SQS server, ``rollcall ingest sqs`` and ``rollcall ingest https``. The modules of
    :data:`MODULES` must be there.

    Raises:
        ProcessEndedError: a process did not start.
    """
    from rollcall.sandbox.canvas.signing import Signer, key_set

    signer = Signer("demo")
    keys = folder / "keys.json"
    keys.write_bytes(key_set([signer]))
    async with contextlib.AsyncExitStack() as stack:
        queue = await stack.enter_async_context(open_queue(QUEUE, folder))
        sqs, https = [
            await stack.enter_async_context(
                ManagedProcess(
                    name, settings.model_copy(update=own), bootstrap, folder, variables=CREDENTIALS
                )
            )
            for name, own in (
                ("ingest sqs", {"sqs_queue_url": queue.url, "sqs_endpoint": queue.server.url}),
                ("ingest https", {"webhook_port": 0, "webhook_jwks_url": keys.as_uri()}),
            )
        ]
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        )
        yield WaysIn(queue=queue, sqs=sqs, https=https, session=session, signer=signer)
