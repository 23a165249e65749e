"""The institution at the beginning, and new courses with their students. Some users and courses are
older than the subscription to events.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollcall.sandbox.canvas.simulation.canvas import SIS_JOB, Canvas
from rollcall.sandbox.canvas.simulation.courses import create_course
from rollcall.sandbox.canvas.simulation.enrollments import add
from rollcall.sandbox.canvas.simulation.groups import MEMBER_STATES, add_member, create_category
from rollcall.sandbox.canvas.simulation.people import create_account, create_user, new_user
from rollcall.sandbox.canvas.simulation.world import (
    AFTER,
    BEFORE,
    WITHIN,
    Account,
    Course,
    User,
    pick,
)
from rollcall.sandbox.canvas.simulation.writing import subject

OLD_SHARE = 0.15
"""Share of users and courses that are older than the subscription: only their later changes have
events.
"""

ENROLL_STATES = ("active",) * 11 + ("invited",) * 5 + ("inactive", "creation_pending")
PHASES = (BEFORE,) + (WITHIN,) * 6 + (AFTER,)

_ACCOUNTS = ("Arts", "Sciences", "Engineering", "Law", "Continuing Education")
_ADMINS = 8


def set_up(canvas: Canvas) -> Iterator[None]:
    """Set up the institution. Yields after each part, so that its events can be taken."""
    random, world, plan = canvas.random, canvas.world, canvas.plan
    canvas.subscribed = False
    canvas.actors += [new_user(canvas) for _ in range(_ADMINS)]
    for name in _ACCOUNTS[: 2 + plan.courses // 10]:
        create_account(canvas, canvas.root, name)
    canvas.subscribed = True
    create_account(canvas, random.choice(world.accounts), "Libraries")
    for _ in range(max(20, plan.courses * plan.class_size // 3)):
        canvas.subscribed = random.random() >= OLD_SHARE
        create_user(canvas, random.choice(world.accounts))
        yield
    canvas.subscribed = True
    societies = create_category(canvas, canvas.root, "Societies", 3)
    for group in societies.groups:
        for user in random.sample(world.users, 5):
            add_member(canvas, group, user, random.choice(MEMBER_STATES))
    yield
    for number in range(plan.courses):
        canvas.subscribed = number == 0 or random.random() >= OLD_SHARE
        yield from open_course(canvas, random.choice(world.accounts))
    canvas.subscribed = True


def open_course(canvas: Canvas, account: Account) -> Iterator[None]:
    """Create a course with sections, teachers, students and groups. Yields after each part."""
    random, world, size = canvas.random, canvas.world, canvas.plan.class_size
    course = create_course(
        canvas, account, subject(random), random.choice(PHASES), random.choice((1, 1, 2, 3))
    )
    yield
    count = min(len(world.users), max(0, round(random.gauss(size, size / 4))))
    students = random.sample(world.users, count)
    canvas.job(SIS_JOB)
    _add_staff(canvas, course, students)
    for user in students:
        if random.random() < 0.3:
            canvas.job(SIS_JOB)
        section = random.choice(course.sections)
        add(canvas, user, section, "StudentEnrollment", random.choice(ENROLL_STATES))
        yield
    if students and random.random() < 0.7:
        _add_groups(canvas, course, students)
    yield


def _add_staff(canvas: Canvas, course: Course, students: list[User]) -> None:
    random, world = canvas.random, canvas.world
    section = course.sections[0]
    for kind, share in (
        ("TeacherEnrollment", 1.0),
        ("TaEnrollment", 0.5),
        ("DesignerEnrollment", 0.3),
        ("StudentViewEnrollment", 0.3),
    ):
        if random.random() < share:
            user = (
                new_user(canvas) if kind == "StudentViewEnrollment" else random.choice(world.users)
            )
            add(canvas, user, section, kind, "active")
    if students and random.random() < 0.5:
        add(
            canvas,
            random.choice(world.users),
            section,
            "ObserverEnrollment",
            "active",
            observed=random.choice(students),
        )


def _add_groups(canvas: Canvas, course: Course, students: list[User]) -> None:
    random = canvas.random
    category = create_category(
        canvas, course, random.choice(("Projects", "Labs", "Reading circles")), random.randint(2, 5)
    )
    for user in students:
        if random.random() < 0.8 and (group := pick(random, category.groups)):
            add_member(canvas, group, user, random.choice(MEMBER_STATES))
