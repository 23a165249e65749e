"""Patches in app/rollcall/kafka/aiokafka_patches.py."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producers
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from rollcall.kafka import aiokafka_patches
from rollcall.kafka.batches import GatheredBatch
from rollcall.kafka.client import client_options
from rollcall.kafka.connection import broker_connection
from rollcall.kafka.encoding import RecordBatches
from rollcall.record import NO_HEADERS
from rollcall.settings import load_settings
from tests.chaos.proxy import Proxy
from tests.kafka_client import create_topic, delete_topic
from tests.waiting import DEADLINE_SECONDS, in_time, wait_until

HANGING = 77
"""Id of a broker."""

TURNS = 8
"""Event loop iterations after which aiokafka has noticed a reset connection."""


@contextlib.asynccontextmanager
async def reset_connection(
    bootstrap: str, turns: int
) -> AsyncIterator[tuple[AIOKafkaClient, AIOKafkaConnection]]:
    """A client, and its connection, which was reset some event loop iterations ago."""
    with Proxy(int(bootstrap.rpartition(":")[2])) as proxy:
        client = AIOKafkaClient(**client_options(load_settings(), bootstrap))
        await client.bootstrap()
        node = client.get_random_node()
        client.cluster._brokers[node] = client.cluster.broker_metadata(node)._replace(
            port=proxy.port
        )
        try:
            assert await client.ready(node)
            connection = client._conns[node, ConnectionGroup.DEFAULT]
            proxy.cut(reset=True)
            polled = select.poll()
            polled.register(connection._writer.get_extra_info("socket").fileno(), select.POLLIN)
            wait_until(lambda: polled.poll(0), what="the reset")  # before the loop looks next
            for _ in range(turns):
                await asyncio.sleep(0)
            yield client, connection
        finally:
            await client.close()


async def cancelled_at_the_first_question(
    bootstrap: str, begin: Callable[[str], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start with a broker that never answers the first request, and be cancelled meanwhile."""
    requested, upstream = asyncio.Event(), AIOKafkaConnection.send

    def send(connection: AIOKafkaConnection, request: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(request, MetadataRequest):
            proxy.freeze()
            requested.set()
        return upstream(connection, request, *arguments, **options)

    async def beginning() -> None:
        with contextlib.suppress(asyncio.CancelledError):  # its traceback would keep what is left
            await begin(f"127.0.0.1:{proxy.port}")

    with Proxy(int(bootstrap.rpartition(":")[2])) as proxy:
        monkeypatch.setattr(AIOKafkaConnection, "send", send)
        task = asyncio.create_task(beginning())
        await in_time(requested.wait(), what="the first question")
        task.cancel()
        await in_time(task, what="the end")
        del task
        gc.collect()


async def begin_as_client(bootstrap: str) -> None:
    client = AIOKafkaClient(**client_options(load_settings(), bootstrap))
    try:
        await client.bootstrap()
    finally:
        await client.close()


async def begin_as_newcomer(bootstrap: str) -> None:
    async with broker_connection(load_settings(), bootstrap):
        pass


@pytest.mark.parametrize("begin", [begin_as_client, begin_as_newcomer])
async def test_whoever_is_cancelled_while_it_begins_leaves_no_connection(
    bootstrap: str,
    begin: Callable[[str], Awaitable[None]],
    overheard: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await cancelled_at_the_first_question(bootstrap, begin, monkeypatch)
    assert overheard == []


async def test_a_client_of_aiokafka_that_is_cancelled_while_it_begins_leaves_a_connection(
    bootstrap: str, overheard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        AIOKafkaClient, "bootstrap", AIOKafkaClient.bootstrap.__wrapped__.__wrapped__
    )
    await cancelled_at_the_first_question(bootstrap, begin_as_client, monkeypatch)
    assert [each.splitlines()[0] for each in overheard] == ["Unclosed AIOKafkaConnection"]
    overheard.clear()


async def send(bootstrap: str, turns: int) -> None:
    async with reset_connection(bootstrap, turns) as (_, connection):
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()


async def ask_again(bootstrap: str, turns: int) -> None:
    async with reset_connection(bootstrap, turns) as (client, _):
        # An answer or two may be that it failed, on the lost connection. What must not be is none.
        assert True in [
            await in_time(client.force_metadata_update(), what="an answer") for _ in range(5)
        ]


@pytest.mark.parametrize("turns", range(TURNS))
@pytest.mark.parametrize("use", [send, ask_again])
def test_a_connection_that_was_reset_is_one_that_is_lost(
    bootstrap: str, use: Callable[[str, int], Coroutine[None, None, None]], turns: int
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use(bootstrap, turns))


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_a_topic_that_is_gone_is_asked_for_now_and_then(
    bootstrap: str, prefix: str, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause, requests = 0.5, 0
    monkeypatch.setattr(aiokafka_patches, "REPEAT_SECONDS", pause)

    async def counted(client: AIOKafkaClient, cluster: object, topics: set[str]) -> object:
        nonlocal requests
        requests += 1
        return await update(client, cluster, topics)

    update = AIOKafkaClient._metadata_update.__wrapped__
    monkeypatch.setattr(
        AIOKafkaClient,
        "_metadata_update",
        aiokafka_patches.with_pause(counted) if mended else counted,
    )
    create_topic(bootstrap, topic := f"{prefix}.gone", 1)
    producer = AIOKafkaProducer(
        **client_options(load_settings(), bootstrap), request_timeout_ms=3_000
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"before")
        delete_topic(bootstrap, topic)
        begun, requests = time.monotonic(), 0
        with contextlib.suppress(KafkaError):  # after the time-out
            while True:
                await producer.send_and_wait(topic, b"after", partition=0)
        allowed = (time.monotonic() - begun) / pause + 2
        assert requests <= allowed if mended else requests > allowed
    finally:
        await producer.stop()


async def test_other_topics_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiokafka_patches, "REPEAT_SECONDS", 3_600)
    requests: list[set[str]] = []

    async def upstream(_client: object, _cluster: object, topics: set[str]) -> None:
        requests.append(set(topics))

    update, client, topics = (
        aiokafka_patches.with_pause(upstream),
        SimpleNamespace(),
        set[str](),
    )
    for number in range(3):
        topics.add(f"topic-{number}")  # in place, as aiokafka does
        await in_time(update(client, None, topics), what="the question")
    assert [len(each) for each in requests] == [1, 2, 3]


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


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_a_consumer_is_stopped_while_a_fetch_pauses(
    bootstrap: str, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not mended:
        monkeypatch.setattr(Fetcher, "close", Fetcher.close.__wrapped__)
    consumer = AIOKafkaConsumer(**client_options(load_settings(), bootstrap))
    await consumer.start()
    await asyncio.sleep(0)  # what fetches waits for partitions now
    pause = asyncio.create_task(asyncio.sleep(1_000))
    consumer._fetcher._pending_tasks.add(pause)
    await asyncio.sleep(0)
    with contextlib.nullcontext() if mended else pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(consumer.stop(), DEADLINE_SECONDS)
    assert pause.cancelled()
    assert (consumer._client._sync_task is None) is mended, "which its client ends last"
    await consumer._client.close()


async def test_a_consumer_is_stopped_though_a_task_takes_its_cancellation_for_that_of_another(
    bootstrap: str,
) -> None:
    consumer = AIOKafkaConsumer(**client_options(load_settings(), bootstrap))
    await consumer.start()
    mistakes = 0

    async def mistake() -> None:
        nonlocal mistakes
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            mistakes += 1
        await asyncio.sleep(1_000)

    await asyncio.sleep(0)  # what fetches waits for partitions now
    task = asyncio.create_task(mistake())
    consumer._fetcher._pending_tasks.add(task)
    await asyncio.sleep(0)
    await asyncio.wait_for(consumer.stop(), DEADLINE_SECONDS)
    assert task.cancelled()
    assert mistakes == 1


@contextlib.asynccontextmanager
async def two_brokers(
    bootstrap: str, *, hangs: bool
) -> AsyncIterator[tuple[AIOKafkaClient, Proxy]]:
    """A client that sees the broker as two: one that answers, and one that may hang."""
    with Proxy(int(bootstrap.rpartition(":")[2])) as proxy:
        client = AIOKafkaClient(**client_options(load_settings(), bootstrap))
        await client.bootstrap()
        [node] = [broker.nodeId for broker in client.cluster.brokers()]
        client.cluster._brokers[HANGING] = client.cluster.broker_metadata(node)._replace(
            nodeId=HANGING, port=proxy.port
        )
        if hangs:
            proxy.freeze()
        try:
            yield client, proxy
        finally:
            proxy.thaw()
            await client.close()
            aiokafka_patches.UNRESPONSIVE.remove("127.0.0.1", proxy.port)


async def test_a_broker_that_hangs_is_waited_for_a_moment_only(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that the broker holds on purpose has its client's timeout; any other has a short
    one. The test checks which one ends, not when.
    """
    monkeypatch.setattr(aiokafka_patches, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        connection = client._conns[HANGING, ConnectionGroup.DEFAULT]
        proxy.freeze()
        with pytest.raises(TimeoutError):
            await connection.send(MetadataRequest([]))
        assert aiokafka_patches.UNRESPONSIVE.has("127.0.0.1", proxy.port)
        proxy.thaw()


async def test_a_broker_that_is_known_to_hang_is_waited_for_even_less(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On open and on new connections. Otherwise each connection of a process would find out by
    itself, and a lane asks the broker several times.
    """
    monkeypatch.setattr(aiokafka_patches, "ANSWER_SECONDS", 10 * DEADLINE_SECONDS)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        proxy.freeze()
        connection = client._conns[HANGING, ConnectionGroup.DEFAULT]
        answer = asyncio.ensure_future(connection.send(MetadataRequest([])))
        await asyncio.wait({answer}, timeout=2 * aiokafka_patches.KNOWN_HANGING_SECONDS)
        assert not answer.done(), "nothing shows yet that the broker hangs"
        aiokafka_patches.UNRESPONSIVE.add("127.0.0.1", proxy.port)
        since = dict(aiokafka_patches.UNRESPONSIVE._since)
        await in_time(asyncio.wait({answer}), what="the end of the request")
        assert isinstance(answer.exception(), TimeoutError)
        ready = await in_time(
            client.ready(HANGING, group=ConnectionGroup.COORDINATION), what="the end of connecting"
        )
        assert not ready
        assert aiokafka_patches.UNRESPONSIVE._since == since, "a short wait shows nothing new"


async def test_a_broker_that_answers_again_is_waited_for_as_any_other(bootstrap: str) -> None:
    """Without a new connection."""
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        aiokafka_patches.UNRESPONSIVE.add("127.0.0.1", proxy.port)
        await client._conns[HANGING, ConnectionGroup.DEFAULT].send(MetadataRequest([]))
        assert not aiokafka_patches.UNRESPONSIVE.has("127.0.0.1", proxy.port)


async def test_what_waits_behind_a_request_that_is_held_is_waited_for(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker answers the requests of a connection in order, so it is healthy."""
    monkeypatch.setattr(aiokafka_patches, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        connection = client._conns[HANGING, ConnectionGroup.DEFAULT]
        proxy.freeze()
        held = asyncio.ensure_future(
            connection.send(JoinGroupRequest("g", 10_000, 10_000, "", "", "consumer", []))
        )
        await asyncio.sleep(0)
        behind = asyncio.ensure_future(connection.send(MetadataRequest([])))
        await asyncio.wait({held, behind}, timeout=1.5)
        assert not held.done()
        assert not behind.done()
        assert not aiokafka_patches.UNRESPONSIVE.has("127.0.0.1", proxy.port)
        proxy.thaw()
        await asyncio.gather(held, behind)


async def test_a_request_that_is_held_ends_when_the_broker_is_known_to_hang(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other connections show it. Otherwise a lane would wait for its group as long as for slow
    members.
    """
    monkeypatch.setattr(aiokafka_patches, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        assert await client.ready(HANGING, group=ConnectionGroup.COORDINATION)
        proxy.freeze()
        connection = client._conns[HANGING, ConnectionGroup.COORDINATION]
        connection._full_timeout = 10 * DEADLINE_SECONDS
        held = asyncio.ensure_future(
            connection.send(JoinGroupRequest("g", 10_000, 10_000, "", "", "consumer", []))
        )
        await asyncio.wait({held}, timeout=1.5)
        assert not held.done()
        with pytest.raises(TimeoutError):
            await client._conns[HANGING, ConnectionGroup.DEFAULT].send(MetadataRequest([]))
        await in_time(asyncio.wait({held}), what="the end of the request")
        assert isinstance(held.exception(), TimeoutError)


async def test_a_large_answer_may_take_its_time(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a part of it arrives."""
    monkeypatch.setattr(aiokafka_patches, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        connection = client._conns[HANGING, ConnectionGroup.DEFAULT]
        proxy.freeze()
        answer = asyncio.ensure_future(connection.send(MetadataRequest([])))
        for _ in range(8):
            await asyncio.wait({answer}, timeout=0.25)
            connection._protocol.received += 1  # as if a byte had come
        assert not answer.done()
        proxy.thaw()
        await answer


async def test_another_broker_is_asked_than_the_silent_one(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiokafka_patches, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=True) as (client, proxy):
        assert HANGING in {client.get_random_node() for _ in range(100)}, "nobody knows yet"
        assert not await client.ready(HANGING)
        assert HANGING not in {client.get_random_node() for _ in range(100)}
        requests: list[object] = []
        ready = client._get_conn

        async def get_conn(node: object, **options: object) -> object:
            requests.append(node)
            return await ready(node, **options)

        monkeypatch.setattr(client, "_get_conn", get_conn)
        hanging = client.cluster._brokers[HANGING]
        for _ in range(20):
            assert await client._metadata_update(client.cluster, ["none"])
            client.cluster._brokers[HANGING] = hanging  # the broker itself does not know of it
        assert HANGING in requests, "in turn, as ever"
        assert (HANGING, ConnectionGroup.DEFAULT) not in client._conns, "but without waiting for it"
        options = {
            **client_options(load_settings(), bootstrap),
            "bootstrap_servers": [f"127.0.0.1:{proxy.port}", bootstrap],
        }
        assert [port for _host, port, _family in AIOKafkaClient(**options).hosts] == [
            int(bootstrap.rpartition(":")[2]),
            proxy.port,
        ]
        proxy.thaw()
        assert await client.ready(HANGING)
        assert HANGING in {client.get_random_node() for _ in range(100)}, "it answers again"


async def test_where_only_silent_brokers_are_left_they_are_asked(bootstrap: str) -> None:
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        for node in [
            broker.nodeId for broker in client.cluster.brokers() if broker.nodeId != HANGING
        ]:
            del client.cluster._brokers[node]
        aiokafka_patches.UNRESPONSIVE.add("127.0.0.1", proxy.port)
        assert client.get_random_node() == HANGING
        assert await client._metadata_update(client.cluster, ["none"])
