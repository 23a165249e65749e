"""Middleware: responses for requests that a middleware refuses."""

from __future__ import annotations

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.http.errors import JSON, HttpError
from rollcall.http.recorder import ResponseRecorder


class ErrorResponses:
    """Turns an :class:`HttpError` of an inner middleware into a response in Canvas's form.

    A client that leaves is no error: its request ends without a response. Errors of the application
    itself are answered by the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = ResponseRecorder(send)
        try:
            await self._app(scope, receive, response)
        except HttpError as error:
            if not response.started:
                await _send_error(error, send)
        except (ClientDisconnect, ConnectionError):
            pass


async def _send_error(error: HttpError, send: Send) -> None:
    body = orjson.dumps(error.body())
    headers = {
        "content-type": JSON,
        "content-length": str(len(body)),
        "x-content-type-options": "nosniff",
        **error.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
