"""Asks Canvas's REST API: paged lists and single objects, each with the time that it stands for.

Canvas throttles by cost (canvas-lms, ``RequestThrottle``): ``X-Rate-Limit-Remaining`` tells what is
left. One request at a time is enough to stay below the limit, and the client slows down before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx
import orjson

from rollcall.errors import RollcallError

ANSWER_SECONDS = 60.0
"""Canvas's own limit for a request is some 60 s."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Pauses before a request is repeated, in seconds. Each is twice as long as the one before."""

TRIES = 6
"""Number of times that a request is sent before its list is given up."""

THROTTLED_TRIES = 30
"""The same if Canvas only asks for patience."""

MOST_UNANSWERED = 3
"""Questions in a row that Canvas may leave without an answer."""

COMFORTABLE_REMAINING = 300.0
"""Below this ``X-Rate-Limit-Remaining``, the client waits for the bucket to leak."""

LEAK_PER_SECOND = 10.0
"""What Canvas's bucket loses in a second."""

CLOCK_STEP_SECONDS = 1.0
"""HTTP's ``Date`` has whole seconds."""

PER_PAGE = 100
SMALLEST_PAGE = 10
"""Canvas's default size. A list of fewer items has one page."""

MOST_PAGES = 20_000
"""Of a list: two million items. A longer list does not end."""

STALE_SECONDS = 60.0
"""By which an answer's ``Date`` may be earlier than the first answer's, compared by this machine's
clock. An earlier one is of a cache.
"""

_RATE_LIMIT_TEXT = "rate limit exceeded"


class CanvasRefusesError(RollcallError):
    """Canvas does not let this token in, or does not answer: the run ends. No
    :class:`CanvasError`: nothing can go on after it.
    """

    exit_code = 4


class CanvasError(RollcallError):
    """Canvas gave no usable answer to a request."""


class UnavailableError(CanvasError):
    """The answer is missing, or is none that the API gives. The list that it belongs to is not
    complete.
    """


class RefusedError(CanvasError):
    """Canvas refuses the token, or the token lacks the right (401, 403)."""


class TokenRefusedError(RefusedError):
    """Canvas does not know the token, or has revoked it (401). Older versions answer so, too, if
    the token lacks a right.
    """


class NotFoundError(CanvasError):
    """Canvas has nothing there, or hides it (404).

    Args:
        asked_at: as of :attr:`Answer.asked_at`.
    """

    def __init__(self, message: str, asked_at: float) -> None:
        super().__init__(message)
        self.asked_at = asked_at


class Answer(NamedTuple):
    """An answer of Canvas."""

    content: Any
    """Decoded JSON: an object, or a list of objects."""
    asked_at: float
    """A time before which Canvas has not read its database for it: seconds since the epoch, in
    Canvas's clock, or in this machine's if that is earlier. A ``Date`` from the future, of a proxy
    perhaps, would make a fact count against events that are still to come.
    """
    clock_seconds: float
    """By which Canvas's clock is ahead of this machine's, about."""
    next_url: str | None
    """URL of the next page, if there is one."""
    has_links: bool
    """Whether the answer has a header ``Link``. All pages of Canvas have one."""


class CanvasClient:
    """Asks one Canvas, with one request at a time.

    All questions raise :class:`CanvasRefusesError` when Canvas does not answer any more: to wait
    for it with each list of each course would take days.

    Args:
        url: of Canvas, such as ``https://canvas.example.edu``.
        token: an access token. It is sent, and kept nowhere else.
        transport: replaces the network, for tests.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._origin = httpx.URL(url)
        self._pause = pause
        self._clock = clock
        self._wall_clock = wall_clock
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=ANSWER_SECONDS,
            follow_redirects=False,
            transport=transport,
            trust_env=False,
        )
        self._first_clock_seconds: float | None = None
        self.calls = 0
        """Number of requests that were sent."""
        self._unanswered = 0
        """Number of questions since Canvas last answered one. Each was sent several times."""

    async def __aenter__(self) -> CanvasClient:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.aclose()

    async def one(self, path: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """An object.

        Raises:
            CanvasError: as one of its subclasses.
        """
        answer = await self._ask(f"/api/v1/{path}", parameters)
        if not isinstance(answer.content, dict):
            raise UnavailableError(f"{path}: the answer is no object")
        return answer

    async def pages(
        self, path: str, parameters: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Answer]:
        """The pages of a list, from the first to the last. A list is complete only if this ends
        without an error.

        Raises:
            CanvasError: as one of its subclasses.
        """
        url, asked = f"/api/v1/{path}", set[str]()
        parameters = {**(parameters or {}), "per_page": PER_PAGE}
        while len(asked) < MOST_PAGES:
            answer = await self._ask(url, parameters)
            if not isinstance(answer.content, list):
                raise UnavailableError(f"{path}: a page is no list")
            yield answer
            if answer.next_url is None:
                if not answer.has_links and len(answer.content) >= SMALLEST_PAGE:
                    raise UnavailableError(
                        f"{path}: a page without the header Link; does a proxy remove it?"
                    )
                return
            if answer.next_url in asked:
                raise UnavailableError(f"{path}: a page leads back to an earlier one")
            asked.add(answer.next_url)
            # the URL is opaque, with all parameters
            url, parameters = answer.next_url, None
        raise UnavailableError(f"{path}: more than {MOST_PAGES} pages; the list does not end")

    async def _ask(self, url: str, parameters: Mapping[str, Any] | None) -> Answer:
        tries = throttled = 0
        pause = FIRST_PAUSE
        while True:
            started = self._clock()
            self.calls += 1
            try:
                response = await self._http.get(url, params=parameters)
            except httpx.RequestError as error:
                tries, problem = tries + 1, type(error).__name__
            else:
                status = response.status_code
                if _is_throttled(response):
                    throttled, problem = throttled + 1, f"throttled (status {status})"
                elif status >= 500:
                    tries, problem = tries + 1, f"status {status}"
                else:
                    self._unanswered = 0
                    answer = self._answer(url, response, started, self._clock())
                    await self._slow_down(response)
                    return answer
            if tries >= TRIES or throttled >= THROTTLED_TRIES:
                problem = f"{_place(url)}: {problem}, {tries + throttled} times"
                await self._note_silence(problem)
                raise UnavailableError(problem)
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _note_silence(self, problem: str) -> None:
        """After some questions without an answer, ask what Canvas answers to any token: perhaps it
        only fails in a course.
        """
        self._unanswered += 1
        if self._unanswered > MOST_UNANSWERED:
            raise CanvasRefusesError(
                f"Canvas does not answer any more ({problem}); run again with --resume when it does"
            )
        if self._unanswered == MOST_UNANSWERED:
            with contextlib.suppress(CanvasError):
                await self._ask("/api/v1/accounts/self", None)

    def _answer(self, url: str, response: httpx.Response, started: float, ended: float) -> Answer:
        place, status = _place(url), response.status_code
        if status == 401:
            raise TokenRefusedError(f"{place}: status {status}")
        if status == 403:
            raise RefusedError(f"{place}: status {status}")
        if status not in (200, 404):
            raise UnavailableError(f"{place}: status {status}")
        try:
            date = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            raise UnavailableError(f"{place}: the answer has no Date") from None
        now, seconds = self._wall_clock(), ended - started
        asked_at = min(date - CLOCK_STEP_SECONDS, now) - seconds
        self._check_age(place, date - now)
        try:
            content = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise UnavailableError(f"{place}: the answer is no JSON") from None
        if status == 404:
            if isinstance(content, dict) and "errors" in content:
                raise NotFoundError(f"{place}: status {status}", asked_at)
            raise UnavailableError(f"{place}: status {status}, and not by Canvas")
        return Answer(
            content, asked_at, date - now, self._next_url(place, response), bool(response.links)
        )

    def _check_age(self, place: str, clock_seconds: float) -> None:
        if self._first_clock_seconds is None:
            self._first_clock_seconds = clock_seconds
        age = self._first_clock_seconds - clock_seconds
        if age > STALE_SECONDS:
            raise UnavailableError(
                f"{place}: the answer is {age:.0f} s old: a proxy keeps answers, or this machine's "
                "clock was set"
            )

    def _next_url(self, place: str, response: httpx.Response) -> str | None:
        found = response.links.get("next", {}).get("url")
        if found is None:
            return None
        try:
            url = self._origin.join(found)
        except httpx.InvalidURL:
            raise UnavailableError(f"{place}: the next page has no usable URL") from None
        # the token must not go elsewhere
        if (url.scheme, url.host, url.port) != (
            self._origin.scheme,
            self._origin.host,
            self._origin.port,
        ):
            raise UnavailableError(f"{place}: the next page is on another server")
        return str(url)

    async def _slow_down(self, response: httpx.Response) -> None:
        remaining = _remaining(response)
        if remaining is not None and remaining < COMFORTABLE_REMAINING:
            missing = COMFORTABLE_REMAINING - remaining
            await self._pause(min(missing / LEAK_PER_SECOND, LONGEST_PAUSE))


def _is_throttled(response: httpx.Response) -> bool:
    """Whether Canvas asks to come later: 429, or what it answered earlier, 403 with a text."""
    if response.status_code == 429:
        return True
    remaining = _remaining(response)
    return response.status_code == 403 and (
        _RATE_LIMIT_TEXT in response.text.casefold() or (remaining is not None and remaining <= 0)
    )


def _remaining(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["X-Rate-Limit-Remaining"])
    except (KeyError, ValueError):
        return None


def _place(url: str) -> str:
    """The path of a URL: its parameters may be long."""
    return httpx.URL(url).path.removeprefix("/api/v1/")
