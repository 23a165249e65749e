"""Errors of the API, in the form that Canvas's API has."""

from __future__ import annotations

from typing import Any

JSON = "application/json; charset=utf-8"
"""Content type of every response of the API."""

RETRY_SECONDS = "5"
"""``Retry-After`` of refused requests."""

NOT_FOUND = "The specified resource does not exist."
"""Canvas's own message."""


class ApiError(Exception):
    """A request that gets an error as its response.

    Args:
        status: of HTTP.
        field: name of the wrong parameter.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """``{"errors": [{"message": ...}]}``."""
        return error_body(self.message, self.field)


def error_body(message: str, field: str | None = None) -> dict[str, Any]:
    """An error in Canvas's form."""
    return {
        "errors": [
            {"message": message}
            if field is None
            else {"field": field, "message": message, "error_code": "invalid"}
        ]
    }


def not_found() -> ApiError:
    """404, in Canvas's words."""
    return ApiError(404, NOT_FOUND)
