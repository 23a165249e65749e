"""Signatures and versions of the overridden parts of Faust, mode and aiokafka (streaming/faust/,
kafka/patches/). If a test here fails, read the upstream change first.
"""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatchBuilder
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ConsumerThread, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from mode.threads import ServiceThread, WorkerThread
from mode.utils import locks

from rollcall.kafka.batches import GatheredBatch
from rollcall.kafka.patches.transactional_requests import TRANSACTIONAL_HANDLERS

SIGNATURES = {
    driver.AIOKafkaConsumerThread._create_worker_consumer: ["self", "transport"],
    driver.AIOKafkaConsumerThread._fetch_records: [
        "self",
        "consumer",
        "active_partitions",
        "timeout",
        "max_records",
    ],
    driver.AIOKafkaConsumerThread._ensure_consumer: ["self"],
    driver.AIOKafkaConsumerThread.close: ["self"],
    driver.AIOKafkaConsumerThread.getmany: ["self", "active_partitions", "timeout"],
    driver.Consumer._new_consumer_thread: ["self"],
    driver.Producer.on_start: ["self"],
    driver.Producer.on_stop: ["self"],
    driver.Producer.flush: ["self"],
    Consumer._drain_messages: ["self", "fetcher"],
    Consumer.verify_all_partitions_active: ["self"],
    Consumer._wait_next_records: ["self", "timeout"],
    Consumer.on_partitions_assigned: ["self", "assigned", "generation_id"],
    Consumer.on_partitions_revoked: ["self", "revoked"],
    ThreadDelegateConsumer._getmany: ["self", "active_partitions", "timeout"],
    ConsumerThread.__init__: ["self", "consumer", "kwargs"],
    TableManager.on_start: ["self"],
    TableManager._update_channels: ["self"],
    Recovery.on_recovery_completed: ["self", "generation_id"],
    Schema.compile: [
        "self",
        "app",
        "on_key_decode_error",
        "on_value_decode_error",
        "default_propagate",
    ],
    WorkerThread.__init__: ["self", "service", "kwargs"],
    WorkerThread.run: ["self"],
    WorkerThread.stop: ["self"],
    ServiceThread._wakeup_timer_in_thread: ["self"],
    ServiceThread._stopped_set: ["self"],
    ServiceThread.set_shutdown: ["self"],
    ServiceThread.on_crash: ["self", "msg", "fmt", "kwargs"],
    driver.AIOKafkaConsumerThread.on_start: ["self"],
    Consumer.perform_seek: ["self"],
    Recovery._wait: ["self", "coro", "timeout"],
    Fetcher._update_fetch_positions: ["self", "assignment", "node_id", "tps"],
    Fetcher.close: ["self"],
    Fetcher._set_error: ["self", "tp", "error"],
    MessageBatch.failure: ["self", "exception"],
    MessageAccumulator.reenqueue: ["self", "batch"],
    TransactionManager.error_transaction: ["self", "exc"],
    TransactionManager.fatal_error: ["self", "exc"],
    Fetcher.fetched_records: ["self", "partitions", "timeout", "max_records"],
    Fetcher._create_fetch_waiter: ["self"],
    FetchResult.getall: ["self", "max_records"],
    PartitionRecords._consumer_record: ["self", "tp", "record"],
    AIOKafkaConsumer.seek: ["self", "partition", "offset"],
    OAuthAuthenticator.step: ["self", "payload"],
    AIOKafkaConnection.send: ["self", "request", "expect_response"],
    AIOKafkaConnection._send_sasl_token: ["self", "payload", "expect_response"],
    **{handler.handle_response: ["self", "resp"] for handler in TRANSACTIONAL_HANDLERS},
    BatchBuilder._set_producer_state: ["self", "producer_id", "producer_epoch", "base_sequence"],
    BatchBuilder._build: ["self"],
    DefaultRecordBatchBuilder.append: ["self", "offset", "timestamp", "key", "value", "headers"],
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures(function: object) -> None:
    assert callable(function)
    assert list(inspect.signature(function).parameters) == SIGNATURES[function]


def test_our_batch_overrides_all_methods_of_upstream() -> None:
    """Inherited methods would use attributes that it lacks. Upstream uses only these members."""
    upstream = {name for name, function in vars(BatchBuilder).items() if callable(function)}
    assert upstream - vars(GatheredBatch).keys() == {"_serialize"}, "which only append calls"
    used = inspect.getsource(MessageBatch) + inspect.getsource(MessageAccumulator)
    assert set(re.findall(r"[_.]builder\.(\w+)", used)) == {
        "append",
        "close",
        "closed",
        "record_count",
        "_build",
        "_set_producer_state",
    }


def test_versions() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


def test_private_state() -> None:
    assert isinstance(
        inspect.getattr_static(SubscriptionState, "reassignment_in_progress"), property
    )
    assert isinstance(inspect.getattr_static(TopicPartitionState, "position"), property)
    assert isinstance(inspect.getattr_static(TopicPartitionState, "has_valid_position"), property)
    assert ServiceThread.Worker is WorkerThread
    for used in ("self._value = True", "self._loop = ", "for fut in self._waiters:"):
        assert used in inspect.getsource(locks)
    assert "self._drain_waiter = create_future()" in inspect.getsource(MessageBatch.__init__)
    source = inspect.getsource(TransactionManager.error_transaction)
    assert "self._pending_txn_partitions.clear()" in source, (
        "aiokafka may now hold back batches itself, as failures.py does"
    )
    for name in ("_batches", "_pending_batches"):
        assert f"self.{name} = " in inspect.getsource(MessageAccumulator.__init__)
    for name in ("offset", "timestamp", "key", "value", "headers"):
        assert hasattr(DefaultRecord, name)


def test_fetching_without_waiting_does_not_yield() -> None:
    """The positions before and after a chunk are exact because nothing runs in between: with
    timeout 0, fetched_records does not yield.
    """
    source = inspect.getsource(Fetcher.fetched_records)
    before_return = source[: source.index("if drained or not timeout:")]
    assert before_return.count("await") == 1
    assert "await self._subscriptions.wait_for_assignment()" in before_return
