"""What could not be added to a transaction is not sent."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import TopicAuthorizationFailedError

from app.streaming.batches import GatheredBatch
from app.streaming.failures import hold_back_what_was_not_added
from app.streaming.records import RecordBatches

PLACES = [KafkaPartition("allowed", 0), KafkaPartition("refused", 1)]


@pytest.mark.parametrize("held_back", [True, False], ids=["held back", "as aiokafka does"])
async def test_what_could_not_be_added_is_not_sent(held_back: bool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="lane-0")
    if held_back:
        hold_back_what_was_not_added(producer)
    producer._closed = True  # it was never started, and complains if it is not closed
    transactions, accumulator = producer._txn_manager, producer._message_accumulator
    transactions.set_pid_and_epoch(7, 4)
    transactions.begin_transaction()
    futures = []
    for place in PLACES:
        records = RecordBatches(900_000)
        records.append(1, b"key", b"value", [])
        futures.append(await accumulator.add_batch(GatheredBatch(records.batches[0], transactional=True), place, 1))
    assert set(transactions.partitions_to_add()) == set(PLACES), "aiokafka keeps them back until they are added"
    error = TopicAuthorizationFailedError({"refused"})
    transactions.error_transaction(error)
    assert not transactions.partitions_to_add(), "and forgets about it"
    assert set(accumulator._batches) == (set() if held_back else set(PLACES)), "what is here is sent next"
    await asyncio.sleep(0)  # a turn of the loop, for what is shielded to hear of it
    for future in futures:
        assert future.done() == held_back
        if held_back:
            with pytest.raises(TopicAuthorizationFailedError):
                await future
    assert transactions._transaction_waiter.exception() is error
