"""What can go wrong between Canvas and the rosters: nobody is deleted wrongly, and what a run does
not mend, the next one does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from rollcall.reconcile import comparing
from rollcall.reconcile.canvas_client import MOST_UNANSWERED, TRIES, CanvasRefusesError
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.guards import COURSE_FEW
from rollcall.reconcile.summary import Kind, Outcome
from rollcall.sandbox.canvas.rest import Access, RecordedRequest, Times
from rollcall.sandbox.canvas.rest.objects import sortable_name
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan, people
from rollcall.sandbox.canvas.simulation import courses as change_courses
from rollcall.sandbox.canvas.simulation import enrollments as change
from rollcall.sandbox.canvas.simulation import groups as change_groups
from rollcall.sandbox.canvas.simulation.world import Course, Enrollment, Group, local_id
from tests.reconcile.institution import HOUR, MARGIN, Between, Institution

SECOND = 1_000_000


def active(school: Institution, course: Course | None = None) -> list[Enrollment]:
    """Active enrollments of students, of a course or of all that are open."""
    return [
        row
        for row in school.world.enrollments
        if row.workflow_state == "active"
        and row.kind == "StudentEnrollment"
        and row.section.state == "active"
        and row.section.course.state == "available"
        and course in (None, row.section.course)
        and row.gid in school.rows("enrollments")
    ]


def largest(school: Institution) -> Course:
    """The open course with the most active students."""
    courses = [course for course in school.world.courses if course.state == "available"]
    return max(courses, key=lambda course: len(active(school, course)))


def state_of(school: Institution, relation: str, identity: str) -> str:
    """state in the rosters."""
    return str(school.rows(relation)[identity]["state"])


def state(school: Institution, enrollment: Enrollment) -> str:
    """workflow_state in the rosters."""
    return str(school.rows("enrollments")[enrollment.gid]["workflow_state"])


def purge(school: Institution, enrollment: Enrollment) -> None:
    """Remove a row from Canvas's database."""
    school.world.enrollments.remove(enrollment)
    enrollment.section.enrollments.remove(enrollment)
    enrollment.user.enrollments.remove(enrollment)


def set_silently(school: Institution, enrollment: Enrollment, state: str) -> None:
    """Change a state without an event."""
    with school.silence() as canvas:
        change.set_state(canvas, enrollment, state)


def at_request(
    school: Institution, is_wanted: Callable[[RecordedRequest], bool], act: Callable[[], object]
) -> None:
    """Do something once, just before the answer to a request."""
    done: list[None] = []

    def on_request(request: RecordedRequest) -> None:
        if not done and is_wanted(request):
            done.append(None)
            act()

    school.server.faults.on_request = on_request


def list_of(course: Course, name: str = "enrollments") -> str:
    """The path of a course's list."""
    return f"/courses/{course.id}/{name}"


def rows_of_course(school: Institution, course: Course) -> dict[tuple[str, str], str]:
    """States of a course's sections, enrollments, groups and memberships by relation and id."""
    return {
        (relation, identity): str(row["state"])
        for relation in ("sections", "enrollments", "groups", "memberships")
        for identity, row in school.rows(relation).items()
        if course.gid in (row.get("course_id"), row.get("context_id"))
    }


async def settle_by_run(school: Institution) -> None:
    """Make the rosters as Canvas has it, and forget that run."""
    await school.reconcile()
    assert school.wrong_rows() == []
    school.later()
    school.written.clear()
    school.server.requests.clear()


def sortable(enrollment: Enrollment) -> str:
    """The name by which lists are ordered."""
    return sortable_name(enrollment.user).casefold()


def rows_shown(school: Institution, course: Course) -> list[int]:
    """Local ids of the enrollments on the pages of a course's list, as they will be read."""
    shown: list[int] = []

    def note(path: str, _headers: object, content: Any) -> None:
        if path == f"/courses/{course.gid}/enrollments":
            shown.extend(row["id"] for row in content)

    school.transport = Between(note)
    return shown


def rename_at_page(
    school: Institution, course: Course, number: int, enrollment: Enrollment, name: str
) -> None:
    """A user gets another name just before a page of a course's list, of ten rows each."""
    school.server.faults.max_per_page = 10
    pages: list[str] = []

    def is_page(request: RecordedRequest) -> bool:
        if request.path == list_of(course):
            pages.append(request.path)
        return len(pages) == number

    at_request(school, is_page, lambda: setattr(enrollment.user, "name", name))


def is_deleted_by_run(school: Institution) -> list[str]:
    """Enrollments that runs have written as deleted or absent."""
    return [
        fact.id
        for fact in school.written
        if fact.entity is Entity.ENROLLMENT and fact.stated["workflow_state"] == "deleted"
    ]


# --- times


async def test_an_event_during_the_run_counts(school: Institution) -> None:
    """The page that was read before it is older."""
    student = active(school)[0]
    course = student.section.course
    set_silently(school, student, "completed")
    school.later()
    at_request(
        school,
        lambda request: request.path == list_of(course, "groups"),
        lambda: change.set_state(school.canvas, student, "inactive"),
    )
    await school.reconcile()
    assert state(school, student) == "completed"
    school.deliver()
    assert state(school, student) == "inactive"


async def test_a_late_event_does_not_count_against_a_later_snapshot(school: Institution) -> None:
    student = active(school)[0]
    change.set_state(school.canvas, student, "inactive")
    late = school.simulation.take_events()
    set_silently(school, student, "completed")
    school.later()
    await school.reconcile()
    school.send(late)
    assert state(school, student) == "completed"


async def test_a_lost_event_is_mended(school: Institution) -> None:
    student = active(school)[0]
    change.set_state(school.canvas, student, "inactive")
    school.simulation.take_events()
    school.later()
    assert state(school, student) == "active"
    await school.reconcile()
    assert (state(school, student), school.wrong_rows()) == ("inactive", [])


async def test_a_replica_that_lags_does_not_count_against_an_event(school: Institution) -> None:
    """Also not if the list, and the point read, still show the row as it was."""
    student = active(school)[0]
    school.server.replica.lag = MARGIN - 100
    change.set_state(school.canvas, student, "inactive")
    school.deliver()
    school.later(5)
    summary = await school.reconcile()
    assert state(school, student) == "inactive"
    assert summary.counts[Entity.ENROLLMENT, Kind.RECENT] >= 1
    assert school.lags
    school.later()
    await school.reconcile()
    assert state(school, student) == "inactive"


async def test_without_the_margin_it_would(school: Institution) -> None:
    """The negative control of the test above."""
    student = active(school)[0]
    school.server.replica.lag = MARGIN - 100
    change.set_state(school.canvas, student, "inactive")
    school.deliver()
    school.later(5)
    await school.reconcile(margin=-60)
    assert state(school, student) == "active"


async def test_facts_are_of_canvas_clock(school: Institution) -> None:
    """This machine's clock is years ahead of the simulated one. updated_at does not matter."""
    student = active(school)[0]
    set_silently(school, student, "completed")
    student.updated_ms = school.canvas.now_ms + 100 * HOUR * 1_000
    school.later()
    await school.reconcile()
    now = school.canvas.now_ms * 1_000
    assert school.written
    assert all(now - HOUR * SECOND < fact.time <= now - MARGIN * SECOND for fact in school.written)


async def test_an_event_of_a_time_to_come_is_reported(school: Institution) -> None:
    student = active(school)[0]
    school.later(3 * HOUR)
    change.set_state(school.canvas, student, "inactive")
    school.deliver()
    school.later(-3 * HOUR)
    set_silently(school, student, "completed")
    summary = await school.reconcile()
    assert summary.counts[Entity.ENROLLMENT, Kind.AHEAD] == 1
    assert state(school, student) == "inactive"


async def test_a_silent_change_after_an_event_waits_for_the_next_run(school: Institution) -> None:
    student = active(school)[0]
    change.set_state(school.canvas, student, "inactive")
    school.deliver()
    set_silently(school, student, "completed")
    summary = await school.reconcile()
    assert summary.counts[Entity.ENROLLMENT, Kind.RECENT] == 1
    assert state(school, student) == "inactive"
    school.later()
    await school.reconcile()
    assert state(school, student) == "completed"


async def test_a_late_event_and_a_silent_change_back(school: Institution) -> None:
    """While the event is on its way, nothing differs. When it is there, the next run mends it."""
    await settle_by_run(school)
    student = active(school)[0]
    change.set_state(school.canvas, student, "inactive")
    late = school.simulation.take_events()
    set_silently(school, student, "active")
    school.later()
    summary = await school.reconcile()
    assert (summary.outcome, school.written) == (Outcome.COMPLETE, [])
    school.send(late)
    assert state(school, student) == "inactive"
    school.later()
    summary = await school.reconcile()
    assert [fact.id for fact in school.written] == [student.gid]
    assert (state(school, student), school.wrong_rows()) == ("active", [])


# --- lists


async def test_a_row_that_a_list_skips_is_asked_for(school: Institution) -> None:
    """A user gets another name while the list is read, and the row moves to a page before. Only the
    answer to the question for the row has the new name.
    """
    await settle_by_run(school)
    course = largest(school)
    last = max(active(school, course), key=sortable)
    shown = rows_shown(school, course)
    rename_at_page(school, course, 3, last, "Aaa Aaa")
    summary = await school.reconcile(course)
    assert len(shown) > 20
    assert int(local_id(last.gid)) not in shown
    path = f"/accounts/1/enrollments/{local_id(last.gid)}"
    assert [request.path for request in school.server.requests].count(path) == 1
    assert summary.outcome is Outcome.COMPLETE
    assert [(fact.id, fact.is_present) for fact in school.written] == [(last.gid, True)]
    row = school.rows("enrollments")[last.gid]
    assert (row["user_name"], row["state"]) == ("Aaa Aaa", "active")


async def test_a_row_that_a_list_shows_twice_counts_once(school: Institution) -> None:
    """The first time counts. The user's new name is written by the next run."""
    await settle_by_run(school)
    course = largest(school)
    first = min(active(school, course), key=sortable)
    old = first.user.name
    shown = rows_shown(school, course)
    rename_at_page(school, course, 3, first, "Zzz Zzzz")
    summary = await school.reconcile(course)
    assert shown.count(int(local_id(first.gid))) == 2
    assert summary.counts[Entity.ENROLLMENT, Kind.READ] == len(set(shown)) == len(shown) - 1
    assert summary.outcome is Outcome.COMPLETE
    ids = {first.gid, first.user.gid}
    assert [fact for fact in school.written if fact.id in ids] == []
    row = school.rows("enrollments")[first.gid]
    assert (row["user_name"], row["state"]) == (old, "active")
    school.later()
    await school.reconcile(course)
    assert sorted(fact.id for fact in school.written if fact.id in ids) == sorted(ids)
    assert school.rows("enrollments")[first.gid]["user_name"] == "Zzz Zzzz"


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_section_that_moves_during_the_run(school: Institution, is_first: bool) -> None:
    """Its enrollments are in the lists of both courses, or of neither."""
    one, other = sorted(
        (course for course in school.world.courses if active(school, course)),
        key=lambda course: int(course.gid),
    )[:2]
    source, target = (one, other) if is_first else (other, one)
    section = active(school, source)[0].section
    members = [row for row in section.enrollments if row.workflow_state == "active"]

    def move() -> None:
        with school.silence() as canvas:
            change_courses.cross_list(canvas, section, target)

    at_request(school, lambda request: request.path == list_of(other, "sections"), move)
    await school.reconcile()
    school.server.faults.on_request = None
    assert is_deleted_by_run(school) == []
    school.later()
    await school.reconcile()
    rows = school.rows("enrollments")
    assert {rows[row.gid]["course_id"] for row in members} == {target.gid}
    assert {rows[row.gid]["state"] for row in members} != {"deleted"}


FAULTS: dict[str, Callable[[Institution, Course], None]] = {
    "server errors": lambda school, course: setattr(
        school.server.faults, "failing", Times(10**6, list_of(course))
    ),
    "throttled": lambda school, course: setattr(
        school.server.faults, "throttled", Times(10**6, list_of(course))
    ),
    "cut": lambda school, course: setattr(
        school.server.faults, "cut", Times(10**6, list_of(course))
    ),
    "expired bookmark": lambda school, _course: setattr(
        school.server.faults, "expired_bookmarks", True
    ),
    "hidden": lambda school, course: school.server.faults.hidden.add(list_of(course)),
    "hidden groups": lambda school, course: school.server.faults.hidden.add(
        list_of(course, "groups")
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_incomplete_list_takes_nothing(school: Institution, fault: str) -> None:
    """Not even a row that is gone. The summary names the course. The course's other lists are
    complete, and what they do not show is taken.
    """
    course = largest(school)
    groups = [group for category in course.categories for group in category.groups]
    group = min(groups, key=lambda each: len(each.memberships))
    assert 0 < len(group.memberships) <= COURSE_FEW
    with school.silence() as canvas:
        change_groups.delete_group(canvas, group)
    purge(school, active(school, course)[0])
    school.server.faults.max_per_page = 10
    before = rows_of_course(school, course)
    FAULTS[fault](school, course)
    school.later()
    summary = await school.reconcile()
    assert summary.outcome is Outcome.PARTIAL
    assert course.gid in summary.incomplete or course.gid in summary.skipped
    after = rows_of_course(school, course)
    taken = {
        relation
        for relation, identity in before
        if before[relation, identity] != after[relation, identity]
    }
    absent = {fact.entity for fact in school.written if not fact.is_present}
    if fault == "hidden groups":
        assert (taken, absent) == ({"enrollments"}, {Entity.ENROLLMENT})
    else:
        assert (taken, absent) == ({"groups", "memberships"}, {Entity.GROUP})


async def test_short_outages_are_survived(school: Institution) -> None:
    course = largest(school)
    faults = school.server.faults
    faults.failing, faults.throttled = Times(2, list_of(course)), Times(3, "/sections")
    faults.cut = Times(1, list_of(course, "groups"))
    summary = await school.reconcile()
    assert summary.outcome is Outcome.COMPLETE
    assert school.pauses


async def test_an_empty_list_takes_nothing(school: Institution) -> None:
    """Not even if Canvas does not have the rows, when it is asked for them."""
    course = largest(school)
    before = {row.gid for row in active(school, course)}
    school.server.faults.empty.add(list_of(course))
    for row in active(school, course):
        school.server.faults.hidden.add(f"/accounts/1/enrollments/{local_id(row.gid)}")
    summary = await school.reconcile()
    assert summary.outcome is not Outcome.COMPLETE
    assert course.gid in summary.set_aside
    assert before == {row.gid for row in active(school, course)}
    assert all(state(school, row) == "active" for row in active(school, course))


async def test_a_hidden_course_is_skipped(school: Institution) -> None:
    course = largest(school)
    for name in ("", "/sections", "/enrollments", "/groups"):
        school.server.faults.hidden.add(f"/courses/{course.id}{name}")
    for summary in (await school.reconcile(), await school.reconcile(course)):
        assert summary.outcome is Outcome.PARTIAL
        assert "404" in summary.skipped[course.gid]
    assert is_deleted_by_run(school) == []


# --- deleted, restored, merged


async def test_a_course_that_was_deleted_unheard(school: Institution) -> None:
    """Its enrollments are displayed as deleted. Only the course's fact is written."""
    course = largest(school)
    students = active(school, course)
    with school.silence() as canvas:
        change_courses.delete_course(canvas, course)
    for row in students:
        row.workflow_state = "active"  # as Canvas leaves them
    school.later()
    summary = await school.reconcile()
    assert summary.outcome is Outcome.COMPLETE
    written = {fact.id for fact in school.written}
    assert course.gid in written
    assert written.isdisjoint(row.gid for row in students)
    rows = school.rows("enrollments")
    assert {rows[row.gid]["state_reason"] for row in students} == {"course_deleted"}
    with school.silence() as canvas:
        change_courses.undelete_course(canvas, course)
    course.state = "available"
    school.later()
    await school.reconcile()
    assert {state(school, row) for row in students} == {"active"}


async def test_a_course_that_is_deleted_during_the_run(school: Institution) -> None:
    """All its enrollments are displayed as deleted, and none is believed to be."""
    course = largest(school)
    students = active(school, course)

    def delete() -> None:
        course.state = "deleted"

    at_request(school, lambda request: request.path == list_of(course), delete)
    await school.reconcile()
    assert is_deleted_by_run(school) == []
    assert {state(school, row) for row in students} == {"active"}


async def test_a_section_that_moved_unheard_into_a_deleted_course(school: Institution) -> None:
    """Its enrollments leave the living course."""
    course = largest(school)
    other = next(each for each in school.world.courses if each is not course)
    section = active(school, course)[0].section
    members = [row for row in section.enrollments if row.workflow_state == "active"]
    with school.silence() as canvas:
        change_courses.cross_list(canvas, section, other)
        other.state = "deleted"
    school.later()
    summary = await school.reconcile(permitted=["all"])
    assert summary.outcome is Outcome.COMPLETE
    rows = school.rows("enrollments")
    assert {(rows[row.gid]["course_id"], rows[row.gid]["state"]) for row in members} == {
        (other.gid, "deleted")
    }
    assert school.wrong_rows() == []


async def test_a_section_that_was_deleted_unheard(school: Institution) -> None:
    """It is absent, and its enrollments keep their own states."""
    course = largest(school)
    section = active(school, course)[0].section
    students = [row for row in section.enrollments if row.workflow_state == "active"]
    section.state = "deleted"
    school.later()
    summary = await school.reconcile()
    if summary.set_aside:
        assert is_deleted_by_run(school) == []
        summary = await school.reconcile(permitted=["all"])
    assert summary.counts[Entity.SECTION, Kind.ABSENT] == 1
    assert is_deleted_by_run(school) == []
    rows = school.rows("enrollments")
    assert {rows[row.gid]["state"] for row in students if row.gid in rows} == {"deleted"}
    assert {state(school, row) for row in students if row.gid in rows} == {"active"}
    section.state = "active"
    school.later(2 * HOUR)
    await school.reconcile()
    assert school.wrong_rows() == []


async def test_rows_of_a_restored_course_are_mended(school: Institution) -> None:
    """Canvas leaves them as they are, without events."""
    course = largest(school)
    students = active(school, course)
    change_courses.delete_course(school.canvas, course)
    school.deliver()
    change_courses.undelete_course(school.canvas, course)
    for number, row in enumerate(students):
        row.workflow_state = ("completed", "deleted", "active")[number % 3]
    school.deliver()
    school.later()
    await school.reconcile()
    assert {row.gid: state(school, row) for row in students} == {
        row.gid: row.workflow_state for row in students
    }


async def test_states_by_dates_stay(school: Institution) -> None:
    """REST shows them nowhere."""
    before = {
        identity: row["state"]
        for identity, row in school.rows("enrollments").items()
        if row["state_reason"] == "dates"
    }
    assert before
    for row in school.world.enrollments:
        row.limited = not row.limited
    school.later()
    await school.reconcile()
    after = school.rows("enrollments")
    assert {identity: after[identity]["state"] for identity in before} == before
    assert school.wrong_rows() == []


async def test_an_absent_row_that_returns(school: Institution) -> None:
    """Twice asked for, it is absent; a later event revives it."""
    student = active(school)[0]
    purge(school, student)
    school.later()
    summary = await school.reconcile()
    assert summary.counts[Entity.ENROLLMENT, Kind.ABSENT] == 1
    row = school.rows("enrollments")[student.gid]
    assert (row["state"], row["state_reason"]) == ("deleted", "absent")
    assert 60 in school.pauses
    asked = [
        request.path
        for request in school.server.requests
        if request.path == f"/accounts/1/enrollments/{local_id(student.gid)}"
    ]
    assert len(asked) == 2
    school.later()
    school.world.enrollments.append(student)
    student.section.enrollments.append(student)
    student.user.enrollments.append(student)
    change.set_state(school.canvas, student, "active")
    school.deliver()
    assert state(school, student) == "active"


async def test_a_row_that_is_found_at_the_second_time_stays(school: Institution) -> None:
    student = active(school)[0]
    path = f"/accounts/1/enrollments/{local_id(student.gid)}"
    purge(school, student)

    def restore(_seconds: float) -> None:
        if student not in school.world.enrollments:
            school.world.enrollments.append(student)

    school.on_pause = restore
    school.later()
    await school.reconcile()
    assert state(school, student) == "active"
    assert path in [request.path for request in school.server.requests]


async def test_enrollments_that_an_import_deleted(school: Institution) -> None:
    """Canvas shows them as deleted: they are asked for, and then believed."""
    course = largest(school)
    students = active(school, course)[:4]
    for row in students:
        set_silently(school, row, "deleted")
    school.later()
    summary = await school.reconcile()
    assert summary.outcome is Outcome.COMPLETE
    assert {state(school, row) for row in students} == {"deleted"}
    assert {school.rows("enrollments")[row.gid]["state_reason"] for row in students} == {"snapshot"}


async def test_rosters_made_anew_are_backfilled(school: Institution) -> None:
    """Events and snapshots of before have expired."""
    await school.reconcile()
    school.forget()
    assert not any(school.cluster.rosters().values())
    school.later()
    assert (await school.reconcile()).outcome is Outcome.COMPLETE
    assert len(active(school)) > 20
    assert school.wrong_rows() == []


def undelete_course_within_the_lag(school: Institution) -> list[Enrollment]:
    """A course is deleted and restored. Then the replica shows for some time that it is deleted."""
    course = largest(school)
    students = active(school, course)
    course.state = "deleted"
    school.server.replica.lag = 200
    school.later(1)
    course.state = "available"
    school.later(10)
    return students


async def test_a_course_that_was_just_restored(school: Institution) -> None:
    """Its enrollments are displayed as deleted, and it is there."""
    students = undelete_course_within_the_lag(school)
    await school.reconcile()
    assert any(each > 200 for each in school.pauses)
    assert is_deleted_by_run(school) == []
    assert {state(school, row) for row in students} == {"active"}


async def test_a_section_that_moved_into_a_course_that_was_just_restored(
    school: Institution,
) -> None:
    """Its enrollments are displayed as deleted, in another course than that of their rows."""
    course = largest(school)
    section = active(school, course)[0].section
    members = [row for row in section.enrollments if row.workflow_state == "active"]
    other = next(
        each for each in school.world.courses if each is not course and each.state == "available"
    )
    with school.silence() as canvas:
        change_courses.cross_list(canvas, section, other)
    school.later()
    other.state = "deleted"
    school.server.replica.lag = 200
    school.later(1)
    other.state = "available"
    school.later(10)
    await school.reconcile()
    assert any(each > 200 for each in school.pauses)
    assert {state(school, row) for row in members} == {"active"}
    school.later()
    await school.reconcile()
    rows = school.rows("enrollments")
    assert {(rows[row.gid]["course_id"], rows[row.gid]["state"]) for row in members} == {
        (other.gid, "active")
    }


async def test_new_enrollments_of_a_course_that_was_just_restored(school: Institution) -> None:
    """The rosters have no rows that could be asked for."""
    course = largest(school)
    section = active(school, course)[0].section
    with school.silence() as canvas:
        users = [people.create_user(canvas, course.account) for _ in range(6)]
        made = [
            change.enroll(canvas, user, section, "StudentEnrollment", "active") for user in users
        ]
    school.later()
    undelete_course_within_the_lag(school)
    await school.reconcile(permitted=["all"])
    rows = school.rows("enrollments")
    assert {rows[row.gid]["state"] for row in made if row.gid in rows} <= {"active"}
    school.later()
    await school.reconcile(permitted=["all"])
    assert {state(school, row) for row in made} == {"active"}


async def test_without_the_longer_pause_it_would_lose_its_students(
    school: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above."""
    students = undelete_course_within_the_lag(school)
    monkeypatch.setattr("rollcall.reconcile.run.max", min, raising=False)
    await school.reconcile()
    assert {state(school, row) for row in students} != {"active"}


async def test_users_who_were_merged_unheard(school: Institution) -> None:
    student = active(school)[0]
    loser, other = (
        student.user,
        next(user for user in school.world.users if user.enrollments and user is not student.user),
    )
    with school.silence() as canvas:
        people.merge_users(canvas, loser, other)
    school.later()
    await school.reconcile()
    row = school.rows("enrollments")[student.gid]
    assert (row["user_id"], row["user_name"]) == (other.gid, other.name)


@pytest.mark.parametrize("moment", ["sections", "enrollments", "groups"])
async def test_users_who_are_merged_during_the_run(school: Institution, moment: str) -> None:
    """Before the course's enrollments are read, between two of their pages, or after them. Nobody
    is deleted but the user, and the next run mends what was read before.
    """
    course = largest(school)
    loser = max(active(school, course), key=sortable).user
    winner = min(active(school, course), key=sortable).user
    change_groups.join(school.canvas, course.categories[0].groups[0], loser, "accepted")
    school.deliver()
    school.later()
    await settle_by_run(school)
    rows = [row for row in loser.enrollments if row.section.course.state != "deleted"]
    members = [row for row in loser.memberships if row.group.category.context is course]
    assert rows
    assert members
    school.server.faults.max_per_page = 10
    number = 3 if moment == "enrollments" else 1
    asked: list[str] = []

    def is_moment(request: RecordedRequest) -> bool:
        if request.path == list_of(course, moment):
            asked.append(request.path)
        return len(asked) == number

    at_request(school, is_moment, lambda: people.merge_users(school.canvas, loser, winner))
    await school.reconcile()
    school.server.faults.on_request = None
    assert loser.state == "deleted"
    assert [fact for fact in school.written if not fact.is_present] == []
    assert is_deleted_by_run(school) == []
    school.deliver()
    assert school.rows("users")[loser.gid]["workflow_state"] == "deleted"
    school.later()
    await school.reconcile()
    enrollments, memberships = school.rows("enrollments"), school.rows("memberships")
    assert {enrollments[row.gid]["user_id"] for row in rows} == {winner.gid}
    assert {memberships[row.gid]["user_id"] for row in members} == {winner.gid}
    assert school.rows("users")[loser.gid]["workflow_state"] == "deleted"
    assert school.wrong_rows() == []


async def test_a_deleted_user_stays_deleted(school: Institution) -> None:
    """Canvas shows the user beside the deleted enrollments."""
    user = next(
        user for user in school.world.users if user.gid in school.rows("users") and user.enrollments
    )
    people.delete_user(school.canvas, user)
    school.deliver()
    school.later()
    await school.reconcile()
    assert school.rows("users")[user.gid]["workflow_state"] == "deleted"


# --- groups


async def test_memberships_and_groups_that_ended_unheard(school: Institution) -> None:
    course = largest(school)
    category = change_groups.create_category(school.canvas, course, "Labs", 3)
    members = [row.user for row in active(school, course)[:6]]
    for number, user in enumerate(members):
        change_groups.join(school.canvas, category.groups[number % 2], user, "accepted")
    school.deliver()
    first, _, third = category.groups
    with school.silence() as canvas:
        change_groups.set_membership(canvas, first.memberships[0], "deleted")
        change_groups.delete_group(canvas, third)
    school.later()
    summary = await school.reconcile()
    assert summary.outcome is Outcome.COMPLETE
    assert summary.counts[Entity.MEMBERSHIP, Kind.ABSENT] == 1
    assert summary.counts[Entity.GROUP, Kind.ABSENT] == 1
    assert school.rows("groups")[third.gid]["state_reason"] == "absent"
    assert school.wrong_rows() == []


def move_group(group: Group, course: Course) -> None:
    """Canvas moves a group to another course, without an event."""
    group.category.groups.remove(group)
    group.category = course.categories[0]
    group.category.groups.append(group)


@pytest.mark.parametrize("moment", ["before", "in both lists", "in neither list"])
async def test_a_group_that_moved_unheard(school: Institution, moment: str) -> None:
    """It is asked for by its id where its list does not show it any more, and keeps its members."""
    await settle_by_run(school)
    first, second = sorted(
        (
            course
            for course in school.world.courses
            if course.categories and course.state == "available"
        ),
        key=lambda course: course.id,
    )[:2]
    source, target = (second, first) if moment == "in neither list" else (first, second)
    group = max(source.categories[0].groups, key=lambda each: len(each.memberships))
    members = {row.gid: state_of(school, "memberships", row.gid) for row in group.memberships}
    assert "accepted" in members.values()
    if moment == "before":
        move_group(group, target)
    else:
        at_request(
            school,
            lambda request: request.path == list_of(second, "sections"),
            lambda: move_group(group, target),
        )
    await school.reconcile()
    paths = [request.path for request in school.server.requests]
    assert (f"/groups/{local_id(group.gid)}" in paths) is (moment != "in both lists")
    assert [fact for fact in school.written if not fact.is_present] == []
    assert school.rows("groups")[group.gid]["context_id"] == target.gid
    assert {gid: state_of(school, "memberships", gid) for gid in members} == members
    school.later()
    await school.reconcile()
    assert school.wrong_rows() == []


async def test_ended_memberships_of_a_group_without_events(school: Institution) -> None:
    """Events of the memberships came, and wait for their group."""
    course = largest(school)
    with school.silence() as canvas:
        category = change_groups.create_category(canvas, course, "Labs", 1)
    group = category.groups[0]
    for row in active(school, course)[:4]:
        change_groups.join(school.canvas, group, row.user, "accepted")
    school.deliver()
    with school.silence() as canvas:
        change_groups.set_membership(canvas, group.memberships[0], "deleted")
    school.later()
    assert group.gid not in school.rows("groups")
    await school.reconcile()
    assert school.rows("memberships")[group.memberships[0].gid]["state"] == "deleted"
    assert school.wrong_rows() == []


async def test_rosters_that_do_not_take_a_group_in_are_reported(school: Institution) -> None:
    course = largest(school)
    with school.silence() as canvas:
        change_groups.create_category(canvas, course, "Labs", 1)
    school.catches_up = False
    summary = await school.reconcile()
    assert summary.outcome is Outcome.PARTIAL
    assert "not taken in" in " ".join(summary.reasons())


# --- tokens


async def test_a_token_that_loses_its_rights_takes_nothing(school: Institution) -> None:
    student = active(school)[0]
    purge(school, student)
    access = Access()
    school.server.tokens["mortal"] = access
    path = f"/accounts/1/enrollments/{local_id(student.gid)}"

    def lose() -> None:
        access.denied = frozenset({"read_roster"})

    at_request(school, lambda request: request.path == path, lose)
    school.later()
    summary = await school.reconcile(token="mortal")
    assert state(school, student) == "active"
    assert summary.outcome is Outcome.PARTIAL
    assert "lacks read_roster" in " ".join(summary.reasons())


async def test_a_token_that_is_revoked_ends_the_run(school: Institution) -> None:
    """And it can be resumed with another one."""
    access = Access()
    school.server.tokens["mortal"] = access
    last = max((course for course in school.world.courses), key=lambda course: course.id)
    at_request(
        school,
        lambda request: request.path == list_of(last, "sections"),
        lambda: setattr(access, "revoked", True),
    )
    with pytest.raises(CanvasRefusesError) as caught:
        await school.reconcile(token="mortal")
    assert caught.value.exit_code == 4
    assert "mortal" not in str(caught.value)
    school.server.requests.clear()
    summary = await school.reconcile(is_resumed=True)
    assert summary.outcome is Outcome.COMPLETE
    lists = [r.path for r in school.server.requests if r.path.endswith("/enrollments")]
    assert set(lists) == {list_of(last)}, "only what was missing"


@pytest.mark.parametrize("place", ["sections", "memberships", "single enrollments"])
async def test_canvas_that_does_not_answer_any_more_ends_the_run(
    school: Institution, place: str
) -> None:
    """Each list, and each row, would be waited for. The run can be resumed."""
    courses = [course for course in school.world.courses if course.state != "deleted"]
    first, second, *_others = sorted(courses, key=lambda course: course.id)
    gone = active(school, largest(school))[:4]
    for enrollment in gone:
        purge(school, enrollment)
    group = next(group for group in school.world.groups if group.category.context is first)
    last = {
        "sections": list_of(second, "sections"),
        "memberships": f"/groups/{local_id(group.gid)}/memberships",
        "single enrollments": f"/accounts/1/enrollments/{local_id(gone[0].gid)}",
    }[place]
    before: list[int] = []

    def away() -> None:
        before.append(len(school.server.requests))
        school.server.faults.failing = Times(1_000_000)

    at_request(school, lambda request: request.path == last, away)
    with pytest.raises(CanvasRefusesError, match="does not answer any more"):
        await school.reconcile()
    assert list_of(first) in {request.path for request in school.server.requests}
    assert len(school.server.requests) - before[0] <= TRIES * (MOST_UNANSWERED + 1)
    school.server.faults.failing = Times()
    school.server.faults.on_request = None
    summary = await school.reconcile(is_resumed=True)
    assert set(summary.incomplete) <= {first.gid, second.gid}
    assert summary.courses == len(courses)
    assert all(state(school, enrollment) == "deleted" for enrollment in gone) or summary.incomplete


async def test_a_course_whose_lists_fail_does_not_end_the_run(school: Institution) -> None:
    """Canvas answers other questions."""
    course = largest(school)
    school.server.faults.failing = Times(1_000_000, f"/courses/{course.id}/")
    summary = await school.reconcile()
    assert summary.outcome is Outcome.PARTIAL
    assert list(summary.incomplete) == [course.gid]
    assert summary.courses == 4


LIMITED = {
    "without rights on the account": (False, "absence is not judged: the token has no rights"),
    "with rights on the account": (
        True,
        "course {course} incomplete: Canvas has rows that its lists do not show to this token",
    ),
}


@pytest.mark.parametrize("rights", LIMITED)
async def test_a_token_of_one_section(school: Institution, rights: str) -> None:
    """Its lists are shorter. Nothing is taken, and the run is not complete."""
    has_account, reason = LIMITED[rights]
    course = largest(school)
    section = active(school, course)[0].section
    change.set_state(school.canvas, active(school, course)[0], "deleted")  # a known deletion
    school.deliver()
    school.later()
    before = rows_of_course(school, course)
    hidden = [row for row in active(school, course) if row.section is not section]
    assert len(hidden) > COURSE_FEW
    school.server.tokens["limited"] = Access(account=has_account, section=section.gid)
    summary = await school.reconcile(course, token="limited")
    assert summary.outcome is Outcome.PARTIAL
    assert reason.format(course=course.gid) in "\n".join(summary.reasons())
    assert [fact for fact in school.written if not fact.is_present] == []
    assert rows_of_course(school, course) == before


async def test_absence_is_not_believed_without_a_canary(school: Institution) -> None:
    """Canvas hides a row that is known to be deleted, so it may hide others."""
    student = active(school)[0]
    purge(school, student)
    for row in school.world.enrollments:
        if row.workflow_state == "deleted":
            school.server.faults.hidden.add(f"/accounts/1/enrollments/{local_id(row.gid)}")
    school.later()
    summary = await school.reconcile()
    assert state(school, student) == "active"
    assert summary.outcome is Outcome.PARTIAL
    assert summary.counts[Entity.ENROLLMENT, Kind.UNJUDGED] == 1
    assert "Canvas shows to this token none" in " ".join(summary.reasons())


async def test_without_the_canary_it_would(
    school: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of the test above: the row is only hidden."""
    student = active(school)[0]
    school.server.faults.hidden |= {f"/accounts/1/enrollments/{local_id(student.gid)}"}
    school.server.faults.empty.clear()
    school.world.enrollments.remove(student)  # from the list

    async def no_doubt(*_arguments: object) -> None:
        return None

    monkeypatch.setattr("rollcall.reconcile.run.doubt", no_doubt)
    school.later()
    await school.reconcile()
    assert state(school, student) == "deleted"


# --- guards


async def test_a_course_that_shrinks_is_set_aside(school: Institution) -> None:
    course = largest(school)
    students = active(school, course)[:8]
    for row in students:
        purge(school, row)
    school.later()
    summary = await school.reconcile()
    assert summary.outcome is Outcome.PARTIAL
    assert "current rows are absent" in summary.set_aside[course.gid]
    assert {state(school, row) for row in students} == {"active"}
    school.later()
    summary = await school.reconcile(permitted=[course.gid])
    assert summary.outcome is Outcome.COMPLETE
    assert {state(school, row) for row in students} == {"deleted"}


async def test_departures_that_events_told_of_do_not_count(school: Institution) -> None:
    course = largest(school)
    students = active(school, course)[:8]
    for row in students:
        purge(school, row)

    def tell(seconds: float) -> None:
        if seconds == 60:
            for row in students[:6]:
                change.set_state(school.canvas, row, "deleted")
            school.deliver()

    school.on_pause = tell
    school.later()
    summary = await school.reconcile()
    assert (summary.set_aside, summary.outcome) == ({}, Outcome.COMPLETE)
    assert {state(school, row) for row in students} == {"deleted"}


async def test_a_run_that_shrinks_is_stopped(school: Institution) -> None:
    """Each course loses little, and all together too much."""
    lost = [row for course in school.world.courses for row in active(school, course)[:3]]
    for row in lost:
        purge(school, row)
    count = len(lost)
    assert count > 5
    school.later()
    summary = await school.reconcile()
    assert summary.outcome is Outcome.STOPPED
    assert "of all courses" in summary.stopped
    assert {state(school, row) for row in lost} == {"active"}
    summary = await school.reconcile(permitted=["all"])
    assert {state(school, row) for row in lost} == {"deleted"}


# --- test students


@pytest.mark.parametrize("has_events", [True, False])
async def test_a_test_student_is_a_row_like_others(school: Institution, has_events: bool) -> None:
    """The account's list of users does not have it. It is written once, kept, and ends when Canvas
    removes it.
    """
    await settle_by_run(school)
    before = current_test_students(school)
    course = next(
        course
        for course in school.world.courses
        if course.state == "available" and course.id not in before
    )
    canvas = school.canvas
    canvas.subscribed = has_events
    user = people.create_user(canvas, course.account)
    row = change.enroll(canvas, user, course.sections[0], "StudentViewEnrollment", "active")
    canvas.subscribed = True
    school.deliver()
    school.later()
    await school.reconcile()
    assert (row.gid in {fact.id for fact in school.written}) is not has_events
    assert current_test_students(school) == before | {course.id: row.gid}
    assert (state(school, row), school.wrong_rows()) == ("active", [])
    school.written.clear()
    await school.reconcile()
    assert school.written == []
    set_silently(school, row, "deleted")
    school.later()
    await school.reconcile()
    assert [fact.id for fact in school.written] == [row.gid]
    assert current_test_students(school) == before
    assert school.wrong_rows() == []


def current_test_students(school: Institution) -> dict[int, str]:
    """Ids of test students' enrollments that the rosters have, by their course's local id."""
    return {
        int(local_id(row["course_id"])): identity
        for identity, row in school.rows("enrollments").items()
        if row["type"] == "StudentViewEnrollment" and row["state"] != "deleted"
    }


# --- runs


async def test_a_second_run_writes_nothing(school: Institution) -> None:
    for row in active(school)[:5]:
        set_silently(school, row, "completed")
    school.later()
    await school.reconcile()
    assert school.written
    school.written.clear()
    await school.reconcile()
    assert school.written == []


async def test_a_run_that_is_killed_anywhere_is_resumed(school: Institution) -> None:
    """At each request in turn. In the end, the rosters are as in Canvas."""

    class KilledError(Exception):
        pass

    for row in school.world.enrollments[::7]:
        row.limited = not row.limited
    purge(school, active(school)[0])
    school.later()
    calls = 0

    def kill() -> None:
        nonlocal calls
        calls += 1
        if calls < 12:
            raise KilledError

    for _ in range(12):
        try:
            await school.reconcile(is_resumed=True, is_mine=kill)
        except KilledError:
            school.settle()
    school.later()
    await school.reconcile(is_resumed=True)
    assert school.wrong_rows() == []
    assert school.written


async def test_a_run_of_another_day_is_not_resumed(school: Institution) -> None:
    """What it has read is too old."""

    def kill() -> None:
        if len(school.server.requests) > 20:
            raise KilledError

    with pytest.raises(KilledError):
        await school.reconcile(is_mine=kill)
    with closing(sqlite3.connect(school.folder / "run.sqlite")) as database:
        database.execute("UPDATE meta SET value = value - 86401 WHERE name = 'began'")
        database.commit()
    students = active(school)
    for student in students:
        set_silently(school, student, "completed")
    school.later()
    summary = await school.reconcile(is_resumed=True)
    assert summary.outcome is Outcome.COMPLETE
    assert {state(school, student) for student in students} == {"completed"}


class KilledError(Exception):
    """The end of a run."""


async def test_a_dry_run_writes_nothing_and_waits_for_nothing(school: Institution) -> None:
    set_silently(school, active(school)[0], "completed")
    purge(school, active(school)[0])
    school.later()
    await school.reconcile(is_dry=True)
    assert (school.written, school.pauses) == ([], [])
    assert {each.kind for each in school.differences} >= {Kind.DIFFERENT, Kind.ABSENT}


async def test_a_scope_without_courses_is_reported(school: Institution) -> None:
    """Of a term that was mistyped, nothing can be said."""
    summary = await school.reconcile(terms=("999",))
    assert (summary.outcome, summary.courses) == (Outcome.PARTIAL, 0)
    assert "no course of account 21070000000000001 in term 999" in " ".join(summary.reasons())


async def test_another_canvas_is_noticed(school: Institution) -> None:
    for course in school.world.courses:
        course.uuid = course.uuid[::-1]
    with pytest.raises(Exception, match="another uuid"):
        await school.reconcile()
    assert school.written == []


def test_the_margin_of_events_ahead() -> None:
    """An hour, in microseconds."""
    assert HOUR * SECOND == comparing.AHEAD


async def test_another_institution_on_the_same_topics_is_left_alone(school: Institution) -> None:
    """Canvas does not have its accounts, and is not asked for their groups."""
    other = Simulation(SimulationPlan(courses=2, steps=20, shard=4811))
    school.send(other.events())
    assert {"4811"} <= {row["context_id"][:4] for row in school.rows("groups").values()}
    assert (await school.reconcile()).outcome is Outcome.COMPLETE
    assert not [request for request in school.server.requests if "4811" in request.path]
