"""A queue of an SQS server, as Canvas and an administrator see it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import pytest

from rollcall.sandbox.canvas.queue import CREDENTIALS, REGION
from rollcall.sandbox.canvas.sqs_server import address, start_server

ACCOUNT = "123456789012"


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """URL of moto's server, in a thread."""
    server = start_server()
    try:
        yield address(server)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def sqs_server() -> Iterator[str]:
    """URL of an SQS server."""
    with moto_server() as url:
        yield url


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and no other settings of AWS."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def queue(sqs_server: str) -> Queues:
    """A new queue."""
    return Queues(sqs_server, f"canvas-live-events-{uuid.uuid4().hex[:8]}")


class Queues:
    """One queue.

    Args:
        server: URL of the SQS server.
    """

    def __init__(self, server: str, name: str, **attributes: str) -> None:
        self.server = server
        self.name = name
        self._client: Any = boto3.client(
            "sqs",
            endpoint_url=server,
            region_name=REGION,
            aws_access_key_id="canvas",
            aws_secret_access_key="canvas",
        )
        self._url = self._client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.path = "/" + self._url.partition("//")[2].partition("/")[2]
        """Of the queue's URL, on any server that forwards to this one."""

    def send(self, bodies: Sequence[str]) -> list[str]:
        """Send messages. Returns their ids."""
        ids = []
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(number), "MessageBody": body}
                for number, body in enumerate(bodies[start : start + 10])
            ]
            if sum(len(body) for body in bodies[start : start + 10]) > 900_000:
                ids += [
                    self._client.send_message(QueueUrl=self._url, MessageBody=each["MessageBody"])[
                        "MessageId"
                    ]
                    for each in entries
                ]
                continue
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            ids += [each["MessageId"] for each in answer["Successful"]]
        return ids

    def set_attributes(self, **attributes: str) -> None:
        """Change the queue."""
        self._client.set_queue_attributes(QueueUrl=self._url, Attributes=attributes)

    def delete(self) -> None:
        """Delete the queue."""
        self._client.delete_queue(QueueUrl=self._url)

    def receive(self) -> list[str]:
        """Up to ten bodies that are visible now. They stay invisible for a moment."""
        answer = self._client.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=0, VisibilityTimeout=5
        )
        return [message["Body"] for message in answer.get("Messages", ())]

    def counts(self) -> tuple[int, int]:
        """Numbers of visible messages, and of messages in flight."""
        found = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        attributes = found["Attributes"]
        return (
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )
