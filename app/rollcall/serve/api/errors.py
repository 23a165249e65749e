"""Errors of the API, in the form that Canvas's API has."""

from __future__ import annotations

from typing import Any

from rollcall.http.errors import HttpError, error_body

NOT_FOUND = "The specified resource does not exist."
"""Canvas's own message."""


class ApiError(HttpError):
    """A request to the API that gets an error as its response.

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
        super().__init__(status, message, headers=headers)
        self.field = field

    def body(self) -> dict[str, Any]:
        """``{"errors": [{"message": ...}]}``, with the field if there is one."""
        return error_body(self.message, self.field)


def not_found() -> ApiError:
    """404, in Canvas's words."""
    return ApiError(404, NOT_FOUND)
