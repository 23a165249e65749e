"""The proxy's faults must take effect, or a run of faults proves nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Proxy
from tests.waiting import DEADLINE_SECONDS

WAIT = 0.3


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that returns all data."""

    def answer(connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(1024):
                connection.sendall(piece)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def exchange(client: socket.socket, text: bytes) -> bytes:
    """Send a text and return the response."""
    client.sendall(text)
    return client.recv(1024)


def has_ended(client: socket.socket) -> bool:
    """Whether the other side has closed or reset the connection."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_faults_of_the_network(echo: int) -> None:
    with Proxy(echo) as proxy:
        with socket.create_connection(
            ("127.0.0.1", proxy.port), timeout=DEADLINE_SECONDS
        ) as client:
            assert exchange(client, b"one") == b"one"
            proxy.slow(WAIT)
            begun = time.monotonic()
            assert exchange(client, b"slow") == b"slow"
            assert time.monotonic() - begun >= WAIT
            proxy.slow(0)
            proxy.freeze()
            client.settimeout(WAIT)
            with pytest.raises(TimeoutError):
                exchange(client, b"frozen")
            client.settimeout(DEADLINE_SECONDS)
            proxy.thaw()
            assert client.recv(1024) == b"frozen"
            proxy.cut()
            assert has_ended(client)
        with socket.create_connection(
            ("127.0.0.1", proxy.port), timeout=DEADLINE_SECONDS
        ) as client:
            assert exchange(client, b"again") == b"again"


def test_no_server_behind_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        unused = reserved.getsockname()[1]
    with (
        Proxy(unused) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=DEADLINE_SECONDS) as client,
    ):
        assert has_ended(client)
