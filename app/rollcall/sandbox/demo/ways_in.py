"""Sends events as Canvas does: to a queue of SQS, and as signed requests to the webhook."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from rollcall.errors import RollcallError
from rollcall.sandbox.demo.arrivals import Arrivals
from rollcall.sandbox.demo.metrics import IngestReading, read_ingest
from rollcall.sandbox.managed import ManagedProcess, ObservedProcess, python_module
from rollcall.settings import Settings

MODULES = ("aiobotocore", "jwt", "moto")
"""Modules of the extra ``demo``."""

QUEUE = "canvas-live-events-demo"
REGION = "us-east-1"
QUEUED_SHARE = 5
"""One of so many events goes to the queue, the others as signed requests: moto's server takes a
time for each message that grows with the queue.
"""

BATCH = 10
"""Messages of one call."""

TRIES = 4
"""Canvas sends a request four times."""
RETRY_SECONDS = 2.0
STILL_SECONDS = 60.0
"""Maximum time without a message that was deleted."""


class WaysInError(RollcallError):
    """An event could not be sent."""


def missing_modules() -> list[str]:
    """Modules of the extra ``demo`` that are not installed."""
    return [name for name in MODULES if importlib.util.find_spec(name) is None]


class WaysIn:
    """A queue, the webhook, and the processes that bring events from them to the raw topic."""

    def __init__(
        self,
        *,
        server: ObservedProcess,
        sqs: ManagedProcess,
        https: ManagedProcess,
        client: Any,
        session: aiohttp.ClientSession,
        signer: Any,
        queue_url: str,
    ) -> None:
        self.queue_url = queue_url
        self.webhook_url = ""
        self.processes = (sqs, https)
        self.queue = Arrivals()
        self.webhook = Arrivals()
        self._server = server
        self._sqs, self._https = sqs, https
        self._client = client
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
            WaysInError: an event was not taken.
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
        answer = await self._client.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {"Id": str(number), "MessageBody": value.decode()}
                for number, value in enumerate(values)
            ],
        )
        if failed := answer.get("Failed"):
            raise WaysInError(f"the queue took not all messages: {failed[0]}")

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
            before, left = left, await self.queue_depth()
            for process in (self._server, *self.processes):
                process.check()
            if left != before:
                moved = time.monotonic()
            elif time.monotonic() - moved > STILL_SECONDS:
                raise self._sqs.failure(f"left {left:,} messages in the queue")
            await asyncio.sleep(0.1)

    async def queue_depth(self) -> int:
        """Messages in the queue, received and not deleted ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._client.get_queue_attributes(
            QueueUrl=self.queue_url, AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)

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
    from aiobotocore.session import get_session

    from rollcall.sandbox.canvas.signing import Signer, key_set

    credentials = {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",  # of a server on this machine
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    signer = Signer("demo")
    keys = folder / "keys.json"
    keys.write_bytes(key_set([signer]))
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            ObservedProcess(
                "SQS server",
                python_module("rollcall.sandbox.canvas.sqs_server"),
                folder=folder,
                environment=_without_aws(os.environ) | credentials,
            )
        )
        await server.started()
        client = await stack.enter_async_context(
            get_session().create_client(
                "sqs",
                endpoint_url=server.url,
                region_name=REGION,
                aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            )
        )
        queue_url = (await client.create_queue(QueueName=QUEUE))["QueueUrl"]
        sqs, https = [
            await stack.enter_async_context(
                ManagedProcess(
                    name, settings.model_copy(update=own), bootstrap, folder, variables=credentials
                )
            )
            for name, own in (
                ("ingest sqs", {"sqs_queue_url": queue_url, "sqs_endpoint": server.url}),
                ("ingest https", {"webhook_port": 0, "webhook_jwks_url": keys.as_uri()}),
            )
        ]
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        )
        yield WaysIn(
            server=server,
            sqs=sqs,
            https=https,
            client=client,
            session=session,
            signer=signer,
            queue_url=queue_url,
        )


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}
