"""Canvas's queue, on an SQS server of this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from rollcall.errors import RollcallError
from rollcall.sandbox.managed import ObservedProcess, environment_without, python_module

REGION = "us-east-1"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "sandbox",
    "AWS_SECRET_ACCESS_KEY": "sandbox",  # of a server on this machine
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""Environment of the server, and of all that use it, which then read no other settings of AWS."""

BATCH = 10
"""Most messages of one call."""


class QueueError(RollcallError):
    """The queue did not take a message."""


class CanvasQueue:
    """A queue, and its server.

    Args:
        url: of the queue.
        client: of aiobotocore, for SQS.
    """

    def __init__(self, server: ObservedProcess, url: str, client: Any) -> None:
        self.server = server
        self.url = url
        self._client = client

    async def send(self, values: Sequence[bytes]) -> None:
        """Send up to :data:`BATCH` messages.

        Raises:
            QueueError: one was not taken.
        """
        answer = await self._client.send_message_batch(
            QueueUrl=self.url,
            Entries=[
                {"Id": str(number), "MessageBody": value.decode()}
                for number, value in enumerate(values)
            ],
        )
        if failed := answer.get("Failed"):
            raise QueueError(f"the queue took not all messages: {failed[0]}")

    async def depth(self) -> int:
        """Messages in the queue, received and not deleted ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


@contextlib.asynccontextmanager
async def open_queue(name: str, folder: Path) -> AsyncIterator[CanvasQueue]:
    """Start an SQS server, and create a queue.

    Args:
        folder: for the server's log.

    Raises:
        ProcessEndedError: the server did not start.
    """
    from aiobotocore.session import get_session

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            ObservedProcess(
                "SQS server",
                python_module("rollcall.sandbox.canvas.sqs_server"),
                folder=folder,
                environment=environment_without("AWS_") | CREDENTIALS,
            )
        )
        await server.started()
        client = await stack.enter_async_context(
            get_session().create_client(
                "sqs",
                endpoint_url=server.url,
                region_name=REGION,
                aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            )
        )
        url = (await client.create_queue(QueueName=name))["QueueUrl"]
        yield CanvasQueue(server, url, client)
