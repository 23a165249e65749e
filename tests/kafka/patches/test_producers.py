"""Patches in app/rollcall/kafka/patches/producers.py."""

from __future__ import annotations

import asyncio
import gc

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producers
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager

from rollcall.kafka.batches import GatheredBatch
from rollcall.kafka.encoding import RecordBatches
from rollcall.record import NO_HEADERS


async def _fenced(failed: BaseException) -> None:
    """A producer is fenced while a batch waits for its partition, and an offset for its group.
    Nobody waits for the transaction, or for another batch.
    """
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", transactional_id="lane-0")
    producer._closed = True  # it was never started, and complains if it is not closed
    transactions, accumulator = producer._txn_manager, producer._message_accumulator
    transactions.set_pid_and_epoch(7, 4)
    transactions.begin_transaction()
    records = RecordBatches(900_000)
    records.append(1, b"key", b"value", NO_HEADERS)
    delivered = await accumulator.add_batch(
        GatheredBatch(records.batches[0], transactional=True), TopicPartition("typed", 0), 1
    )
    given_up = await accumulator.add_batch(
        GatheredBatch(records.batches[0], transactional=True), TopicPartition("typed", 1), 1
    )
    given_up.cancel()  # it is a shield: the batch does not hear of it, and no longer of the batch
    await asyncio.sleep(0)
    offset = transactions.add_offsets_to_txn({}, "group")
    for partition in (0, 1):
        for batch in accumulator._batches[TopicPartition("typed", partition)]:
            batch.failure(exception=failed)  # as the sender says it
    accumulator.fail_all(failed)
    transactions.fatal_error(failed)
    await asyncio.sleep(0)
    for future in (delivered, offset):
        with pytest.raises(ProducerFenced):
            await future


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_nothing_is_left_of_a_transaction_that_failed(
    mended: bool, overheard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not mended:
        for function in (MessageBatch.failure, TransactionManager.fatal_error):
            kind = MessageBatch if function is MessageBatch.failure else TransactionManager
            monkeypatch.setattr(kind, function.__name__, function.__wrapped__)
    await _fenced(ProducerFenced())
    await asyncio.sleep(0)  # the loop forgets about it
    gc.collect()
    assert ["exception was never retrieved" in line for line in overheard] == (
        [] if mended else [True] * 4
    )
    overheard.clear()


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_a_batch_may_fail_while_it_waits_to_be_sent_once_more(
    mended: bool, overheard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not mended:
        monkeypatch.setattr(producers, "MessageAccumulator", message_accumulator.MessageAccumulator)
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    producer._closed = True  # it was never started, and complains if it is not closed
    accumulator, place = producer._message_accumulator, TopicPartition("typed", 0)
    records = RecordBatches(900_000)
    records.append(1, b"key", b"value", NO_HEADERS)
    delivered = await accumulator.add_batch(
        GatheredBatch(records.batches[0], transactional=False), place, 1
    )
    accumulator.reenqueue(accumulator._pop_batch(place))
    accumulator.fail_all(KafkaConnectionError())
    with pytest.raises(KafkaConnectionError):
        await delivered
    assert ["Exception in callback" in line for line in overheard] == ([] if mended else [True])
    overheard.clear()
