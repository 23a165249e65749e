"""Client of one queue. The only module that imports AWS's libraries, which are an extra."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from rollcall.errors import ConfigurationError, how_to_install
from rollcall.ingest.sqs.errors import (
    QueueError,
    Reason,
    no_credentials,
    no_role,
    refused,
    unreachable,
)
from rollcall.ingest.sqs.ledger import BATCH, Receipt
from rollcall.settings import Settings

try:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session
    from botocore import exceptions, xform_name
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError as error:
    raise ConfigurationError(
        "rollcall ingest sqs needs the extra sqs "
        f"({(error.name or '').partition('.')[0]} is missing): {how_to_install('sqs')}"
    ) from None

CALL_SECONDS = 10.0
"""Time limit of a call that does not wait for messages."""

READ_MARGIN_SECONDS = 10.0
"""A call that waits for messages may take so much longer than it waits."""

RENEW_SECONDS = 5.0
"""Least age of a client that is replaced. Making one costs much CPU time."""

CONNECT_SECONDS = 5.0
CONNECTIONS = 20

_CREDENTIAL_ERRORS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.TokenRetrievalError,
    exceptions.SSOError,
    exceptions.UnauthorizedSSOTokenError,
    exceptions.ConfigParseError,
)
_NO_ANSWER = (
    exceptions.BotoCoreError,
    ResponseParserError,
    OSError,  # TimeoutError is one
    ValueError,  # the answer is that of a proxy
    KeyError,
    TypeError,
    RuntimeError,  # the client was closed
)
_REGION = re.compile(r"(?:^|\.)(?:sqs|sqs-fips)\.([a-z0-9-]+)\.|^([a-z0-9-]+)\.queue\.")


class Message(NamedTuple):
    """A received message."""

    receipt: Receipt
    body: bytes
    sent_ms: int | None
    """When the queue took it."""
    receives: int | None
    """How often it was delivered, as far as the queue knows."""


class BatchResult(NamedTuple):
    """The answer to a call for several messages."""

    done: list[Receipt]
    failed: list[tuple[Receipt, str]]
    """With AWS's error code."""


@dataclass(slots=True, eq=False)
class _Client:
    """A client of AWS's library. It is closed when it is not used any more."""

    api: Any
    stack: contextlib.AsyncExitStack
    made: float
    calls: int = 0
    """Running now."""


class Queue:
    """A queue of SQS. An asynchronous context manager; every call raises :class:`QueueError` only.

    The client is made anew after an error of credentials: they are read again then. Calls that
    still run on an earlier client go on.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.sqs_queue_url is None:
            raise ConfigurationError(
                "there is no queue: set ROLLCALL_SQS_QUEUE_URL to the URL of the SQS queue to "
                "which Canvas sends events"
            )
        self._url = settings.sqs_queue_url
        self._endpoint = settings.sqs_endpoint
        self._wait = settings.sqs_wait_seconds
        self._visibility = settings.sqs_visibility_seconds
        self._client: _Client | None = None
        self._clients: set[_Client] = set()
        """All that are open."""
        self._making = asyncio.Lock()

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._url.rstrip("/").rpartition("/")[2]

    async def __aenter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._close()

    async def receive(self) -> list[Message]:
        """Wait for messages, and receive up to :data:`BATCH`."""
        answer = await self._call(
            "ReceiveMessage",
            self._wait + READ_MARGIN_SECONDS,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=self._wait,
            VisibilityTimeout=self._visibility,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        return [_message(message) for message in answer.get("Messages", ())]

    async def delete(self, receipts: Sequence[Receipt]) -> BatchResult:
        """Delete up to :data:`BATCH` messages, each of them once."""
        return await self._batch("DeleteMessageBatch", receipts, {})

    async def set_visibility(self, receipts: Sequence[Receipt], seconds: int) -> BatchResult:
        """Make up to :data:`BATCH` messages invisible for so long from now on."""
        return await self._batch(
            "ChangeMessageVisibilityBatch", receipts, {"VisibilityTimeout": seconds}
        )

    async def attributes(self) -> Mapping[str, str]:
        """All attributes of the queue."""
        answer = await self._call("GetQueueAttributes", CALL_SECONDS, AttributeNames=["All"])
        attributes: Mapping[str, str] = answer.get("Attributes", {})
        return attributes

    async def missing_rights(self) -> list[str]:
        """A sentence for each right that AWS denies. The calls have no effect: no message has this
        handle, and none is received by a call for none.
        """
        entries = [{"Id": "0", "ReceiptHandle": "rollcall-check"}]
        probes: list[tuple[str, dict[str, object]]] = [
            ("ReceiveMessage", {"MaxNumberOfMessages": 0}),
            ("DeleteMessageBatch", {"Entries": entries}),
            (
                "ChangeMessageVisibilityBatch",
                {"Entries": [{**entries[0], "VisibilityTimeout": 0}]},
            ),
        ]
        missing = []
        for action, parameters in probes:
            try:
                await self._call(action, CALL_SECONDS, **parameters)
            except QueueError as error:
                if error.reason is Reason.ACCESS:
                    missing.append(str(error))
        return missing

    async def _batch(
        self, action: str, receipts: Sequence[Receipt], entry: Mapping[str, object]
    ) -> BatchResult:
        by_id = {str(number): receipt for number, receipt in enumerate(receipts)}
        answer = await self._call(
            action,
            CALL_SECONDS,
            Entries=[
                {"Id": number, "ReceiptHandle": receipt.handle, **entry}
                for number, receipt in by_id.items()
            ],
        )
        failed = {str(each.get("Id")): str(each.get("Code")) for each in answer.get("Failed", ())}
        done = {str(each.get("Id")) for each in answer.get("Successful", ())} - failed.keys()
        return BatchResult(
            [receipt for number, receipt in by_id.items() if number in done],
            [
                (receipt, failed.get(number, "no answer"))
                for number, receipt in by_id.items()
                if number not in done
            ],
        )

    async def _call(self, action: str, seconds: float, **parameters: object) -> Any:
        client = None
        try:
            with self._errors_explained(action):
                async with asyncio.timeout(seconds):
                    client = await self._get_client()
                    client.calls += 1
                    method = getattr(client.api, xform_name(action))
                    return await method(QueueUrl=self._url, **parameters)
        except QueueError as error:
            if error.reason is Reason.CREDENTIALS and client is self._client:
                self._renew()
            raise
        finally:
            if client is not None:
                client.calls -= 1
                if client is not self._client and not client.calls:
                    await self._discard(client)

    @contextlib.contextmanager
    def _errors_explained(self, action: str) -> Iterator[None]:
        try:
            yield
        except exceptions.ClientError as error:
            answer = error.response
            if error.operation_name != action:  # one of STS
                raise no_role(
                    str(error.operation_name), str(answer.get("Error", {}).get("Code", ""))
                ) from None
            raise refused(
                str(answer.get("Error", {}).get("Code", "")),
                int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)),
                action.removesuffix("Batch"),
                self.name,
            ) from None
        except _CREDENTIAL_ERRORS as error:
            raise no_credentials(type(error).__name__) from None
        except exceptions.NoRegionError:
            raise QueueError(
                Reason.OTHER, "the region of the queue is not known; set AWS_DEFAULT_REGION"
            ) from None
        except _NO_ANSWER as error:
            raise unreachable(
                _called(error) or self._endpoint or self._url, type(error).__name__
            ) from None

    def _renew(self) -> None:
        """Use a new client for the next call, unless this one is new."""
        if self._client is not None and time.monotonic() - self._client.made >= RENEW_SECONDS:
            self._client = None

    async def _get_client(self) -> _Client:
        async with self._making:
            if self._client is None:
                stack = contextlib.AsyncExitStack()
                api = await stack.enter_async_context(self._new_client())
                self._client = _Client(api, stack, time.monotonic())
                self._clients.add(self._client)
            return self._client

    async def _discard(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            await client.stack.aclose()

    @contextlib.asynccontextmanager
    async def _new_client(self) -> AsyncIterator[Any]:
        session = get_session()
        region = region_of(self._url) or session.get_config_variable("region")
        if region is None and self._endpoint is not None:
            region = "us-east-1"  # signed, and looked at by nobody
        async with session.create_client(
            "sqs",
            region_name=region,
            endpoint_url=self._endpoint,
            config=AioConfig(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=self._wait + READ_MARGIN_SECONDS,
                max_pool_connections=CONNECTIONS,
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        ) as client:
            yield client

    async def _close(self) -> None:
        self._client = None
        for client in list(self._clients):
            await self._discard(client)


def region_of(queue_url: str) -> str | None:
    """The region that a queue's URL names."""
    found = _REGION.search(urlsplit(queue_url).hostname or "")
    return None if found is None else found[1] or found[2]


def _called(error: Exception) -> str | None:
    """The server that a failed call was sent to: without an endpoint in the settings, it is not
    that of the queue's URL.
    """
    url = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else None


def _message(message: Mapping[str, Any]) -> Message:
    attributes = message.get("Attributes", {})
    return Message(
        Receipt(str(message["MessageId"]), str(message["ReceiptHandle"])),
        str(message.get("Body", "")).encode("utf-8", "surrogatepass"),
        _number(attributes.get("SentTimestamp")),
        _number(attributes.get("ApproximateReceiveCount")),
    )


def _number(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None
