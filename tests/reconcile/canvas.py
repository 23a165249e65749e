"""A Canvas of a few answers, for tests of the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

import httpx
import orjson

from rollcall.reconcile.canvas_client import CanvasClient

URL = "https://canvas.example.edu"
TOKEN = "7~token-of-an-admin"
NOW = 1_790_000_000.0
"""Canvas's clock."""


class FewAnswers:
    """Gives answers in their order, and notes requests and pauses."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.seconds = 0.0
        """The monotonic clock. Each request takes half a second."""
        self.now = NOW + 1_000
        """This machine's clock."""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next answer."""
        self.requests.append(request)
        self.seconds += 0.5
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pause(self, seconds: float) -> None:
        """Note a pause."""
        self.pauses.append(seconds)

    def client(self) -> CanvasClient:
        """A client of it."""
        return CanvasClient(
            URL,
            TOKEN,
            transport=httpx.MockTransport(self),
            pause=self.pause,
            clock=lambda: self.seconds,
            wall_clock=lambda: self.now,
        )


def answer(
    content: Any = None,
    status: int = 200,
    *,
    links: Sequence[tuple[str, str]] = (),
    date: float | None = NOW,
    **headers: str,
) -> httpx.Response:
    """An answer of Canvas.

    Args:
        links: URL and relation.
        headers: with ``_`` for ``-``.
    """
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    if date is not None:
        written["date"] = formatdate(date, usegmt=True)
    if links:
        written["link"] = ",".join(f'<{url}>; rel="{relation}"' for url, relation in links)
    return httpx.Response(status, headers=written, content=orjson.dumps(content))


Make = Callable[[], httpx.Response]
