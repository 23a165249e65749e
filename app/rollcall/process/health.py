"""HTTP endpoints of every process: ``/livez``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rollcall.errors import ConfigurationError

Reasons = Callable[[], Sequence[str]]
"""Reasons why the process is not live or not ready; empty if it is."""


@contextlib.asynccontextmanager
async def serve_health(
    bind: str, port: int, *, live: Reasons, ready: Reasons, registry: CollectorRegistry
) -> AsyncIterator[int]:
    """Serve while the context is open. Yields the port, which is a free one for port 0.

    Raises:
        ConfigurationError: the address cannot be used.
    """

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/livez", _verdict(live))
    app.router.add_get("/readyz", _verdict(ready))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, bind, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {bind}:{port} ({error.strerror or error}); set ROLLCALL_PORT "
                "or ROLLCALL_BIND"
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _verdict(reasons: Reasons) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        found = list(reasons())
        return web.json_response(
            {"status": "failing", "reasons": found} if found else {"status": "ok"},
            status=503 if found else 200,
        )

    return answer
