"""What is wrong with a request, in the form in which Canvas says so."""

from __future__ import annotations

from typing import Any

JSON = "application/json; charset=utf-8"
"""The content type of every answer of the API."""

RETRY_SECONDS = "5"
"""After which somebody who was sent away may come back."""

NOT_FOUND = "The specified resource does not exist."
"""As Canvas says it."""


class ApiError(Exception):
    """A request that cannot be answered as it is.

    Args:
        field: the parameter that is wrong.
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
    """There is no such thing."""
    return ApiError(404, NOT_FOUND)
