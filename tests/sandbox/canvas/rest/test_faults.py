"""Each switch of the server has its fault."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest
import requests
from canvasapi.exceptions import CanvasException, Forbidden, RateLimitExceeded

from rollcall.sandbox.canvas.rest import Times
from tests.sandbox.canvas.rest.institution import ALL_STATES, Institution


def test_server_errors(institution: Institution) -> None:
    """Of the next requests, of all or of one path."""
    faults = institution.server.faults
    faults.failing, faults.failure_status = Times(2, "/users"), 503
    paths = ("/accounts/1", "/accounts/1/users", "/accounts/1/users", "/accounts/1/users")
    assert [institution.get(path).status_code for path in paths] == [200, 503, 503, 200]
    faults.failing = Times(1)
    with pytest.raises(CanvasException):
        institution.client().get_account(1)
    assert institution.client().get_account(1).id == 1


@pytest.mark.parametrize("status", [429, 403])
def test_refusals_by_the_throttle(institution: Institution, status: int) -> None:
    """429, or 403 as before."""
    faults = institution.server.faults
    faults.throttled, faults.throttled_status = Times(2), status
    response = institution.get("/accounts/1")
    assert response.status_code == status
    assert "(Rate Limit Exceeded)" in response.text
    with pytest.raises(RateLimitExceeded if status == 429 else Forbidden):
        institution.client().get_account(1)
    assert institution.client().get_account(1).id == 1


def test_a_cut_page(institution: Institution) -> None:
    """The connection ends in the middle of the body."""
    course = institution.largest_course()
    institution.server.faults.cut = Times(1, "/enrollments")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        institution.get(f"/courses/{course.id}/enrollments")
    assert institution.rows(f"/courses/{course.id}/enrollments")


def test_an_expired_bookmark(institution: Institution) -> None:
    """The first page is still answered; following ones are not found."""
    path = f"/courses/{institution.largest_course().id}/enrollments"
    response = institution.get(path, state=ALL_STATES)
    institution.server.faults.expired_bookmarks = True
    assert institution.get(response.links["next"]["url"]).status_code == 404
    assert institution.get(path, state=ALL_STATES).json() == response.json()


def test_hidden_rows_and_empty_lists(institution: Institution) -> None:
    """404 for one path; an empty list with 200 for another. The ids are local in these paths,
    however the client writes them.
    """
    course = institution.largest_course()
    faults = institution.server.faults
    faults.hidden.add(f"/courses/{course.id}")
    faults.empty.add(f"/courses/{course.id}/enrollments")
    assert institution.get(f"/courses/{course.gid}").status_code == 404
    assert institution.get(f"/courses/{course.id}/sections").status_code == 200
    response = institution.get(f"/courses/{course.gid}/enrollments", state=ALL_STATES)
    assert (response.status_code, response.json()) == (200, [])
    assert "next" not in response.links


def test_a_slow_answer(institution: Institution) -> None:
    """The client gives up, and the server can still end."""
    institution.server.faults.slow = Times(1)
    with pytest.raises(requests.Timeout):
        institution.get("/accounts/1", timeout=0.2)
    assert institution.get("/accounts/1").status_code == 200


def test_the_clock(institution: Institution) -> None:
    """``Date`` is Canvas's clock, to the second, and may be wrong."""
    canvas, faults = institution.simulation.canvas, institution.server.faults
    for offset in (0, 90, -90):
        faults.clock_offset = offset
        date = parsedate_to_datetime(institution.get("/accounts/1").headers["Date"])
        assert date.timestamp() == canvas.now_ms // 1000 + offset


def test_requests_are_recorded(institution: Institution) -> None:
    """With local ids, parameters and statuses."""
    gid = institution.largest_course().gid
    institution.get(f"/courses/{gid}/enrollments", state=["active", "invited"])
    institution.get("/courses/1", "wrong")
    institution.get("/courses/1", None)
    found = [(of.path, of.query, of.token, of.status) for of in institution.server.requests]
    local = institution.largest_course().id
    assert found == [
        (f"/courses/{local}/enrollments", {"state[]": ["active", "invited"]}, "admin", 200),
        ("/courses/1", {}, "wrong", 401),
        ("/courses/1", {}, None, 401),
    ]
