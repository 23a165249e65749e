"""What app/aiokafka_patches.py mends in aiokafka."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka import client_options
from app.settings import load_settings
from tests.chaos.proxy import Proxy

TURNS = 8
"""Of the event loop, within which aiokafka has taken notice of a connection that was reset."""


@contextlib.asynccontextmanager
async def reset_connection(bootstrap: str, turns: int) -> AsyncIterator[tuple[AIOKafkaClient, AIOKafkaConnection]]:
    """A client, and its connection to the broker, which was reset so many turns of the event loop ago."""
    with Proxy(int(bootstrap.rpartition(":")[2])) as proxy:
        client = AIOKafkaClient(**client_options(load_settings(), bootstrap))
        await client.bootstrap()
        node = client.get_random_node()
        client.cluster._brokers[node] = client.cluster.broker_metadata(node)._replace(port=proxy.port)
        try:
            assert await client.ready(node)
            connection = client._conns[node, ConnectionGroup.DEFAULT]
            proxy.cut(reset=True)
            time.sleep(0.02)  # noqa: ASYNC251 the reset must have come when the loop looks next
            for _ in range(turns):
                await asyncio.sleep(0)
            yield client, connection
        finally:
            await client.close()


async def send(bootstrap: str, turns: int) -> None:
    async with reset_connection(bootstrap, turns) as (_, connection):
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()


async def ask_again(bootstrap: str, turns: int) -> None:
    async with reset_connection(bootstrap, turns) as (client, _), asyncio.timeout(10):
        # An answer or two may be that it failed, on the lost connection. What must not be is none.
        assert True in [await client.force_metadata_update() for _ in range(5)]


@pytest.mark.parametrize("turns", range(TURNS))
@pytest.mark.parametrize("use", [send, ask_again])
def test_a_connection_that_was_reset_is_one_that_is_lost(bootstrap: str, use: Callable[[str, int], Coroutine[None, None, None]], turns: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use(bootstrap, turns))
