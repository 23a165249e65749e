"""The client of Canvas's REST API: which lists are complete, and how it waits."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import httpx
import pytest

from rollcall.reconcile import canvas_client
from rollcall.reconcile.canvas_client import (
    COMFORTABLE_REMAINING,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    STALE_SECONDS,
    THROTTLED_TRIES,
    TRIES,
    CanvasError,
    NotFoundError,
    RefusedError,
    TokenRefusedError,
    UnavailableError,
)
from tests.reconcile.canvas import NOW, TOKEN, URL, FewAnswers, answer

OUTSIDE = (
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2026 00:00:00 +99999999999999999999",
)
"""Dates that are no times."""

DATED = {"date": formatdate(NOW, usegmt=True)}
NOT_FOUND = {"errors": [{"message": "The specified resource does not exist."}]}


async def listed(canvas: FewAnswers, path: str = "courses/1/enrollments") -> list[Any]:
    """All items of a list."""
    async with canvas.client() as client:
        return [item async for page in client.pages(path) for item in page.content]


async def test_a_list_is_read_to_its_last_page_by_opaque_links() -> None:
    second, third = f"{URL}/api/v1/any?page=bookmark:x%3D&secret=1", "/api/v1/other?page=9"
    canvas = FewAnswers(
        answer([1, 2], links=[(f"{URL}/first", "first"), (second, "next")]),
        answer([3], links=[(third, "next")]),
        answer([]),
    )
    assert await listed(canvas) == [1, 2, 3]
    assert [str(request.url) for request in canvas.requests] == [
        f"{URL}/api/v1/courses/1/enrollments?per_page=100",
        second,
        URL + third,
    ]
    assert {request.headers["authorization"] for request in canvas.requests} == {f"Bearer {TOKEN}"}


async def test_the_time_of_a_page_is_before_canvas_read_it() -> None:
    canvas = FewAnswers(answer([]), httpx.ReadTimeout(""), answer([]))
    async with canvas.client() as client:
        (page,) = [page async for page in client.pages("courses")]
        assert page.asked_at == NOW - 0.5 - 1
        (page,) = [page async for page in client.pages("courses")]
        assert page.asked_at == NOW - 0.5 - 1, "the time of the request that was answered"
        assert client.calls == 3


async def test_a_date_from_the_future_does_not_count() -> None:
    """Of a proxy, perhaps. Facts of a time to come would count against all events until then."""
    canvas = FewAnswers(answer({}, date=NOW + 7_200), answer(NOT_FOUND, 404, date=NOW + 7_200))
    canvas.now = NOW
    async with canvas.client() as client:
        found = await client.one("accounts/self")
        assert (found.asked_at, found.clock_seconds) == (NOW - 0.5, 7_200)
        with pytest.raises(NotFoundError) as caught:
            await client.one("courses/1")
        assert caught.value.asked_at == NOW - 0.5


async def test_an_answer_that_was_kept_by_a_proxy_is_none() -> None:
    """It would show a list as it was."""
    canvas = FewAnswers(
        answer({}), answer([], date=NOW - STALE_SECONDS), answer([], date=NOW - STALE_SECONDS - 1)
    )
    async with canvas.client() as client:
        await client.one("accounts/self")
        assert [page.content async for page in client.pages("courses")] == [[]]
        with pytest.raises(UnavailableError, match="the answer is 61 s old: a proxy"):
            assert [page async for page in client.pages("courses")] == []


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer({"errors": []}, 401), TokenRefusedError),
        (answer({"errors": []}, 403), RefusedError),
        (answer(NOT_FOUND, 404), NotFoundError),
        (httpx.Response(404, headers=DATED, content=b"<html>blocked</html>"), UnavailableError),
        (answer({"message": "no route"}, 404), UnavailableError),
        (answer([*range(10)]), UnavailableError),
        (answer({"errors": []}, 400), UnavailableError),
        (answer([], 302, location=f"{URL}/login"), UnavailableError),
        (answer({"id": 1}), UnavailableError),
        (answer([], date=None), UnavailableError),
        *(
            (httpx.Response(200, headers={"date": date}, content=b"[]"), UnavailableError)
            for date in ("x", "", "a, b", "Mon, 32 Jan 2026 00:00:00 GMT", *OUTSIDE)
        ),
        (httpx.Response(200, content=b'[{"id": 1'), UnavailableError),
        (answer([], links=[("https://[/x", "next")]), UnavailableError),
        (answer([], links=[("https://elsewhere.example/x", "next")]), UnavailableError),
        (answer([], links=[("http://canvas.example.edu/x", "next")]), UnavailableError),
        (answer([], links=[("https://canvas.example.edu:8443/x", "next")]), UnavailableError),
    ],
)
async def test_a_list_with_another_answer_is_not_complete(
    response: httpx.Response, error: type[CanvasError]
) -> None:
    for before in ([], [answer([1], links=[(f"{URL}/api/v1/2", "next")])]):
        canvas = FewAnswers(*before, response)
        with pytest.raises(error) as raised:
            await listed(canvas)
        assert type(raised.value) is error
        assert TOKEN not in f"{raised.value!r} {raised.value}"
        assert len(canvas.requests) == len(before) + 1, "asking again does not help"


async def test_a_list_that_leads_back_ends() -> None:
    page = f"{URL}/api/v1/2"
    canvas = FewAnswers(*(answer([1], links=[(page, "next")]) for _ in range(3)))
    with pytest.raises(UnavailableError, match="leads back"):
        await listed(canvas)


async def test_a_list_that_grows_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_client, "MOST_PAGES", 3)
    links = [[(f"{URL}/api/v1/{number}", "next")] for number in range(5)]
    canvas = FewAnswers(*(answer([1], links=link) for link in links))
    with pytest.raises(UnavailableError, match="more than 3 pages; the list does not end"):
        await listed(canvas)
    assert len(canvas.requests) == 3
    canvas = FewAnswers(*(answer([1], links=link) for link in links[:2]), answer([1]))
    assert await listed(canvas) == [1, 1, 1]


@pytest.mark.parametrize(
    "failure",
    [
        lambda: answer([], 500),
        lambda: answer([], 503),
        lambda: httpx.ReadTimeout("slow"),
        lambda: httpx.RemoteProtocolError("peer closed connection without complete body"),
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.DecodingError("no gzip"),
    ],
)
async def test_a_passing_fault_is_waited_for(failure: Any) -> None:
    canvas = FewAnswers(*(failure() for _ in range(TRIES - 1)), answer([1]))
    assert await listed(canvas) == [1]
    assert canvas.pauses == [FIRST_PAUSE * 2**number for number in range(TRIES - 1)]
    canvas = FewAnswers(*(failure() for _ in range(TRIES)))
    with pytest.raises(UnavailableError, match=f"{TRIES} times"):
        await listed(canvas)


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: answer("429 Too Many Requests", 429),
        lambda: answer("403 Forbidden (Rate Limit Exceeded)", 403),
        lambda: answer({"status": "unauthorized"}, 403, X_Rate_Limit_Remaining="-3.5"),
    ],
)
async def test_patience_is_no_refusal(refusal: Any) -> None:
    few = THROTTLED_TRIES - 1
    canvas = FewAnswers(*(refusal() for _ in range(few)), answer([1]))
    assert await listed(canvas) == [1]
    assert max(canvas.pauses) == LONGEST_PAUSE
    canvas = FewAnswers(*(refusal() for _ in range(THROTTLED_TRIES)))
    with pytest.raises(UnavailableError, match="throttled"):
        await listed(canvas)


async def test_it_slows_down_before_it_is_refused() -> None:
    canvas = FewAnswers(
        answer([1], links=[(f"{URL}/2", "next")], X_Rate_Limit_Remaining="250.0"),
        answer([2], links=[(f"{URL}/3", "next")], X_Rate_Limit_Remaining="599.9"),
        answer([3], links=[(f"{URL}/4", "next")], X_Rate_Limit_Remaining="unknown"),
        answer([4], X_Rate_Limit_Remaining=str(-COMFORTABLE_REMAINING * 10)),
    )
    assert await listed(canvas) == [1, 2, 3, 4]
    assert canvas.pauses == [5.0, LONGEST_PAUSE]


async def test_one_object() -> None:
    canvas = FewAnswers(answer({"id": 7}), answer([7]))
    async with canvas.client() as client:
        assert (await client.one("accounts/1")).content == {"id": 7}
        with pytest.raises(UnavailableError, match="no object"):
            await client.one("accounts/1")


def test_the_token_is_nowhere_to_be_seen() -> None:
    client = FewAnswers().client()
    assert TOKEN not in repr(client) + repr(vars(client))
