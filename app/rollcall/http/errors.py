"""Errors as responses. Pure."""

from __future__ import annotations

from typing import Any

JSON = "application/json; charset=utf-8"
"""Content type of errors."""

RETRY_SECONDS = "5"
"""``Retry-After`` of refused requests."""


class HttpError(Exception):
    """A request that gets an error as its response.

    Args:
        status: of HTTP.
    """

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """``{"errors": [{"message": ...}]}``, as Canvas's API answers."""
        return error_body(self.message)


def error_body(message: str, field: str | None = None) -> dict[str, Any]:
    """An error in Canvas's form.

    Args:
        field: name of the wrong parameter.
    """
    return {
        "errors": [
            {"message": message}
            if field is None
            else {"field": field, "message": message, "error_code": "invalid"}
        ]
    }


def unavailable(message: str, *, close: bool = False) -> HttpError:
    """503, for now.

    Args:
        close: whether the client loses its connection.
    """
    headers = {"retry-after": RETRY_SECONDS, **({"connection": "close"} if close else {})}
    return HttpError(503, message, headers=headers)
