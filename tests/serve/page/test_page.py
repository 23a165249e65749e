"""The page's routes, on a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.view import view_of
from rollcall.events.outcomes import ErrorCode
from rollcall.serve.page import responses, routes, routing
from rollcall.serve.page.event_streams import MOST_ROWS
from rollcall.serve.page.responses import CONTENT_SECURITY_POLICY
from rollcall.serve.page.sign_in import WRONG_TOKEN_SECONDS
from rollcall.serve.tokens import revoke_token
from tests.dead_letters.records import Stored
from tests.processes import wait_until
from tests.serve.page.hosting import Hosted, hosting
from tests.serve.page.rows import (
    COURSE,
    OTHER_COURSE,
    SHARD,
    course,
    gone,
    group,
    member,
    person,
    section,
    together,
)

SCRIPT = "<script>alert(1)</script>"
ROSTERS = together(
    course(f"Algebra {SCRIPT}"),
    section("Monday"),
    person(1, "Isaac Newton"),
    group("Group 1"),
    member(1),
)
PAGE = (
    "/page/session",
    "/page/flow",
    "/page/courses",
    f"/page/courses/{COURSE}",
    "/page/dead-letters",
)
STREAMS = ("/page/flow/events", f"/page/courses/{COURSE}/events")
STATIC = Path(responses.__file__).parent / "static"
MOST_SCRIPT_BYTES = 24_000
"""The page has small scripts without libraries."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A server that requires a token."""
    with hosting(tmp_path_factory.mktemp("guarded"), ROSTERS, with_tokens=True) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A server without tokens."""
    with hosting(tmp_path_factory.mktemp("free"), ROSTERS) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def cookie(guarded: Hosted) -> str:
    """The cookie of a visitor who has signed in."""
    return str(guarded.sign_in().headers["set-cookie"]).partition(";")[0]


# --- access


def test_whoever_has_not_signed_in_sees_nothing(guarded: Hosted) -> None:
    answer = guarded.fetch("/")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    for path in (*PAGE, *STREAMS):
        answer = guarded.fetch(path)
        assert answer.status == 401
        assert "sign in" in answer.message
    assert guarded.fetch("/login").status == 200
    assert guarded.fetch("/static/page.css").status == 200


def test_every_route_of_data_requires_a_visitor() -> None:
    """Its handler has a parameter ``SignedIn``: the middlewares guard /api/ only."""
    data = [
        route
        for route in routes.router.routes
        if isinstance(route, APIRoute) and route.path.startswith("/page/")
    ]
    assert {route.path.replace("{course_id}", str(COURSE)) for route in data} == {*PAGE, *STREAMS}
    assert [route.path for route in data if not _requires_a_visitor(route.dependant)] == []


def _requires_a_visitor(dependant: Dependant) -> bool:
    return any(
        each.call is routing._signed_in or _requires_a_visitor(each)
        for each in dependant.dependencies
    )


def test_signing_in_and_out(guarded: Hosted) -> None:
    answer = guarded.sign_in()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    session, *attributes = str(answer.headers["set-cookie"]).split("; ")
    assert {attribute.lower() for attribute in attributes} == {
        "httponly",
        "samesite=strict",
        "path=/",
        "max-age=43200",
    }
    for path in ("/", *PAGE):
        assert guarded.fetch(path, Cookie=session).status == 200
    assert guarded.fetch("/page/session", Cookie=session).json == {
        "name": "registrar",
        "session": True,
    }
    assert guarded.fetch("/login", Cookie=session).headers["location"] == "/"
    assert guarded.fetch("/api/v1/courses", Cookie=session).status == 401, "the API takes no cookie"
    answer = guarded.fetch("/logout", "POST", Cookie=session)
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert "max-age=0" in str(answer.headers["set-cookie"]).lower()
    assert guarded.fetch("/page/flow", Cookie=session).status == 401


def test_the_token_of_a_program_will_do(guarded: Hosted) -> None:
    for path in PAGE:
        assert guarded.fetch(path, Authorization=f"Bearer {guarded.token}").status == 200
    assert guarded.fetch("/page/session", Authorization=f"Bearer {guarded.token}").json == {
        "name": "registrar",
        "session": False,
    }
    assert guarded.fetch("/page/session", Authorization="Bearer wrong").status == 401


def test_a_wrong_token_is_answered_late_and_not_repeated(
    guarded: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    answer = guarded.sign_in("rollcall_made-up")
    assert time.monotonic() - began >= WRONG_TOKEN_SECONDS
    assert answer.status == 401
    assert b"This token is not known" in answer.body
    assert b'role="alert"' in answer.body
    assert answer.headers["set-cookie"] is None
    assert b"made-up" not in answer.body
    assert "made-up" not in caplog.text


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 401),
        (b"token=", "application/x-www-form-urlencoded", 401),
        (b"token=%ff&token=x", "application/x-www-form-urlencoded", 401),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=b"] * 50), "application/x-www-form-urlencoded", 400),
        (b"token=" + b"a" * 5_000, "application/x-www-form-urlencoded", 413),
        (b'{"token": "x"}', "application/json", 415),
        (b"token=x", "multipart/form-data; boundary=x", 415),
    ],
)
def test_forms_that_are_none(guarded: Hosted, body: bytes, content_type: str, status: int) -> None:
    assert guarded.fetch("/login", "POST", body, Content_Type=content_type).status == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_forms_of_other_sites_are_refused(guarded: Hosted, cookie: str, origin: str) -> None:
    assert guarded.sign_in(Origin=origin).status == 403
    assert guarded.fetch("/logout", "POST", Cookie=cookie, Origin=origin).status == 403
    assert guarded.fetch("/page/session", Cookie=cookie).status == 200
    assert guarded.sign_in(Origin=guarded.url).status == 303


def test_without_tokens_there_is_nothing_to_sign_in(free: Hosted) -> None:
    for path in ("/", *PAGE):
        assert free.fetch(path).status == 200
    assert free.fetch("/page/session").json == {"name": None, "session": False}
    assert free.fetch("/login").headers["location"] == "/"
    assert free.sign_in("x").headers["location"] == "/"


# --- answers


def test_every_answer_has_the_policy(guarded: Hosted, cookie: str) -> None:
    for path, status in (
        ("/", 200),
        ("/", 303),
        ("/login", 200),
        ("/static/page.js", 200),
        ("/static/no", 404),
        *((path, 200) for path in PAGE),
        (PAGE[0], 401),
    ):
        answer = guarded.fetch(path, Cookie=cookie if status == 200 and path != "/login" else "")
        assert answer.status == status, path
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == (
            "no-cache" if path == "/static/page.js" else "no-store"
        )
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    with guarded.events(STREAMS[0], Cookie=cookie) as stream:
        assert stream.answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert stream.answer.headers["content-type"] == "text/event-stream"


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(
    guarded: Hosted, cookie: str
) -> None:
    scripts = [f"/static/{path.name}" for path in STATIC.glob("*.js")]
    for path in ("/", "/login", *scripts, "/static/page.css"):
        text = (
            guarded.fetch(path, Cookie=cookie).body.decode()
            if path != "/login"
            else guarded.fetch(path).body.decode()
        )
        for foreign in (
            "http://",
            "https://",
            "//cdn",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
            " onclick=",
            "@import",
        ):
            assert foreign not in text, (path, foreign)
    assert 0 < sum(len(guarded.fetch(path).body) for path in scripts) < MOST_SCRIPT_BYTES


def test_static_files_are_known_by_name_and_asked_for_once(guarded: Hosted) -> None:
    answer = guarded.fetch("/static/page.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert guarded.fetch("/static/page.js", If_None_Match=str(answer.headers["etag"])).status == 304
    for path in (
        "/static/page.html",
        "/static/../router.py",
        "/static/%2e%2e%2frouter.py",
        "/static/..%2f__init__.py",
        "/static/",
    ):
        assert guarded.fetch(path).status == 404


def test_the_page_is_no_part_of_the_documented_api(free: Hosted) -> None:
    assert not [
        path for path in free.fetch("/openapi.json").json["paths"] if not path.startswith("/api/")
    ]


# --- what there is to see


def test_courses_are_found(free: Hosted) -> None:
    for text in ("algebra", "565", f"{SHARD}~565", str(COURSE), ""):
        assert [
            one["course_id"] for one in free.fetch(f"/page/courses?search={text}").json["courses"]
        ] == [str(COURSE)]
    assert free.fetch("/page/courses?search=nothing").json == {"courses": [], "more": False}
    assert free.fetch("/page/courses?search=" + "a" * 300).status == 400
    for other in (
        "search[]=nothing",
        "search[0]=nothing",
        "search=&search=nothing",
        "limit[]=1",
        "+limit=1",
    ):
        assert free.fetch(f"/page/courses?{other}").status == 400, "it would be left out silently"
    for limit in ("0", "-1", "x", "100000"):
        assert free.fetch(f"/page/courses?limit={limit}").status == 400


def test_a_roster_is_json_in_which_names_are_only_text(free: Hosted) -> None:
    answer = free.fetch(f"/page/courses/{COURSE}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["name"] == f"Algebra {SCRIPT}"
    assert [(one["name"], one["groups"]) for one in answer.json["people"]] == [
        ("Isaac Newton", ["Group 1"])
    ]
    for missing in ("1", "x", "-5", "9" * 40):
        assert free.fetch(f"/page/courses/{missing}").status == 404
    assert free.fetch(f"/page/courses/{COURSE}?after=%00;drop").status == 200


def test_dead_letters_are_shown(free: Hosted) -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("rollcall.error.code", ErrorCode.NOT_JSON.value.encode()),
        ("rollcall.error.message", SCRIPT.encode()),
    ]
    free.page.dead_letters.add(
        [view_of(Stored(b"<html>Isaac Newton", headers, offset=5), known_words())]
    )
    answer = free.fetch("/page/dead-letters")
    assert b"Newton" not in answer.body
    assert answer.json["letters"][0]["message"] == SCRIPT
    assert answer.json["topic"] == "canvas.dead-letter"
    wait_until(
        lambda: "does not answer" in str(free.fetch("/page/dead-letters").json["problem"]),
        what="a word about Kafka",
    )


def test_the_flow_is_told_every_second(free: Hosted) -> None:
    with free.events("/page/flow/events") as stream:
        one, other = stream.next("flow"), stream.next("flow")
    assert other["at"] > one["at"]
    assert one["replica"]["rows"]["enrollments"] >= 1
    assert free.fetch("/page/flow").json.keys() == one.keys()


def test_a_replica_that_is_not_complete_is_not_shown(tmp_path: Path) -> None:
    with hosting(tmp_path, None) as hosted:
        hosted.context.follower.progress = replace(
            hosted.context.follower.progress, records=1234, problem="Kafka is away"
        )
        for path in ("/page/courses", f"/page/courses/{COURSE}", f"/page/courses/{COURSE}/events"):
            answer = hosted.fetch(path)
            assert answer.status == 503
            assert (
                answer.message
                == "the replica is still being filled (1,234 records so far): Kafka is away"
            )
            assert answer.headers["retry-after"]
        assert hosted.fetch("/page/flow").json["replica"]["complete"] is False


# --- change by change


def test_changes_are_told_as_they_come(free: Hosted) -> None:
    free.change(person(20, "Ada Lovelace"))
    with free.events(f"/page/courses/{COURSE}/events") as stream:
        assert stream.next("hello") is None
        recent = stream.next("recent")
        assert [(one["subject"], one["kind"]) for one in recent] == [("Ada Lovelace", "arrival")]

        free.change(person(20, "Ada Lovelace", state="completed", state_reason="dates"))
        changes = stream.next("changes")
        assert [one["text"] for one in changes["items"]] == [
            "active \N{RIGHTWARDS ARROW} completed (dates)"
        ]
        assert [(one["name"], one["state"]) for one in changes["people"]] == [
            ("Ada Lovelace", "completed")
        ]
        assert (changes["gone"], changes["reload"]) == ([], False)
        assert {
            "role": "Student",
            "type": "StudentEnrollment",
            "state": "completed",
            "count": 1,
        } in changes["head"]["counts"]

        moved = together(gone(person(20, "")), person(20, "Ada Lovelace", OTHER_COURSE))
        free.change(moved)
        changes = stream.next("changes")
        assert [one["kind"] for one in changes["items"]] == ["departure"]
        assert changes["gone"] == [str(SHARD * 10**13 + 20)]

        free.change(member(1, state="deleted"))
        changes = stream.next("changes")
        assert [one["groups"] for one in changes["people"]] == [[]]
        free.change(member(1))
        stream.next("changes")

        free.change(section("Tuesday"))
        assert stream.next("changes")["reload"] is True
        free.change(section("Monday"))
        stream.next("changes")

        many = together(
            *(person(1000 + number, f"Student {number}", OTHER_COURSE) for number in range(5))
        )
        free.change(many, gone(many), person(21, "Grace Hopper"))
        assert [one["subject"] for one in stream.next("changes")["items"]] == ["Grace Hopper"], (
            "other courses are no concern of this one"
        )
        free.change(gone(person(21, "")))


def test_many_changes_at_once_have_the_page_read_anew(free: Hosted) -> None:
    many = together(
        *(person(1000 + number, f"Student {number}") for number in range(MOST_ROWS + 50))
    )
    with free.events(f"/page/courses/{COURSE}/events") as stream:
        stream.next("recent")
        free.change(many)
        changes = stream.next("changes")
        assert changes["reload"] is True
        assert changes["people"] == []
        assert len(changes["items"]) == 100
        free.change(gone(many))
        stream.next("changes")
        free.context.feed.skip()
        assert stream.next("reload") is None


def test_streams_are_counted(free: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: free.page.streams.count == 0, what="the end of the streams of other tests")
    monkeypatch.setattr(free.page.streams, "_most", 2)
    with free.events(STREAMS[0]) as one, free.events(STREAMS[1]) as other:
        one.next("flow")
        other.next("recent")
        answer = free.fetch(STREAMS[1])
        assert answer.status == 503
        assert "2 pages are being watched already" in answer.message
    # A client that is gone gives its place to another one.
    wait_until(lambda: free.page.streams.count == 0, what="free places")
    with free.events(STREAMS[1]) as again:
        assert again.status == 200


def test_a_stream_says_that_it_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollcall.serve.page.event_streams.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("rollcall.serve.tokens.CHECK_SECONDS", 0.0)
    with hosting(tmp_path, ROSTERS, with_tokens=True) as hosted:
        session = str(hosted.sign_in().headers["set-cookie"]).partition(";")[0]
        with (
            hosted.events(STREAMS[1], Cookie=session) as stream,
            hosted.events(STREAMS[0], Cookie=session) as flow,
        ):
            stream.next(":")
            flow.next("flow")
            # A token that is taken away closes what it has opened.
            revoke_token(tmp_path / "tokens", "registrar")
            assert stream.next("goodbye") is None
            assert flow.next("goodbye") is None
            assert stream.ends()
            assert flow.ends()


def test_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with hosting(tmp_path, ROSTERS) as hosted, hosted.events(STREAMS[1]) as stream:
        stream.next("recent")
        hosted.loop.call_soon_threadsafe(hosted.page.end_streams)
        hosted.server.should_exit = True
        assert stream.ends()
