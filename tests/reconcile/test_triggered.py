"""``rollcall reconcile --triggered`` with a real broker and a simulated Canvas."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from rollcall.reconcile.triggers import SETTLING_SECONDS
from rollcall.sandbox.canvas.rest import Access
from rollcall.sandbox.canvas.simulation import SimulationPlan
from rollcall.sandbox.canvas.simulation.enrollments import delete_in_bulk
from rollcall.sandbox.canvas.simulation.people import merge_users
from rollcall.sandbox.canvas.simulation.world import LIVE_STATES, Course
from tests.kafka_client import Sent, send
from tests.reconcile.test_command import ALL_EVENTS, HOUR_MS, ROOT, Installation, installation
from tests.waiting import DEADLINE_SECONDS

TYPES = f"{ALL_EVENTS},sis_batch_updated,content_migration_completed"


@pytest.fixture
def equal(tmp_path: Path, bootstrap: str, prefix: str) -> Iterator[Installation]:
    """An institution whose rosters are as Canvas has it, and whose events have been looked at."""
    plan = SimulationPlan(courses=4, steps=80, seed=4, class_size=40)
    with installation(tmp_path, bootstrap, prefix, plan, TYPES) as made:
        assert made.reconcile()["outcome"] == "complete"
        made.wait_settled()
        assert made.wrong_rows() == []
        assert triggered(made)["outcome"] == "complete"
        yield made


def triggered(made: Installation, *arguments: str, **settings: object) -> dict[str, Any]:
    """The result of a triggered run."""
    made.server.requests.clear()
    return made.reconcile("--triggered", *arguments, **settings)


def two_courses(made: Installation) -> list[Course]:
    """Courses with students, in the order in which a run reads them."""
    courses = [course for course in made.simulation.canvas.world.courses if live(course)]
    return sorted(courses, key=lambda course: course.id)[:2]


def live(course: Course) -> list[Any]:
    """Enrollments that a bulk change would end."""
    if course.state == "deleted":
        return []
    return [
        enrollment
        for section in course.sections
        for enrollment in section.enrollments
        if enrollment.workflow_state in LIVE_STATES and section.state != "deleted"
    ]


def change_silently(made: Installation, courses: Sequence[Course]) -> None:
    """Delete an enrollment of each course without an event, an hour ago."""
    for course in courses:
        delete_in_bulk(made.simulation.canvas, live(course)[:1], "test")
    made.simulation.canvas.now_ms += HOUR_MS


numbers = count(70_001)


def tell(made: Installation, name: str, *, age: int = 2 * SETTLING_SECONDS, **body: Any) -> None:
    """Send an event of an age in seconds."""
    time = datetime.fromtimestamp(made.simulation.canvas.now_ms / 1_000 - age, UTC)
    metadata = {
        "event_name": name,
        "event_time": f"{time:%Y-%m-%dT%H:%M:%S}.000Z",
        "root_account_id": ROOT,
        "producer": "canvas",
    }
    send(made.bootstrap, made.raw, [Sent(orjson.dumps({"metadata": metadata, "body": body}))])
    made.wait_settled()


def copy_content(made: Installation, course: str, **more: Any) -> None:
    """Send the event of a finished content migration."""
    body: dict[str, Any] = {
        "content_migration_id": str(next(numbers)),
        "context_id": course,
        "context_type": "Course",
        "import_quizzes_next": False,
    }
    tell(made, "content_migration_completed", **body, **more)


def read_courses(made: Installation) -> list[int]:
    """Courses whose enrollments a run has asked for."""
    paths = {request.path for request in made.server.requests}
    return sorted(
        int(path.split("/")[2])
        for path in paths
        if path.startswith("/courses/") and path.endswith("/enrollments")
    )


def test_only_courses_of_events_are_read(equal: Installation) -> None:
    """Of two courses that change silently, the one whose event is old enough is mended."""
    first, second = courses = two_courses(equal)
    change_silently(equal, courses)
    copy_content(equal, first.gid)
    copy_content(equal, second.gid, age=SETTLING_SECONDS // 2)
    assert len(equal.wrong_rows()) == 2
    assert triggered(equal, "--dry-run")["courses"] == 1
    result = triggered(equal)
    assert (result["outcome"], result["courses"]) == ("complete", 1)
    assert "SIS import" not in str(result["notices"])
    assert "triggered by" not in str(result["notices"]), "all topics are there"
    assert read_courses(equal) == [first.id]
    equal.wait_settled()
    assert len(equal.wrong_rows()) == 1

    assert triggered(equal)["courses"] == 0, "one was looked at, the other one is too young"
    equal.simulation.canvas.now_ms += SETTLING_SECONDS * 1_000
    assert triggered(equal)["courses"] == 1
    assert read_courses(equal) == [second.id]
    equal.wait_settled()
    assert equal.wrong_rows() == []
    assert triggered(equal)["courses"] == 0
    code, _, err = equal.run("--triggered")
    assert code == 0, err


def test_a_run_that_is_killed_looks_again(equal: Installation) -> None:
    first, second = courses = two_courses(equal)
    change_silently(equal, courses)
    for course in courses:
        copy_content(equal, course.gid)
    process = equal.start_until(f"/courses/{second.id}/enrollments", signal.SIGKILL, "--triggered")
    assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    assert triggered(equal)["courses"] == 2
    assert read_courses(equal) == [first.id, second.id]
    equal.wait_settled()
    assert equal.wrong_rows() == []
    assert triggered(equal)["courses"] == 0


def test_a_partial_run_looks_again(equal: Installation) -> None:
    """But not for a course that Canvas does not have: it would never be complete."""
    first, second = courses = two_courses(equal)
    change_silently(equal, courses)
    for course in (first.gid, second.gid, "21070000000999999"):
        copy_content(equal, course)
    hidden = f"/courses/{first.id}/groups"
    equal.server.faults.hidden.add(hidden)
    result = triggered(equal)
    assert (result["outcome"], result["courses"]) == ("partial", 2)
    equal.server.faults.hidden.remove(hidden)
    result = triggered(equal)
    assert (result["outcome"], result["courses"]) == ("partial", 2)
    assert [*result["skipped"]] == ["21070000000999999"]
    result = triggered(equal)
    assert (result["outcome"], result["courses"]) == ("complete", 0)
    equal.wait_settled()
    assert equal.wrong_rows() == []

    # An SIS import would need the root account, so it is refused though there is nothing to read.
    # So is a run of the account.
    equal.server.tokens["section"] = Access(account=False, section=first.sections[0].gid)
    equal.token.write_text("section")
    for arguments in (("--triggered",), ("--account", ROOT)):
        code, _, err = equal.run(*arguments)
        assert (code, "--account and --triggered need" in err) == (4, True), err


def test_imports_and_merged_users(equal: Installation) -> None:
    """A merge concerns the courses of the user, an import all courses once it has ended."""
    canvas = equal.simulation.canvas
    (course, *_) = two_courses(equal)
    loser = next(each.user for each in live(course) if each.kind == "StudentEnrollment")
    of_loser = {each.section.course.id for each in loser.enrollments if each.state != "deleted"}
    others = (user for user in canvas.world.users if user.state != "deleted" and user is not loser)
    winner = next(user for user in others if not user.enrollments)
    merge_users(canvas, loser, winner)
    send(equal.bootstrap, equal.raw, [Sent(each.value) for each in equal.simulation.take_events()])
    equal.wait_settled()
    assert equal.wrong_rows()
    canvas.now_ms += HOUR_MS
    assert triggered(equal)["outcome"] == "complete"
    assert set(read_courses(equal)) <= of_loser
    assert course.id in read_courses(equal)
    equal.wait_settled()
    assert equal.wrong_rows() == []

    batch: dict[str, Any] = {"sis_batch_id": "41", "account_id": "1"}
    change_silently(equal, two_courses(equal))
    tell(equal, "sis_batch_updated", workflow_state="importing", **batch)
    assert triggered(equal)["courses"] == 0
    tell(equal, "sis_batch_updated", workflow_state="imported", **batch)
    result = triggered(equal)
    assert (result["outcome"], result["courses"]) == ("complete", len(equal.courses()))
    assert "1 SIS import" in str(result["notices"])
    equal.wait_settled()
    assert equal.wrong_rows() == []
    assert triggered(equal)["courses"] == 0


def test_rows_that_wait_for_their_course(tmp_path: Path, bootstrap: str, prefix: str) -> None:
    """Courses older than the subscription, of which only other events have come."""
    plan = SimulationPlan(courses=4, steps=300, seed=11, silent_steps=150)
    with installation(tmp_path, bootstrap, prefix, plan, TYPES) as made:
        named = {
            event["body"]["course_id"]
            for event in map(orjson.loads, made.events)
            if event["metadata"]["event_name"].startswith("enrollment_")
            and "course_id" in event["body"]
        }
        living = {
            course.gid
            for course in made.simulation.canvas.world.courses
            if course.state != "deleted"
        }
        unknown = (named & living) - known_courses(made)
        assert unknown
        triggered(made)
        assert {str(21070000000000000 + course) for course in read_courses(made)} >= unknown
        made.wait_settled()
        assert unknown <= known_courses(made)
        left = triggered(made)
        assert not {str(21070000000000000 + course) for course in read_courses(made)} & unknown
        assert left["outcome"] == "complete"


def known_courses(made: Installation) -> set[str]:
    """Courses with a row."""
    return {row["course_id"] for row in made.cluster.rosters()["courses"].values()}
