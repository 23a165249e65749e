"""Patches of clients: the choice of a broker, and requests for metadata."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from aiokafka import conn
from aiokafka.client import AIOKafkaClient

from rollcall.kafka.known_brokers import KnownBrokers
from rollcall.kafka.patches.unresponsive_brokers import UNRESPONSIVE

_avoid_unresponsive: ContextVar[bool] = ContextVar("avoid_unresponsive", default=False)
"""Whether connections to unresponsive brokers are refused now."""

_upstream_metadata_update, _upstream_get_conn = (
    AIOKafkaClient._metadata_update,
    AIOKafkaClient._get_conn,
)


def _is_unresponsive(client: AIOKafkaClient, node: Any) -> bool:
    broker = client.cluster.broker_metadata(node)
    return broker is not None and UNRESPONSIVE.has(broker.host, broker.port)


def get_random_node(client: AIOKafkaClient) -> Any:
    """Prefers brokers that answer.

    aiokafka (``client.py:270``; no issue) picks any broker, often the one whose silence it has just
    noticed. Test:
    ``tests/kafka/patches/test_clients.py::test_another_broker_is_asked_than_the_silent_one``.
    """
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    answering = [node for node in nodes if not _is_unresponsive(client, node)]
    return random.choice(answering or nodes) if nodes else None  # noqa: S311


async def metadata_update(client: AIOKafkaClient, cluster_metadata: Any, topics: Any) -> Any:
    """Asks responsive brokers first. aiokafka (``client.py:282``; no issue) tries all in random
    order, and waits for each. Test: as above.
    """
    if not any(_is_unresponsive(client, broker.nodeId) for broker in client.cluster.brokers()):
        return await _upstream_metadata_update(client, cluster_metadata, topics)
    token = _avoid_unresponsive.set(True)
    try:
        updated = await _upstream_metadata_update(client, cluster_metadata, topics)
    finally:
        _avoid_unresponsive.reset(token)
    return updated or await _upstream_metadata_update(client, cluster_metadata, topics)


async def get_conn(client: AIOKafkaClient, node_id: Any, **options: Any) -> Any:
    if _avoid_unresponsive.get() and _is_unresponsive(client, node_id):
        return None
    return await _upstream_get_conn(client, node_id, **options)


def hosts(client: AIOKafkaClient) -> list[tuple[str, int, Any]]:
    """The bootstrap servers, unresponsive ones last (``client.py:169``). Test: as above."""
    servers = client._bootstrap_servers
    # Configured servers come first: a discovered broker may be gone, and another cluster may have
    # its address.
    parts = (
        [servers.configured, servers.discovered] if isinstance(servers, KnownBrokers) else [servers]
    )
    found: list[tuple[str, int, Any]] = [
        host for part in parts if part for host in conn.collect_hosts(part)
    ]
    return sorted(found, key=lambda host: UNRESPONSIVE.has(host[0], host[1]))


def build_metadata_request(upstream: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``MetadataRequest.build``: a request for a topic does not create it.

    aiokafka (``protocol/metadata.py:320``; no issue) lets brokers create requested topics. A
    deleted topic would come back with the broker's default partitions and cleanup policy. Test:
    ``tests/kafka/test_auto_creation.py``.
    """

    @functools.wraps(upstream)
    def build(request: Any, struct: Any) -> Any:
        request._allow_auto_topic_creation = False
        return upstream(request, struct)

    return build


def recording_brokers(upstream: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``bootstrap`` and ``_metadata_update`` of a client: record the brokers for the whole process.

    aiokafka (``client.py:191``; no issue) starts each client from the configured servers only.
    Test: ``tests/kafka/test_known_brokers.py``.
    """

    @functools.wraps(upstream)
    async def updated(client: Any, *arguments: Any) -> Any:
        result = await upstream(client, *arguments)
        if result is not False and isinstance(client._bootstrap_servers, KnownBrokers):
            client._bootstrap_servers.update(
                (broker.host, broker.port) for broker in client.cluster.brokers()
            )
        return result

    return updated


REPEAT_SECONDS = 0.1
"""Pause before a client repeats a request for metadata: ``retry_backoff_ms`` of Kafka's own
clients.
"""


def with_pause(
    upstream: Callable[[Any, Any, Any], Awaitable[Any]],
) -> Callable[[Any, Any, Any], Awaitable[Any]]:
    """``_metadata_update`` of a client: pauses before it requests the same topics again.

    aiokafka (``producer/sender.py:170``; no issue) intends a pause of a producer without a known
    leader, but sends requests as fast as brokers answer, hundreds per second, while the topic does
    not exist. Test:
    ``tests/kafka/patches/test_clients.py::test_a_topic_that_is_gone_is_asked_for_now_and_then``.
    """

    @functools.wraps(upstream)
    async def update(client: Any, cluster_metadata: Any, topics: Any) -> Any:
        last_topics, until = getattr(client, "_requested_until", (None, 0.0))
        if last_topics == topics and (pause := until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        try:
            return await upstream(client, cluster_metadata, topics)
        finally:
            client._requested_until = set(topics), time.monotonic() + REPEAT_SECONDS

    return update
