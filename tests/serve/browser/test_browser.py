"""The page in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.keys import Keys

from tests.processes import wait_until
from tests.serve.browser.chromium import AXE, NARROW, WIDE, Browser
from tests.serve.browser.conftest import EVIL, LONG
from tests.serve.page.hosting import Hosted, hosting
from tests.serve.page.rows import (
    COURSE,
    OTHER_COURSE,
    SECTION,
    course,
    gone,
    member,
    person,
    section,
    together,
)
from tests.tools import lack

ROSTER = f"/#course/{COURSE}"
VIEWS = {
    "/#flow": "Rosters here are",
    "/#courses": "Algebra",
    ROSTER: "Isaac Newton",
    "/#dead-letters": "not_an_event",
}


def people(page: Browser) -> list[str]:
    """The names in the roster, from above."""
    return page.texts("#people tbody th")


def row_of(page: Browser, name: str) -> str:
    """What a person's row says."""
    return next((text for text in page.texts("#people tbody tr") if text.startswith(name)), "")


def test_a_roster_changes_when_an_event_arrives(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    page.open(hosted.url + ROSTER)
    page.wait_for("Live", "#live")
    page.wait_for("Isaac Newton", "#people")
    before = people(page)
    assert "active" in row_of(page, "Isaac Newton")

    hosted.change(person(1, "Isaac Newton", state="completed", state_reason="course_completed"))
    page.wait_for(
        "Isaac Newton: active \N{RIGHTWARDS ARROW} completed (course_completed)", "#changes"
    )
    wait_until(lambda: "completed" in row_of(page, "Isaac Newton"), what="the row")
    assert "course concluded" in row_of(page, "Isaac Newton")
    assert people(page) == before, "the row is where it was"
    assert "Student: 1 completed" in page.text("#counts").replace("\n", " ")

    # Somebody comes, to the place that the name has; changes are on top.
    hosted.change(person(30, "Emmy Lamarr"))
    page.wait_for("Emmy Lamarr is here now", "#changes li:first-child")
    wait_until(lambda: "Emmy Lamarr" in people(page), what="the row")
    assert sorted([*before, "Emmy Lamarr"]) == sorted(people(page))
    assert people(page).index("Emmy Lamarr") == people(page).index("Isaac Newton") - 2, (
        "between Hopper and Lovelace"
    )

    # And goes to another course.
    hosted.change(together(gone(person(30, "")), person(30, "Emmy Lamarr", OTHER_COURSE)))
    page.wait_for("Emmy Lamarr is no longer in this course", "#changes li:first-child")
    wait_until(lambda: people(page) == before, what="the row to go")

    # A section gets another name, which shows in all rows.
    hosted.change(section("Tuesday"))
    wait_until(
        lambda: (
            "Tuesday" in row_of(page, "Isaac Newton") and "Tuesday" in row_of(page, "Ada Lovelace")
        ),
        what="the section's name",
    )
    hosted.change(member(1, state="deleted", state_reason="group_deleted"))
    wait_until(lambda: "Group" not in row_of(page, "Isaac Newton"), what="the group to go")

    # Whoever comes later sees what happened lately, and reads nothing of it aloud.
    page.open(hosted.url + ROSTER)
    page.wait_for("Emmy Lamarr is here now", "#changes")
    assert page.run("return document.getElementById('log').getAttribute('role')") == "log"
    wait_until(
        lambda: (
            page.run("return document.getElementById('log').getAttribute('aria-live')") == "polite"
        ),
        what="the log to speak",
    )
    hosted.change(person(1, "Isaac Newton"), section(f"Monday {EVIL[1]}"), member(1))


def test_a_row_with_a_snapshot_says_why(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    history = {
        "event": {"event_time": "2026-03-01T08:00:00.123Z", "workflow_state": "active"},
        "snapshot": {"event_time": "2026-03-02T09:15:00.000Z", "present": False}
        | {"workflow_state": "deleted"},
    }
    absent = person(1, "Isaac Newton", state="deleted", state_reason="absent", history=history)
    hosted.change(absent)
    page.open(hosted.url + ROSTER)
    page.wait_for("Isaac Newton", "#people")
    assert "Canvas has it no more" in row_of(page, "Isaac Newton")
    assert page.find("#people tbody span[title]").get_attribute("title") == (
        "event, 2026-03-01T08:00:00Z: active; Canvas, seen 2026-03-02T09:15:00Z: gone"
    )
    hosted.change(person(1, "Isaac Newton"))
    wait_until(lambda: "active" in row_of(page, "Isaac Newton"), what="the row")
    assert page.run("return document.querySelectorAll('#people tbody span[title]').length") == 0


def test_names_are_only_names(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    hosted.change(person(2, "Ada Lovelace", state="inactive"), person(2, "Ada Lovelace"))
    hosted.change(person(3, EVIL[0], state="inactive"), person(3, EVIL[0]))
    for view, text in VIEWS.items():
        page.open(hosted.url + view)
        page.wait_for(text)
        if view == ROSTER:
            wait_until(lambda: {*EVIL, LONG} <= set(people(page)), what="the names")
            page.wait_for(f"{EVIL[0]}: inactive", "#changes")
            assert page.text("h1:not([hidden])#course-heading") == f"Algebra {EVIL[0]}"
            assert f"Monday {EVIL[1]}" in page.text("#sections")
            assert page.driver.title == f"Algebra {EVIL[0]} - Rollcall"
        if view == "/#dead-letters":
            page.find("#letters summary").click()
            page.wait_for(f"/body/{EVIL[0]}")
            assert f"required: {EVIL[1]}" in page.text("#letters")
            assert "Newton" not in page.text("#letters")
        assert page.run("return document.scripts.length") == 1
        assert (
            page.run("return document.querySelectorAll('main img, main b, main [onerror]').length")
            == 0
        )
        with pytest.raises(NoAlertPresentException):
            _ = page.driver.switch_to.alert.text


def test_the_policy_stops_what_would_be_inline(signed_in: Browser) -> None:
    """The control for the test above: if a name became HTML, the browser would complain."""
    signed_in.run(
        "const s = document.createElement('script'); try { s.textContent = 'alert(1)'; "
        "document.body.append(s); } catch { console.error('stopped'); }"
    )
    signed_in.run(
        "const i = document.createElement('img'); i.src = 'http://127.0.0.1:1/x.png'; "
        "document.body.append(i);"
    )
    said = ""

    def complains() -> bool:
        nonlocal said
        said += "\n".join(signed_in.complaints())
        return "Content Security Policy" in said and "stopped" in said

    wait_until(complains, what="a complaint")
    with pytest.raises(NoAlertPresentException):
        _ = signed_in.driver.switch_to.alert.text
    signed_in.open("about:blank")
    signed_in.forget()


def test_signing_in_and_out(page: Browser, hosted: Hosted) -> None:
    page.open(f"{hosted.url}/#courses")
    page.wait_for("Token")
    assert page.driver.current_url.startswith(f"{hosted.url}/login")
    page.keys("rollcall_wrong", Keys.ENTER)  # the field has the focus
    page.wait_for("This token is not known")
    page.forget()  # the browser says of the answer that it is an error
    page.find("#token").send_keys(hosted.token or "")
    page.keys(Keys.ENTER)
    page.wait_for("Rosters here are")
    page.wait_for("registrar", "header")
    assert page.run("return document.cookie") == "", "no script can read it"
    cookies = page.driver.get_cookies()
    assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Strict")]
    page.find("#logout button").click()
    page.wait_for("Token")
    page.open(hosted.url)
    page.wait_for("Token")
    assert page.driver.get_cookies() == []


def test_a_session_that_ends_leads_to_the_login(signed_in: Browser, hosted: Hosted) -> None:
    signed_in.open(f"{hosted.url}/#dead-letters")
    signed_in.wait_for("not_an_event")
    signed_in.driver.delete_all_cookies()
    signed_in.wait_for("Token")
    signed_in.forget()  # the browser says of the answer that it is an error


def test_a_tab_in_the_background_asks_for_nothing(signed_in: Browser, hosted: Hosted) -> None:
    """Not even when it is left while a request is under way."""
    page = signed_in
    page.open(f"{hosted.url}/#dead-letters")
    page.wait_for("not_an_event")
    page.run("""
        const [send, wait] = [fetch, setTimeout];
        window.requests = [];
        window.waits = 0;
        window.fetch = (...request) =>
            new Promise((answer) => requests.push(() => answer(send(...request))));
        window.setTimeout = (...call) => { waits += 1; return wait(...call); };
        window.look = (isHidden) => {
            Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        };
        window.answer = async () => {
            requests.pop()();
            for (let turn = 0; turn < 20; turn++) await new Promise((next) => wait(next, 50));
        };
    """)

    def asks() -> bool:
        return bool(page.run("return requests.length"))

    wait_until(asks, what="the next request")
    page.run("waits = 0; look(true); return answer()")
    assert page.run("return waits") == 0
    page.run("look(false)")
    wait_until(asks, what="a request in the foreground")
    page.run("return answer()")
    assert page.run("return waits") == 1


def test_the_flow_shows_the_processes(signed_in: Browser) -> None:
    page = signed_in
    page.wait_for("1,000 in all", "#tiles")
    page.wait_for("enrollment_created", "#types")
    assert "990" in page.text("#types")
    assert "not_json" in page.text("#codes")
    processes = page.texts("#processes tbody tr")
    assert "breaker open: canvas.raw, partition 3" in processes[0]
    assert "rosters" in processes[1]
    assert "fine" in processes[1]
    assert "cannot be reached (Connection refused)" in processes[2]
    assert "321" in page.text("#stages")


def test_with_the_keyboard_alone(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    page.open(hosted.url)
    page.wait_for("Rosters here are")
    page.keys(Keys.TAB)
    assert focused(page) == "Skip to the content"
    page.keys(Keys.ENTER)
    assert page.run("return document.activeElement.id") == "main"
    page.open(hosted.url)
    page.wait_for("Rosters here are")
    page.keys(Keys.TAB, Keys.TAB, Keys.TAB)
    assert focused(page) == "Courses"
    page.keys(Keys.ENTER)
    wait_until(
        lambda: (
            focused(page) == "Courses" and page.run("return document.activeElement.tagName") == "H1"
        ),
        what="the focus on the heading",
    )
    page.keys(Keys.TAB, "ALGEBRA")
    page.wait_for("1 course", "#found")
    page.keys(Keys.TAB)
    assert focused(page) == "Search"
    page.keys(Keys.TAB)
    assert focused(page) == f"Algebra {EVIL[0]}"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keys(Keys.ENTER)
    page.wait_for("Isaac Newton", "#people")
    assert page.run("return document.activeElement.id") == "course-heading"
    page.keys(Keys.TAB)
    assert page.run("return document.activeElement.id") == "log", "what scrolls can be scrolled"
    page.driver.back()
    page.wait_for("1 course", "#found")


def test_an_answer_that_comes_late_leaves_the_focus_where_it_is(
    signed_in: Browser, hosted: Hosted
) -> None:
    page = signed_in
    page.open(f"{hosted.url}/#courses")
    page.find("#query").send_keys("ALGEBRA")
    page.wait_for("1 course", "#found")
    page.run("document.querySelector('#results a').focus()")
    row = "document.querySelector('#results tbody tr')"
    page.run(
        f"{row}.id = 'of-the-answer-before'; document.querySelector('#search').requestSubmit()"
    )
    wait_until(lambda: page.run(f"return {row}.id === ''"), what="another answer")
    assert focused(page) == f"Algebra {EVIL[0]}"
    page.keys(Keys.ENTER)
    page.wait_for("Isaac Newton", "#people")


def focused(page: Browser) -> str:
    """What the element with the focus says."""
    return str(page.run("return document.activeElement.innerText"))


def test_what_was_typed_last_is_what_is_found(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    page.open(f"{hosted.url}/#courses")
    page.find("#query").send_keys("565")
    page.wait_for("1 course", "#found")
    page.find("#query").send_keys("x")
    page.wait_for("No course has this name or id", "#results")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_everybody_can_use_it(
    page: Browser, hosted: Hosted, size: tuple[int, int], dark: bool
) -> None:
    if not AXE.exists():
        pytest.skip(lack(AXE.name, "npm --prefix tests/serve/browser ci"))
    page.look(size, dark=dark)
    page.open(hosted.url)
    page.wait_for("Token")
    check(page, size)
    page.find("#token").send_keys(hosted.token or "")
    page.find("button").click()
    page.wait_for("Rosters here are")
    hosted.change(person(2, "Ada Lovelace", state="inactive"), person(2, "Ada Lovelace"))
    grounds = set()
    for view, text in VIEWS.items():
        page.open(hosted.url + view)
        page.wait_for(text, "main")
        if view == "/#dead-letters":
            page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        if view == ROSTER:
            page.wait_for("Ada Lovelace: inactive", "#changes")
        grounds.add(page.run("return getComputedStyle(document.body).backgroundColor"))
        check(page, size)
    assert grounds == ({"rgb(16, 21, 28)"} if dark else {"rgb(244, 246, 249)"})


def check(page: Browser, size: tuple[int, int]) -> None:
    """Nothing is wrong with what is shown, and it is no wider than the window."""
    assert page.violations() == []
    assert page.run("return document.documentElement.scrollWidth") == size[0]


def test_axe_would_find_something(signed_in: Browser) -> None:
    """The control for the test above."""
    if not AXE.exists():
        pytest.skip(lack(AXE.name, "npm --prefix tests/serve/browser ci"))
    signed_in.run(
        "document.querySelector('h1').style.color = '#eee'; "
        "document.querySelector('main').append(document.createElement('input'));"
    )
    found = "\n".join(signed_in.violations())
    assert "color-contrast" in found
    assert "label" in found


def test_a_long_roster_is_shown_in_parts(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    many = together(
        course("Large", COURSE + 1),
        *(person(10_000 + number, f"Student {number:04}", COURSE + 1) for number in range(503)),
    )
    hosted.change(many)
    page.open(f"{hosted.url}/#course/{COURSE + 1}")
    page.wait_for("Student 0499", "#people")
    assert len(people(page)) == 500
    # Whoever is in a part that is not shown yet does not come to stand behind the others.
    hosted.change(person(10_502, "Student 0502", COURSE + 1, state="inactive"))
    page.wait_for("Student 0502: active", "#changes")
    assert len(people(page)) == 500
    page.find("#more").click()
    page.wait_for("Student 0502", "#people")
    assert people(page) == sorted(people(page))
    assert "inactive" in row_of(page, "Student 0502")
    assert not page.find("#more").is_displayed()


def test_what_cannot_be_shown_is_said(page: Browser, hosted: Hosted, tmp_path: Path) -> None:
    with hosting(tmp_path, None) as other:
        page.open(f"{other.url}/#course/{COURSE}")
        page.wait_for("The replica is still being filled", "#problem")
        page.open(f"{other.url}/#courses")
        page.wait_for("The replica is still being filled", "#problem")
        page.open(f"{other.url}/#flow")
        page.wait_for("incomplete", "#tiles")
    page.wait_for("Connection lost", "#live")
    page.open("about:blank")
    page.forget()
    assert page.requests() == []


def test_a_course_that_comes_is_shown_when_it_comes(signed_in: Browser, hosted: Hosted) -> None:
    page = signed_in
    page.open(f"{hosted.url}/#course/{COURSE + 9}")
    page.wait_for("There is no course", "#problem")
    page.forget_complaints()
    hosted.change(
        together(
            course("Brand new", COURSE + 9),
            person(77, "Emmy Noether", COURSE + 9, course_section_id=str(SECTION)),
        )
    )
    page.wait_for("Emmy Noether", "#people")
    page.wait_for("Brand new", "#course-heading")
    assert not page.find("#problem").is_displayed()


def test_a_tab_that_nobody_sees_gives_its_connection_back(
    signed_in: Browser, hosted: Hosted
) -> None:
    page = signed_in
    page.open(hosted.url + ROSTER)
    page.wait_for("Live", "#live")
    wait_until(lambda: hosted.page.streams.count == 1, what="one stream")
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    wait_until(lambda: hosted.page.streams.count == 0, what="no stream")
    hosted.change(person(1, "Isaac Newton", state="inactive"))
    page.driver.close()
    page.driver.switch_to.window(first)
    page.wait_for("inactive", "#people")
    hosted.change(person(1, "Isaac Newton"))
    page.wait_for("inactive \N{RIGHTWARDS ARROW} active", "#changes")
