"""A response whose connection ends in the middle of the body."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

TRANSPORT = "rollcall.transport"
"""Key of the connection's transport in the scope."""


class CutResponse(Response):
    """Sends the head and half of the body, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope[TRANSPORT].close()
        # uvicorn logs an error if the application ends before it knows of the end
        while (await receive())["type"] != "http.disconnect":
            pass
