"""Number of requests at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.processes import wait_until
from tests.serve.client import DEADLINE, connected, fetch
from tests.serve.served import serving
from tests.serve.wire import PATH, PEOPLE, request


def test_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request above the limit is refused, and served after another one has ended."""
    with serving(tmp_path, PEOPLE, most_requests=3) as served, ThreadPoolExecutor(3) as pool:
        read, begun, go = served.context.reader.read, list[bool](), threading.Event()

        async def slow(function: Any) -> Any:
            begun.append(True)
            await asyncio.to_thread(go.wait, DEADLINE)
            return await read(function)

        with monkeypatch.context() as patched:
            patched.setattr(served.context.reader, "read", slow)
            running = [pool.submit(fetch, served.url, PATH) for _ in range(3)]
            wait_until(lambda: len(begun) == len(running), what="the requests")
            refused = fetch(served.url, PATH)
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            assert "too many" in refused.message
            go.set()
            assert [answer.result().status for answer in running] == [200, 200, 200]
        for _ in range(5):
            assert fetch(served.url, PATH).status == 200


def test_a_client_that_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place is free afterwards."""
    with serving(tmp_path, PEOPLE, most_requests=1, request_seconds=1) as served:
        waiting = threading.Event()

        async def never(_function: Any) -> Any:
            waiting.set()
            await asyncio.Event().wait()

        with monkeypatch.context() as patched:
            patched.setattr(served.context.reader, "read", never)
            with connected(served.url) as connection:
                connection.sendall(request())
                wait_until(waiting.is_set, what="the request")
        wait_until(lambda: fetch(served.url, PATH).status == 200, what="a free place")
