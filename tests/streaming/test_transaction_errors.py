"""Kafka's errors for transactional requests, and their effect on a producer and its lane, on a real
broker with one replaced response.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import RequestTimedOutError, kafka_errors
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.structs import OffsetAndMetadata

from rollcall.kafka.client import client_options
from rollcall.kafka.patches.transactional_requests import TRANSACTIONAL_HANDLERS
from rollcall.settings import load_settings
from rollcall.streaming.failures import (
    Reopening,
    fail_unadded_batches,
    reopening_after,
    root_cause,
)
from tests.kafka_client import create_topic, read_all

REQUESTS = (
    InitProducerIdRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)

FENCING = (90, 47, 48, 49)
"""PRODUCER_FENCED, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING."""

RETRIABLE = (7, 14, 16, 19, 56, 89)
"""REQUEST_TIMED_OUT, COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, NOT_ENOUGH_REPLICAS,
KAFKA_STORAGE_ERROR, THROTTLING_QUOTA_EXCEEDED.
"""

OTHERS = (-1, 42)
"""UNKNOWN_SERVER_ERROR, INVALID_REQUEST: retrying does not help."""


class Replaced:
    """Replaces one response by an error code. The broker does not get the request."""

    def __init__(self, request: type, code: int) -> None:
        self.request = request
        self.code = code
        self.left = 1

    def install(self, producer: AIOKafkaProducer) -> None:
        """Intercept the producer's requests."""
        upstream = producer.client.send

        async def send(node: int, request: Any, **options: Any) -> Any:
            if not isinstance(request, self.request) or not self.left:
                return await upstream(node, request, **options)
            self.left -= 1
            return _response(request, self.code)

        producer.client.send = send


def _response(request: Any, code: int) -> Any:
    struct = request.build(request._CLASSES[-1])
    response = struct.RESPONSE_TYPE
    match request:
        case InitProducerIdRequest():
            return response(0, code, -1, -1)
        case AddPartitionsToTxnRequest():
            return response(
                0,
                [
                    (topic, [(partition, code) for partition in partitions])
                    for topic, partitions in request._topics
                ],
            )
        case TxnOffsetCommitRequest():
            return response(
                0,
                [
                    (topic, [(partition, code) for partition, *_ in partitions])
                    for topic, partitions in request._topics
                ],
            )
        case ProduceRequest():
            [(topic, [(partition, _records)])] = request._topics
            return response([(topic, [(partition, code, -1, -1, -1)])], 0)
        case _:
            return response(0, code)


@contextlib.asynccontextmanager
async def transactional(bootstrap: str, transactional_id: str) -> AsyncIterator[AIOKafkaProducer]:
    """A lane's producer, not started."""
    producer = AIOKafkaProducer(
        **client_options(load_settings(), bootstrap),
        transactional_id=transactional_id,
        acks="all",
        linger_ms=0,
    )
    fail_unadded_batches(producer)
    try:
        yield producer
    finally:
        with contextlib.suppress(Exception):
            await producer.abort_transaction()
        await producer.stop()


async def _write(producer: AIOKafkaProducer, topic: str, group: str) -> None:
    """A lane's transaction."""
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"value", partition=0)
    await producer.send_offsets_to_transaction(
        {TopicPartition(topic, 0): OffsetAndMetadata(1, "")}, group
    )
    await producer.commit_transaction()


async def _fail(bootstrap: str, topic: str, replaced: Replaced) -> Reopening | None:
    """The lane's reaction to the replaced response."""
    async with transactional(bootstrap, f"{topic}-0") as producer:
        replaced.install(producer)
        try:
            await _write(producer, topic, topic)
        except Exception as error:
            return reopening_after(root_cause(producer, error))
    raise AssertionError(f"no error after {replaced.code}")


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    # aiokafka.cluster: a new topic is not known yet
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and record.name != "aiokafka.cluster"
    ]


def name_of(value: object) -> str:
    """Name in test ids."""
    return value.__name__ if isinstance(value, type) else kafka_errors[value].message


@pytest.mark.parametrize("code", FENCING, ids=name_of)
@pytest.mark.parametrize("request_type", [*REQUESTS, ProduceRequest], ids=name_of)
async def test_fencing_supersedes_a_lane(
    bootstrap: str, prefix: str, caplog: pytest.LogCaptureFixture, request_type: type, code: int
) -> None:
    create_topic(bootstrap, prefix, 1)
    reopening = await _fail(bootstrap, prefix, Replaced(request_type, code))
    assert reopening is not None
    assert ("superseded" in reopening.reason, reopening.fenced) == (True, True)
    assert _errors(caplog) == []


@pytest.mark.parametrize("request_type", REQUESTS, ids=name_of)
async def test_an_abortable_transaction_is_repeated(
    bootstrap: str, prefix: str, request_type: type
) -> None:
    create_topic(bootstrap, prefix, 1)
    reopening = await _fail(bootstrap, prefix, Replaced(request_type, 120))
    assert reopening is not None
    assert ("must be aborted" in reopening.reason, reopening.fenced) == (True, False)


@pytest.mark.parametrize("request_type", REQUESTS, ids=name_of)
async def test_retriable_errors_are_retried(
    bootstrap: str, prefix: str, caplog: pytest.LogCaptureFixture, request_type: type
) -> None:
    create_topic(bootstrap, prefix, 1)
    for code in RETRIABLE:
        async with transactional(bootstrap, f"{prefix}-0") as producer:
            replaced = Replaced(request_type, code)
            replaced.install(producer)
            await _write(producer, prefix, prefix)
            assert not replaced.left
    assert _errors(caplog) == []
    assert len(read_all(bootstrap, [prefix], at_least=len(RETRIABLE))) == len(RETRIABLE)


@pytest.mark.parametrize("code", OTHERS, ids=name_of)
@pytest.mark.parametrize("request_type", REQUESTS, ids=name_of)
async def test_other_errors_end_the_lane(
    bootstrap: str, prefix: str, request_type: type, code: int
) -> None:
    create_topic(bootstrap, prefix, 1)
    assert await _fail(bootstrap, prefix, Replaced(request_type, code)) is None


class LostResponse(Replaced):
    """The broker gets the request, but its first response is lost."""

    def __init__(self, request: type) -> None:
        super().__init__(request, 0)
        self.sent = 0

    def install(self, producer: AIOKafkaProducer) -> None:
        """Intercept the producer's requests."""
        upstream = producer.client.send

        async def send(node: int, request: Any, **options: Any) -> Any:
            response = await upstream(node, request, **options)
            if isinstance(request, self.request):
                self.sent += 1
                if self.sent == 1:
                    raise RequestTimedOutError
            return response

        producer.client.send = send


@pytest.mark.parametrize(
    "request_type",
    [request for request in REQUESTS if request is not InitProducerIdRequest],
    ids=name_of,
)
@pytest.mark.parametrize("patched", [True, False], ids=["once", "as aiokafka does"])
async def test_what_was_not_answered_is_not_repeated(
    bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch, request_type: type, patched: bool
) -> None:
    """A second request might arrive after the first, in any later transaction. The lane reopens
    instead.
    """
    if not patched:
        for handler in TRANSACTIONAL_HANDLERS:
            monkeypatch.delattr(handler, "do")
    create_topic(bootstrap, prefix, 1)
    lost = LostResponse(request_type)
    async with transactional(bootstrap, f"{prefix}-0") as producer:
        lost.install(producer)
        try:
            await _write(producer, prefix, prefix)
        except Exception as error:
            reopening = reopening_after(root_cause(producer, error))
            assert reopening is not None
            assert (patched, lost.sent, reopening.fenced) == (True, 1, False)
        else:
            assert (patched, lost.sent) == (False, 2)
