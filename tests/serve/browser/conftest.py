"""One browser and one server for all tests of the page in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from rollcall.dead_letters.outline import known_words
from rollcall.dead_letters.view import view_of
from rollcall.events.outcomes import ErrorCode
from rollcall.events.registry import REGISTRY
from rollcall.process.metrics import RosterMetrics, RouterMetrics
from tests.dead_letters.records import Stored
from tests.serve.browser.chromium import Browser, chromium, missing
from tests.serve.page.hosting import Hosted, hosting
from tests.serve.page.rows import GROUP, Rosters, course, group, member, person, section, together

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<b>bold</b>&amp;{{7*7}}",
    "javascript:alert(1)",
)
"""Names that are nothing but names."""

LONG = "Wolfeschlegelsteinhausenbergerdorffwelche" * 4
"""A word that has no end."""


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real Chromium."""
    if (why := missing()) is not None:
        pytest.skip(why)
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def rosters() -> Rosters:
    """A course in which names are not harmless."""
    people = [
        person(number, name)
        for number, name in enumerate(("Isaac Newton", "Ada Lovelace", *EVIL, LONG), start=1)
    ]
    states = [
        person(20, "Grace Hopper", state="invited"),
        person(
            21, "Alan Turing", state="deleted", state_reason="section_deleted", type="TaEnrollment"
        ),
    ]
    groups = [
        group(f"Group {EVIL[1]}", group_category_name=EVIL[0]),
        group(LONG, GROUP + 1),
        member(1),
        member(2, GROUP + 1),
    ]
    return together(
        course(f"Algebra {EVIL[0]}"), section(f"Monday {EVIL[1]}"), *people, *states, *groups
    )


@pytest.fixture(scope="session")
def hosted(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A server with tokens, and a router and a rosters process that answer."""
    router, stages = (
        RouterMetrics(CollectorRegistry(), REGISTRY),
        RosterMetrics(CollectorRegistry(), ["enrollment", "course"], REGISTRY),
    )
    router.events_received_total.inc(1_000)
    router.events_routed_total.labels("enrollment_created").inc(990)
    router.dead_letters_total.labels(ErrorCode.NOT_JSON.value, "unknown").inc(10)
    router.breaker_open.labels("canvas.raw", "3").set(1)
    stages.table_rows.labels("course").set(321)
    listening = [
        start_http_server(0, "127.0.0.1", metrics.registry) for metrics in (router, stages)
    ]
    urls = tuple(f"http://127.0.0.1:{server.server_port}/metrics" for server, _ in listening)
    with hosting(
        tmp_path_factory.mktemp("hosted"),
        rosters(),
        with_tokens=True,
        metrics_urls=(*urls, "http://127.0.0.1:1/metrics"),
    ) as found:
        words = known_words()
        for number, value in enumerate(
            (
                b'{"metadata": {"event_name": "user_created"}, "body": {"name": "Isaac Newton"}}',
                b"<html>",
                EVIL[0].encode(),
            )
        ):
            said = {
                "code": "not_an_event",
                "message": f"required: {EVIL[1]}",
                "path": f"/body/{EVIL[0]}",
                "topic": "canvas.raw",
                "partition": "0",
                "offset": "7",
            }
            headers: list[tuple[str, bytes | None]] = [
                (f"rollcall.error.{name}", text.encode()) for name, text in said.items()
            ]
            found.page.dead_letters.add(
                [
                    view_of(
                        Stored(value, headers, offset=number, timestamp=1_772_000_000_000 + number),
                        words,
                    )
                ]
            )
        yield found
    for server, thread in listening:
        server.shutdown()
        thread.join(5)


@pytest.fixture
def page(browser: Browser, hosted: Hosted) -> Iterator[Browser]:
    """The browser with nobody signed in. In the end, nothing has come from elsewhere, and the
    browser has had nothing to complain of.
    """
    browser.look()
    browser.open("about:blank")
    browser.forget()
    yield browser
    assert browser.complaints() == []
    foreign = [
        url
        for url in browser.requests()
        if not url.startswith((f"{hosted.url}/", "about:", "data:"))
    ]
    assert foreign == []


@pytest.fixture
def signed_in(page: Browser, hosted: Hosted) -> Browser:
    """The browser with somebody signed in."""
    page.open(hosted.url)
    assert hosted.token is not None
    page.find("#token").send_keys(hosted.token)
    page.find("button").click()
    page.wait_for("Rosters here are")
    return page
