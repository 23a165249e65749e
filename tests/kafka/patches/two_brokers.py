"""One broker that a client sees as two: one that answers, and one that may hang."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiokafka.client import AIOKafkaClient

from rollcall.kafka.client import client_options
from rollcall.kafka.patches.unresponsive_brokers import UNRESPONSIVE
from rollcall.settings import load_settings
from tests.chaos.proxy import Proxy
from tests.waiting import DEADLINE_SECONDS

HANGING = 77
"""Id of a broker."""

CLIENT_TIMEOUT_MS = int(10 * DEADLINE_SECONDS * 1000)
"""Above all deadlines of tests: a request that ends in time was ended by a patch, not by this."""


@contextlib.asynccontextmanager
async def two_brokers(
    bootstrap: str, *, hangs: bool
) -> AsyncIterator[tuple[AIOKafkaClient, Proxy]]:
    """A client that sees the broker as two: one that answers, and one that may hang."""
    with Proxy(int(bootstrap.rpartition(":")[2])) as proxy:
        client = AIOKafkaClient(
            **client_options(load_settings(), bootstrap), request_timeout_ms=CLIENT_TIMEOUT_MS
        )
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
            UNRESPONSIVE.remove("127.0.0.1", proxy.port)
