"""Websockets."""

from __future__ import annotations

from tests.serve.client import connected
from tests.serve.served import Served
from tests.serve.wire import PATH, request


def test_a_websocket(served: Served) -> None:
    """It is refused for every host."""
    upgrade = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    for host in ("localhost", "evil.example"):
        with connected(served.url) as connection:
            connection.sendall(
                request(PATH, *upgrade, close=False).replace(b"localhost", host.encode())
            )
            assert b" 101 " not in connection.recv(100)
