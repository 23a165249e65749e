"""Refused requests."""

from __future__ import annotations

from typing import Any


class RefusedError(Exception):
    """A response that is an error, in Canvas's form."""

    def __init__(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def not_found() -> RefusedError:
    """The row does not exist, or is hidden."""
    return RefusedError(404, {"errors": [{"message": "The specified resource does not exist."}]})


def not_authorized(status: int) -> RefusedError:
    """The token is valid, but its owner may not."""
    message = "user not authorized to perform that action"
    return RefusedError(status, {"status": "unauthorized", "errors": [{"message": message}]})


def invalid_token() -> RefusedError:
    """The token is unknown or revoked."""
    return RefusedError(
        401,
        {"errors": [{"message": "Invalid access token."}]},
        {"WWW-Authenticate": 'Bearer realm="canvas-lms"'},
    )


def no_token() -> RefusedError:
    """There is no token."""
    message = "user authorization required"
    return RefusedError(401, {"status": "unauthenticated", "errors": [{"message": message}]})
