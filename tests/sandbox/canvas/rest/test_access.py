"""Tokens: rights, missing rights, and rights that end."""

from __future__ import annotations

import pytest
from canvasapi.exceptions import Forbidden, InvalidAccessToken, Unauthorized

from rollcall.sandbox.canvas.rest import Access, RecordedRequest
from tests.sandbox.canvas.rest.institution import ALL_STATES, Institution, ids

ACCOUNT_PATHS = (
    "/accounts/1",
    "/accounts/1/courses",
    "/accounts/1/terms",
    "/accounts/1/users",
    "/accounts/1/groups",
)


def test_without_a_valid_token(old: Institution) -> None:
    """Nothing is answered."""
    for token in (None, "wrong"):
        response = old.get("/accounts/1", token)
        assert response.status_code == 401
        assert ("WWW-Authenticate" in response.headers) == (token is not None)
    with pytest.raises(InvalidAccessToken):
        old.client("wrong").get_course(1)


def test_a_token_without_rights(institution: Institution) -> None:
    """403, or 401 as in older versions; for a course that does not exist, 404."""
    institution.server.tokens["nobody"] = Access(account=False)
    course, world = institution.largest_course(), institution.world
    paths = (
        *ACCOUNT_PATHS,
        f"/accounts/1/enrollments/{world.enrollments[0].gid}",
        f"/courses/{course.id}",
        f"/courses/{course.id}/enrollments",
        f"/courses/{course.id}/sections",
        f"/courses/{course.id}/groups",
        f"/sections/{course.sections[0].id}",
        f"/groups/{world.groups[0].gid}",
        f"/groups/{world.groups[0].gid}/memberships",
        f"/users/{world.users[0].gid}",
    )
    assert [institution.get(path, "nobody").status_code for path in paths] == [403] * len(paths)
    assert institution.get("/courses/1", "nobody").status_code == 404
    with pytest.raises(Forbidden):
        institution.client("nobody").get_course(course.id)
    institution.server.faults.unauthorized_status = 401
    assert [institution.get(path, "nobody").status_code for path in paths] == [401] * len(paths)
    with pytest.raises(Unauthorized):
        institution.client("nobody").get_course(course.id)
    answer = institution.get("/accounts/1/permissions", "nobody", permissions=["read_roster"])
    assert answer.json() == {"read_roster": False}


def test_a_token_that_sees_one_section(institution: Institution) -> None:
    """Its lists are shorter, without any sign of it."""
    course = max(institution.world.courses, key=lambda course: len(course.sections))
    own, other = course.sections[:2]
    institution.server.tokens["section"] = Access(account=False, section=own.gid)
    path = f"/courses/{course.id}/enrollments"
    everything = institution.rows(path, state=ALL_STATES)
    limited = institution.rows(path, "section", state=ALL_STATES)
    assert limited == [row for row in everything if row["course_section_id"] == own.id]
    assert 0 < len(limited) < len(everything)
    assert ids(institution.rows(f"/courses/{course.id}/sections", "section")) == [own.id]
    assert institution.get(f"/sections/{other.id}", "section").status_code == 403
    for path in ACCOUNT_PATHS:
        assert institution.get(path, "section").status_code == 403
    # an administrator whose lists are as short
    institution.server.tokens["section"].account = True
    assert institution.rows("/accounts/1/courses", "section")
    assert ids(institution.rows(f"/courses/{course.id}/sections", "section")) == [own.id]


def test_permissions(institution: Institution) -> None:
    """Those that are asked for; without names, all known ones."""
    institution.server.tokens["reader"] = Access(denied=frozenset({"read_sis"}))
    names = ["read_roster", "read_sis"]
    for token, found in (("admin", [True, True]), ("reader", [True, False])):
        answer = institution.get("/accounts/self/permissions", token, permissions=names).json()
        assert answer == dict(zip(names, found, strict=True))
    assert set(names) < set(institution.get("/accounts/self/permissions").json())


def test_a_token_that_is_revoked_between_two_pages(institution: Institution) -> None:
    """The second page is refused."""
    faults = institution.server.faults
    faults.max_per_page = 5

    def revoke(request: RecordedRequest) -> None:
        institution.server.tokens["admin"].revoked = "page" in request.query

    faults.on_request = revoke
    users = iter(institution.client().get_account(1).get_users())
    assert len([next(users) for _ in range(5)]) == 5
    with pytest.raises(InvalidAccessToken):
        next(users)
    statuses = [request.status for request in institution.server.requests]
    assert statuses == [200, 200, 401]
