"""Patches in app/rollcall/kafka/patches/connections.py."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from rollcall.kafka.client import client_options
from rollcall.kafka.connection import broker_connection
from rollcall.kafka.patches import connections
from rollcall.kafka.patches.unresponsive_brokers import UNRESPONSIVE
from rollcall.settings import load_settings
from tests.chaos.proxy import Proxy
from tests.kafka.patches.two_brokers import HANGING, two_brokers
from tests.waiting import DEADLINE_SECONDS, in_time, wait_until

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


async def test_a_broker_that_hangs_is_waited_for_a_moment_only(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that the broker holds on purpose has its client's timeout; any other has a short
    one. The test checks which one ends, not when.
    """
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        connection = client._conns[HANGING, ConnectionGroup.DEFAULT]
        proxy.freeze()
        with pytest.raises(TimeoutError):
            await in_time(connection.send(MetadataRequest([])), what="the end of the request")
        assert UNRESPONSIVE.has("127.0.0.1", proxy.port)
        proxy.thaw()


async def test_a_broker_that_is_known_to_hang_is_waited_for_even_less(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On open and on new connections. Otherwise each connection of a process would find out by
    itself, and a lane asks the broker several times.
    """
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 10 * DEADLINE_SECONDS)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        proxy.freeze()
        connection = client._conns[HANGING, ConnectionGroup.DEFAULT]
        answer = asyncio.ensure_future(connection.send(MetadataRequest([])))
        await asyncio.wait({answer}, timeout=2 * connections.KNOWN_HANGING_SECONDS)
        assert not answer.done(), "nothing shows yet that the broker hangs"
        UNRESPONSIVE.add("127.0.0.1", proxy.port)
        since = dict(UNRESPONSIVE._since)
        await in_time(asyncio.wait({answer}), what="the end of the request")
        assert isinstance(answer.exception(), TimeoutError)
        ready = await in_time(
            client.ready(HANGING, group=ConnectionGroup.COORDINATION), what="the end of connecting"
        )
        assert not ready
        assert UNRESPONSIVE._since == since, "a short wait shows nothing new"


async def test_a_broker_that_answers_again_is_waited_for_as_any_other(bootstrap: str) -> None:
    """Without a new connection."""
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        UNRESPONSIVE.add("127.0.0.1", proxy.port)
        await client._conns[HANGING, ConnectionGroup.DEFAULT].send(MetadataRequest([]))
        assert not UNRESPONSIVE.has("127.0.0.1", proxy.port)


async def test_what_waits_behind_a_request_that_is_held_is_waited_for(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker answers the requests of a connection in order, so it is healthy."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
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
        assert not UNRESPONSIVE.has("127.0.0.1", proxy.port)
        proxy.thaw()
        await asyncio.gather(held, behind)


async def test_a_request_that_is_held_ends_when_the_broker_is_known_to_hang(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other connections show it. Otherwise a lane would wait for its group as long as for slow
    members.
    """
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    async with two_brokers(bootstrap, hangs=False) as (client, proxy):
        assert await client.ready(HANGING)
        assert await client.ready(HANGING, group=ConnectionGroup.COORDINATION)
        proxy.freeze()
        connection = client._conns[HANGING, ConnectionGroup.COORDINATION]
        held = asyncio.ensure_future(
            connection.send(JoinGroupRequest("g", 10_000, 10_000, "", "", "consumer", []))
        )
        await asyncio.wait({held}, timeout=1.5)
        assert not held.done()
        with pytest.raises(TimeoutError):
            await in_time(
                client._conns[HANGING, ConnectionGroup.DEFAULT].send(MetadataRequest([])),
                what="the end of the request",
            )
        await in_time(asyncio.wait({held}), what="the end of the request")
        assert isinstance(held.exception(), TimeoutError)


async def test_a_large_answer_may_take_its_time(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a part of it arrives."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
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
