"""Requests that were received."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class RecordedRequest:
    """A request, with the status of its response."""

    path: str
    """Without ``/api/v1``."""
    query: dict[str, list[str]]
    token: str | None
    status: int | None = None
    """None: not answered yet."""
