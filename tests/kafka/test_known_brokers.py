"""A new client connects to any known broker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaConnectionError

from rollcall.errors import BrokerUnavailableError
from rollcall.kafka.bounded import stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.connection import broker_connection
from rollcall.kafka.known_brokers import KnownBrokers, known_brokers
from rollcall.settings import load_settings
from tests.chaos.proxy import Proxy


def test_those_that_were_seen_come_after_those_that_are_named() -> None:
    known = KnownBrokers("one:1, two:2,")
    assert list(known) == ["one:1", "two:2"]
    known.update([("two", 2), ("three", 3), ("::1", 4)])
    assert collect_hosts(known, randomize=False) == collect_hosts(
        "one:1,two:2,[::1]:4,three:3", randomize=False
    )
    assert str(known) == "one:1,two:2"
    known.update([("five", 5)])
    assert list(known) == ["one:1", "two:2", "five:5"], "what is gone may be somebody else's by now"


def test_a_process_knows_the_brokers_of_each_cluster_apart() -> None:
    settings = load_settings()
    assert (
        client_options(settings, "one:1")["bootstrap_servers"]
        is client_options(settings, "one:1")["bootstrap_servers"]
    )
    assert (
        client_options(settings, "one:1")["bootstrap_servers"]
        is not client_options(settings, "two:1")["bootstrap_servers"]
    )


@contextlib.asynccontextmanager
async def _started(client: Any) -> AsyncIterator[None]:
    try:
        await client.start()
        yield
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else stop_reader(client))


CLIENTS: dict[str, Callable[[str], AbstractAsyncContextManager[Any]]] = {
    "consumer": lambda bootstrap: _started(
        AIOKafkaConsumer(**client_options(load_settings(), bootstrap))
    ),
    "producer": lambda bootstrap: _started(
        AIOKafkaProducer(**client_options(load_settings(), bootstrap))
    ),
    "transactions": lambda bootstrap: _started(
        AIOKafkaProducer(**client_options(load_settings(), bootstrap), transactional_id="known")
    ),
    "topics": lambda bootstrap: _started(
        AIOKafkaAdminClient(**client_options(load_settings(), bootstrap))
    ),
    "first connection": lambda bootstrap: broker_connection(load_settings(), bootstrap),
}


@pytest.mark.parametrize("later", CLIENTS)
@pytest.mark.parametrize("first", ["consumer", "first connection"])
async def test_a_named_server_may_go_away_later(bootstrap: str, first: str, later: str) -> None:
    """The proxy is the configured server. The broker's metadata has the broker's own address."""
    with Proxy(int(bootstrap.rpartition(":")[2])) as proxy:
        named = f"127.0.0.1:{proxy.port}"
        async with CLIENTS[first](named):
            pass
    async with CLIENTS[later](named):
        assert bootstrap in known_brokers(named)


@pytest.mark.parametrize("later", CLIENTS)
async def test_without_it_a_client_does_not_start(later: str) -> None:
    with pytest.raises((KafkaConnectionError, BrokerUnavailableError)):
        async with CLIENTS[later]("127.0.0.1:1"):
            pass
