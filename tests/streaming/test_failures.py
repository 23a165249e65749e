"""Batches that were not added to a transaction are not sent; failed producers leave no tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer import producer as producers
from aiokafka.producer import sender as senders
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest
from aiokafka.structs import OffsetAndMetadata

from rollcall.kafka.batches import GatheredBatch
from rollcall.kafka.bounded import promptly
from rollcall.kafka.client import client_options
from rollcall.kafka.encoding import RecordBatches
from rollcall.record import NO_HEADERS
from rollcall.settings import load_settings
from rollcall.streaming.failures import fail_unadded_batches, terminate
from tests.kafka_client import create_topic
from tests.waiting import eventually

TPS = [KafkaPartition("allowed", 0), KafkaPartition("refused", 1)]


@pytest.mark.parametrize("held_back", [True, False], ids=["held back", "as aiokafka does"])
async def test_batches_that_were_not_added_are_not_sent(held_back: bool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="lane-0")
    if held_back:
        fail_unadded_batches(producer)
    producer._closed = True  # not started; its finalizer would complain
    transactions, accumulator = producer._txn_manager, producer._message_accumulator
    transactions.set_pid_and_epoch(7, 4)
    transactions.begin_transaction()
    futures = []
    for tp in TPS:
        records = RecordBatches(900_000)
        records.append(1, b"key", b"value", NO_HEADERS)
        futures.append(
            await accumulator.add_batch(
                GatheredBatch(records.batches[0], transactional=True), tp, 1
            )
        )
    assert set(transactions.partitions_to_add()) == set(TPS), (
        "aiokafka holds them back until they are added"
    )
    error = TopicAuthorizationFailedError({"refused"})
    transactions.error_transaction(error)
    assert not transactions.partitions_to_add(), "aiokafka forgets to hold them back"
    assert set(accumulator._batches) == (set() if held_back else set(TPS)), (
        "batches in the accumulator would be sent next"
    )
    await asyncio.sleep(0)  # one turn of the loop for shielded futures
    for future in futures:
        assert future.done() == held_back
        if held_back:
            with pytest.raises(TopicAuthorizationFailedError):
                await future
    assert transactions._transaction_waiter.exception() is error


class Interceptor:
    """Intercepts the requests of a producer's client."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._send = producer.client.send
        self.producing, self.cut = asyncio.Event(), asyncio.Event()
        producer.client.send = self.send

    async def send(self, node: Any, request: Any, **options: Any) -> Any:
        """Block a produce request until ``cut`` is set. Once there is one, an offset request gets
        no answer.
        """
        if isinstance(request, ProduceRequest):
            self.producing.set()
            await self.cut.wait()
            raise KafkaConnectionError("cut")
        if isinstance(request, AddOffsetsToTxnRequest):
            await self.producing.wait()
            raise RequestTimedOutError
        return await self._send(node, request, **options)


async def _begin(producer: AIOKafkaProducer, topic: str) -> Interceptor:
    """A producer with a record in flight."""
    await producer.start()
    interceptor = Interceptor(producer)
    await producer.begin_transaction()
    await producer.send(topic, b"value", partition=0)
    return interceptor


async def _cancel_a_commit(producer: AIOKafkaProducer, topic: str) -> None:
    interceptor = await _begin(producer, topic)
    committing = asyncio.create_task(producer.commit_transaction())
    await interceptor.producing.wait()
    await eventually(
        lambda: producer._txn_manager.needs_transaction_commit() is not None, what="the commit"
    )
    await asyncio.sleep(0)
    committing.cancel()
    await asyncio.wait({committing})


async def _lose_a_response(producer: AIOKafkaProducer, topic: str) -> None:
    interceptor = await _begin(producer, topic)
    with pytest.raises(KafkaError):
        await producer.send_offsets_to_transaction(
            {KafkaPartition(topic, 0): OffsetAndMetadata(1, "")}, topic
        )
    interceptor.cut.set()


@pytest.mark.parametrize("patched", [True, False], ids=["patched", "as aiokafka does"])
@pytest.mark.parametrize("fail", [_cancel_a_commit, _lose_a_response])
async def test_a_producer_that_is_cut_off_leaves_nothing_behind(
    bootstrap: str,
    prefix: str,
    overheard: list[str],
    monkeypatch: pytest.MonkeyPatch,
    fail: Any,
    patched: bool,
) -> None:
    create_topic(bootstrap, prefix, 1)
    if not patched:
        monkeypatch.setattr(producers, "Sender", senders.Sender)
    before = asyncio.all_tasks()
    producer = AIOKafkaProducer(
        **client_options(load_settings(), bootstrap),
        transactional_id=prefix,
        acks="all",
        linger_ms=0,
    )
    await fail(producer, prefix)
    with contextlib.suppress(Exception):
        await promptly(producer.stop(), 1)
    if patched:
        await terminate(producer)
        await eventually(lambda: asyncio.all_tasks() == before, what="the end of all tasks")
        del producer
        gc.collect()
        assert overheard == []
    else:
        await promptly(producer.client.close(), 1)
        left = asyncio.all_tasks() - before
        del producer
        gc.collect()
        assert left or overheard
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        left.clear()
        gc.collect()
        overheard.clear()
