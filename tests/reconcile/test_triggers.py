"""Which courses a triggered run reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.reconcile.facts import Entity
from rollcall.reconcile.rows import IDS
from rollcall.reconcile.triggers import (
    AHEAD_SECONDS,
    IMPORT,
    MIGRATION,
    SETTLING_SECONDS,
    TRIGGERS,
    Triggers,
    is_settling,
)
from rollcall.rosters.typed import TypedEvent
from rollcall.streaming.stages.stage import UnusableError

SHARD = 2107
BASE = SHARD * 10**13


def gid(number: int) -> str:
    """A global id."""
    return str(BASE + number)


class Rosters:
    """Rosters with the courses 1 to 3, the sections 11 to 13, and a user in two courses."""

    rows: Mapping[Entity, Collection[str]] = {
        Entity.COURSE: {gid(1), gid(2), gid(3)},
        Entity.SECTION: {gid(11), gid(12), gid(13)},
    }

    def by_id(self, entity: Entity, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """The known rows."""
        return {each: {IDS[entity]: int(each)} for each in ids if each in self.rows[entity]}

    def courses_of(self, user: str) -> set[str]:
        """Courses with current enrollments."""
        return {gid(2), gid(3)} if user == gid(70) else set()


def event(**body: Any) -> TypedEvent:
    """A typed event of Canvas's shard."""
    return TypedEvent(0, 0, "", SHARD, body)


def enrollment(course: int, section: int) -> TypedEvent:
    """An event of an enrollment."""
    return event(course_id=gid(course), course_section_id=gid(section))


def courses(*events: tuple[str, TypedEvent]) -> list[int]:
    """Local ids of the courses to read."""
    triggers = Triggers()
    for name, each in events:
        triggers.add(name, each)
    return [int(course) - BASE for course in triggers.courses(Rosters())]


READ = [
    (MIGRATION, event(context_type="Course", context_id=gid(2)), [2]),
    (MIGRATION, event(context_type="Course", context_id="2"), [2]),
    (MIGRATION, event(context_type="Course", context_id=gid(9)), [9]),
    ("user_updated", event(user_id=gid(70), workflow_state="deleted"), [2, 3]),
    ("enrollment_created", enrollment(9, 11), [9]),
    ("enrollment_updated", enrollment(1, 19), [1]),
    ("course_section_created", event(course_id="9", course_section_id="11"), [9]),
    ("course_section_updated", event(course_id="9", course_section_id="99"), [9]),
    ("group_created", event(context_type="Course", context_id=gid(9)), [9]),
    ("group_updated", event(context_type="Course", context_id=gid(9)), [9]),
]
IGNORED = [
    (MIGRATION, event(context_type="Account", context_id=gid(9))),
    (MIGRATION, event(context_type="Group", context_id=gid(9))),
    ("user_updated", event(user_id=gid(70), workflow_state="registered")),
    ("user_updated", event(user_id=gid(71), workflow_state="deleted")),
    ("enrollment_created", enrollment(1, 11)),
    ("enrollment_updated", enrollment(2, 11)),
    ("course_section_created", event(course_id="1", course_section_id="99")),
    ("course_section_updated", event(course_id="1", course_section_id="11")),
    ("group_created", event(context_type="Account", context_id=gid(9))),
    ("group_updated", event(context_type="Course", context_id=gid(1))),
    (IMPORT, event(sis_batch_id="8", account_id="1", workflow_state="importing")),
]


@pytest.mark.parametrize(("name", "trigger", "expected"), READ)
def test_courses_that_are_read(name: str, trigger: TypedEvent, expected: list[int]) -> None:
    assert courses((name, trigger)) == expected


@pytest.mark.parametrize(("name", "ignored"), IGNORED)
def test_events_that_trigger_nothing(name: str, ignored: TypedEvent) -> None:
    triggers = Triggers()
    triggers.add(name, ignored)
    assert (triggers.courses(Rosters()), triggers.imports) == ((), set())


def test_each_event_type_has_both_cases() -> None:
    imports = {IMPORT}
    assert {name for name, *_ in READ} | imports == {name for name, _ in IGNORED} == {*TRIGGERS}


@pytest.mark.parametrize(
    ("state", "has_ended"),
    [
        ("initializing", False),
        ("created", False),
        ("importing", False),
        ("cleanup_batch", False),
        ("restoring", False),
        ("imported", True),
        ("imported_with_messages", True),
        ("aborted", True),
        ("failed", True),
        ("failed_with_messages", True),
        ("partially_restored", True),
        ("restored", True),
        ("a new word", True),
    ],
)
def test_imports_that_have_ended(state: str, has_ended: bool) -> None:
    """Also those that failed: they have changed rows before."""
    triggers = Triggers()
    triggers.add(IMPORT, event(sis_batch_id="8", account_id="1", workflow_state=state))
    assert bool(triggers.imports) is has_ended


@given(st.lists(st.sampled_from([*((name, each) for name, each, _ in READ), *IGNORED])))
def test_events_of_any_order_trigger_what_each_does(events: list[tuple[str, TypedEvent]]) -> None:
    assert courses(*events) == sorted({course for each in events for course in courses(each)})


def test_many_courses() -> None:
    triggers = Triggers()
    for number in range(1, 1_002):
        triggers.add("group_created", event(context_type="Course", context_id=gid(number)))
    assert len(triggers.courses(Rosters())) == 1_001 - 3


@pytest.mark.parametrize("name", TRIGGERS)
def test_an_event_without_ids_is_unusable(name: str) -> None:
    body = {"workflow_state": "deleted", "context_type": "Course"}
    with pytest.raises(UnusableError):
        Triggers().add(name, event(**body))


@pytest.mark.parametrize(
    ("age", "is_young"),
    [
        (SETTLING_SECONDS + 1, False),
        (SETTLING_SECONDS, False),
        (SETTLING_SECONDS - 1, True),
        (0, True),
        (-AHEAD_SECONDS + 1, True),
        (-AHEAD_SECONDS, False),
    ],
)
def test_young_events_are_left_for_the_next_run(age: int, is_young: bool) -> None:
    """But not an event of a clock that is wrong: it would hold up all behind it."""
    now = 1_790_000_000_000_000
    assert is_settling(now - age * 1_000_000, now) is is_young
