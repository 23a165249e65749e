"""The page on a real server, in a thread, with a replica that is filled directly; no Kafka is
needed.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from rollcall.http.protocol import PatientProtocol
from rollcall.serve.application import new_application
from rollcall.serve.context import ServeContext
from rollcall.serve.middleware.stack import with_middlewares
from rollcall.serve.page.page import Page
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.follower import Follower
from rollcall.serve.replica.reading import ReplicaReader
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.tokens import Tokens, add_token
from rollcall.settings import load_settings
from tests.processes import wait_until
from tests.serve.client import Answer
from tests.serve.page.rows import SHARD, Rosters, take
from tests.serve.served import batch_of
from tests.waiting import DEADLINE_SECONDS, answer_of

NO_KAFKA = "127.0.0.1:1"


@dataclass
class Hosted:
    """A server."""

    address: str
    context: ServeContext
    store: ReplicaStore
    page: Page
    token: str | None
    server: uvicorn.Server
    loop: asyncio.AbstractEventLoop = field(repr=False)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address}"

    def change(self, *rosters: Rosters) -> None:
        """Records arrive, in one batch each."""
        for batch in rosters:
            take(self.store, self.context.feed, batch, time.time())

    def fetch(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        """Ask; a redirect is an answer. Headers with ``_`` for ``-``."""

        def once(seconds: float) -> Answer:
            connection = http.client.HTTPConnection(self.address, timeout=seconds)
            try:
                connection.request(
                    method,
                    path,
                    body,
                    {name.replace("_", "-"): value for name, value in headers.items()},
                )
                answer = connection.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            finally:
                connection.close()

        return answer_of(once, what=f"an answer to {method} {path}")

    def sign_in(self, token: str | None = None, **headers: str) -> Answer:
        """Send the form."""
        form = {"Content_Type": "application/x-www-form-urlencoded"} | headers
        return self.fetch("/login", "POST", f"token={token or self.token}".encode(), **form)

    @contextmanager
    def events(self, path: str, **headers: str) -> Iterator[Stream]:
        """A stream of events."""
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE_SECONDS)
        try:
            connection.request(
                "GET",
                path,
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )
            yield Stream(connection.getresponse())
        finally:
            connection.close()


class Stream:
    """Server-sent events as they come."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer
        self.status = answer.status

    def next(self, name: str) -> Any:
        """The next event of this name; others are passed over. Comments have the name of a
        colon.
        """
        kind = ""
        while line := self.answer.readline():
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: ") and kind == name:
                return json.loads(line[6:])
            elif line.startswith(b":") and name == ":":
                return None
        raise EOFError(name)

    def ends(self) -> bool:
        """Whether nothing more comes, in the end."""
        while self.answer.readline():
            pass
        return True


@contextmanager
def hosting(
    folder: Path, rosters: Rosters | None, *, with_tokens: bool = False, **settings: Any
) -> Iterator[Hosted]:
    """Serve these rosters; None: the replica is not complete."""
    tokens_file = folder / "tokens" if with_tokens else None
    token = add_token(tokens_file, "registrar") if tokens_file is not None else None
    loaded = load_settings(
        **{
            "kafka": NO_KAFKA,
            "data": folder,
            "shard": SHARD,
            "metrics_urls": (),
            "tokens_file": tokens_file,
            **settings,
        }
    )
    store = ReplicaStore(loaded.replica_file, loaded.topic_prefix)
    if rosters is not None:
        store.apply(batch_of(rosters), {})
        store.note_complete(time.time())
    feed, reader = Feed(), ReplicaReader(loaded.replica_file)
    assert loaded.kafka is not None
    context = ServeContext(
        settings=loaded,
        bootstrap=loaded.kafka,
        reader=reader,
        follower=Follower(loaded, loaded.kafka, store, feed),
        feed=feed,
        tokens=Tokens(tokens_file),
    )
    page = Page(context)
    application = new_application(context, page=page)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(
        uvicorn.Config(
            with_middlewares(application, context, application.state.metrics),
            http=PatientProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
        )
    )
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with page.running():
            await server.serve(sockets=[listening])

    # Clients of a Kafka that is not there would say so every second.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, what="the server")
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        yield Hosted(address, context, store, page, token, server, loops[0])
    finally:
        loops[0].call_soon_threadsafe(page.end_streams)
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)
        reader.close()
        store.close()
        assert not thread.is_alive(), "the server did not end"
