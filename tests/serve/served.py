"""The real server in a thread, without Kafka: tests fill the replica directly."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from aiokafka import ConsumerRecord
from starlette.types import ASGIApp

from rollcall.http.protocol import PatientProtocol
from rollcall.process.metrics import ServeMetrics
from rollcall.serve.application import new_application
from rollcall.serve.context import ServeContext
from rollcall.serve.middleware.stack import with_middlewares
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower, collect
from rollcall.serve.replica.reading import ReplicaReader
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.replica.tables import TABLES, Columns, Key
from rollcall.serve.tokens import Tokens
from rollcall.settings import Settings, load_settings
from tests.waiting import DEADLINE_SECONDS

SHARD = 2107


def records_of(rows: Mapping[str, Mapping[str, Any] | None]) -> list[ConsumerRecord]:
    """Records of a roster topic. None: a tombstone."""
    return [
        ConsumerRecord(
            "topic",
            0,
            offset,
            0,
            0,
            key.encode(),
            None if row is None else orjson.dumps(row),
            None,
            0,
            0,
            (),
        )
        for offset, (key, row) in enumerate(rows.items())
    ]


def batch_of(
    rosters: Mapping[str, Mapping[str, Mapping[str, Any] | None]],
) -> dict[str, dict[Key, Columns | None]]:
    """A batch for a store."""
    batch: dict[str, dict[Key, Columns | None]] = {}
    for table in TABLES:
        unusable = collect(
            table,
            records_of(rosters.get(table.name, {})),
            batch.setdefault(table.name, {}),
        )
        assert unusable == 0
    return batch


SEND_BUFFER = 256 * 1024
"""Send buffer of each connection. Linux's default differs between machines, and so would the number
of responses that wait for a client that does not read.
"""


@dataclass
class Served:
    """A server in a thread."""

    url: str
    context: ServeContext
    store: ReplicaStore
    metrics: ServeMetrics

    def change(self, rosters: Mapping[str, Mapping[str, Mapping[str, Any] | None]]) -> None:
        """Records arrive."""
        changed, _ = self.store.apply(batch_of(rosters), {}, with_changes=True)
        self.context.feed.publish(changed, time.time())


@contextmanager
def serving(
    folder: Path,
    rosters: Mapping[str, Mapping[str, Mapping[str, Any] | None]] | None,
    around: Callable[[ASGIApp], ASGIApp] = lambda application: application,
    **settings: Any,
) -> Iterator[Served]:
    """Serve rosters; None: the replica is not complete.

    Args:
        around: puts something around the application, within the middlewares.
    """
    loaded: Settings = load_settings(
        **{"shard": SHARD, "kafka": "127.0.0.1:1", "data": folder, "log_level": "ERROR", **settings}
    )
    store = ReplicaStore(loaded.replica_file, loaded.topic_prefix)
    if rosters is not None:
        store.apply(batch_of(rosters), {})
        store.note_complete(time.time())
    feed = Feed()
    reader = ReplicaReader(loaded.replica_file)
    context = ServeContext(
        settings=loaded,
        bootstrap="127.0.0.1:1",
        reader=reader,
        follower=Follower(loaded, "127.0.0.1:1", store, feed),
        feed=feed,
        tokens=Tokens(loaded.tokens_file),
    )
    application = new_application(context)
    metrics: ServeMetrics = application.state.metrics
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        with_middlewares(around(application), context, metrics),
        http=PatientProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
    )
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", context, store, metrics)
    finally:
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)
        reader.close()
        store.close()
