"""uvicorn's server without signal handlers, with TLS handshakes of limited time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn

from rollcall.errors import ConfigurationError

HANDSHAKE_SECONDS = 10.0
"""Time for a TLS handshake. asyncio's default is 60 s, and uvicorn has no option for it."""

CLOSE_SECONDS = 5.0
"""Time for the end of a TLS connection. asyncio's default is 30 s."""


class Server(uvicorn.Server):
    """uvicorn's server, in a process that has its own signal handlers.

    Args:
        tls: certificate of the server; None: plain HTTP. Changes of it hold for new connections.
    """

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(config)
        self._tls = tls

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. Replaces ``uvicorn/server.py:112``, of which it has the case of open sockets."""
        config, loop = self.config, asyncio.get_running_loop()
        await self.lifespan.startup()

        def new_protocol() -> asyncio.Protocol:
            protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return protocol

        secured = self._tls is not None
        self.servers = [
            await loop.create_server(
                new_protocol,
                sock=one,
                backlog=config.backlog,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if secured else None,
                ssl_shutdown_timeout=CLOSE_SECONDS if secured else None,
            )
            for one in sockets or ()
        ]
        self.started = True


def listen(bind: str, port: int, *, hint: str) -> socket.socket:
    """A listening socket.

    Args:
        hint: what a user can do if the address cannot be used.

    Raises:
        ConfigurationError: the address is taken or unknown.
    """
    try:
        family = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((bind, port), family=family, backlog=512)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {bind}:{port} ({error.strerror or error}); {hint}"
        ) from None
    # Connections inherit it. Head and body of a response are two writes, and without it the second
    # one would wait 40 ms for the client's acknowledgement of the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
