"""Patches in app/rollcall/kafka/patches/clients.py."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaError

from rollcall.kafka.client import client_options
from rollcall.kafka.patches import clients, connections
from rollcall.kafka.patches.unresponsive_brokers import UNRESPONSIVE
from rollcall.settings import load_settings
from tests.kafka.patches.two_brokers import HANGING, two_brokers
from tests.kafka_client import create_topic, delete_topic
from tests.waiting import eventually, in_time


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "as aiokafka does"])
async def test_a_topic_that_is_gone_is_asked_for_now_and_then(
    bootstrap: str, prefix: str, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause, requests = 0.5, 0
    monkeypatch.setattr(clients, "REPEAT_SECONDS", pause)

    async def counted(client: AIOKafkaClient, cluster: object, topics: set[str]) -> object:
        nonlocal requests
        requests += 1
        return await update(client, cluster, topics)

    update = AIOKafkaClient._metadata_update.__wrapped__
    monkeypatch.setattr(
        AIOKafkaClient,
        "_metadata_update",
        clients.with_pause(counted) if mended else counted,
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

        def allowed() -> float:
            return (time.monotonic() - begun) / pause + 2

        async def sent_in_vain() -> None:
            with contextlib.suppress(KafkaError):  # after the time-out
                while True:
                    await producer.send_and_wait(topic, b"after", partition=0)

        sending = asyncio.create_task(sent_in_vain())
        if mended:
            await sending
            assert requests <= allowed()
        else:  # not for the whole time: this takes a core
            await eventually(lambda: requests > 2 * allowed(), what="repeated requests")
            sending.cancel()
            await asyncio.wait({sending})
            monkeypatch.setattr(AIOKafkaClient, "_metadata_update", clients.with_pause(counted))
    finally:
        await producer.stop()


async def test_other_topics_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "REPEAT_SECONDS", 3_600)
    requests: list[set[str]] = []

    async def upstream(_client: object, _cluster: object, topics: set[str]) -> None:
        requests.append(set(topics))

    update, client, topics = (
        clients.with_pause(upstream),
        SimpleNamespace(),
        set[str](),
    )
    for number in range(3):
        topics.add(f"topic-{number}")  # in place, as aiokafka does
        await in_time(update(client, None, topics), what="the question")
    assert [len(each) for each in requests] == [1, 2, 3]


async def test_another_broker_is_asked_than_the_silent_one(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
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
        UNRESPONSIVE.add("127.0.0.1", proxy.port)
        assert client.get_random_node() == HANGING
        assert await client._metadata_update(client.cluster, ["none"])
