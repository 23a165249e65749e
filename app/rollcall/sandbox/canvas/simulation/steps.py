"""Random changes of the institution. Each looks for a row that it can change, and returns whether
it found one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from rollcall.sandbox.canvas.simulation import courses, enrollments, groups, people
from rollcall.sandbox.canvas.simulation.canvas import Canvas
from rollcall.sandbox.canvas.simulation.population import ENROLL_STATES, PHASES, open_course
from rollcall.sandbox.canvas.simulation.world import (
    ENDED_STATES,
    Course,
    Enrollment,
    Row,
    Section,
    is_current,
    pick,
)
from rollcall.sandbox.canvas.simulation.writing import person, subject

Change = Callable[[Canvas], bool]

ATTEMPTS = 8
"""Maximum number of changes that a step tries. In a nearly empty institution, all may fail."""

_KINDS = ("StudentEnrollment",) * 8 + (
    "TeacherEnrollment",
    "TaEnrollment",
    "DesignerEnrollment",
    "ObserverEnrollment",
)


def run_step(canvas: Canvas) -> None:
    """Run pending background jobs, then make one change."""
    run_jobs(canvas)
    for _ in range(ATTEMPTS):
        (change,) = canvas.random.choices(_CHANGES, cum_weights=_WEIGHTS)
        if change(canvas):
            return


def run_jobs(canvas: Canvas) -> None:
    """Run pending background jobs."""
    while canvas.jobs:
        canvas.jobs.popleft()(canvas)


def _by_dice(
    dice: float, *options: tuple[float, Callable[[Canvas, Row], None]]
) -> Callable[[Canvas, Row], None]:
    """The first option whose bound is above the dice. The last bound is 1."""
    return next(option for bound, option in options if dice < bound)


def _active_sections(course: Course) -> list[Section]:
    return [section for section in course.sections if section.state == "active"]


def _change_enrollment(canvas: Canvas) -> bool:
    random = canvas.random
    enrollment = pick(random, canvas.world.enrollments)
    if (
        enrollment is None
        or enrollment.section.course.state == "deleted"
        or enrollment.user.state == "deleted"
    ):
        return False
    dice, state = random.random(), enrollment.workflow_state
    current = is_current(enrollment.section.course) and enrollment.section.state == "active"
    if state in ENDED_STATES:
        return _enroll_again(canvas, enrollment, dice)
    if dice < 0.1:
        enrollments.save_unchanged(canvas, enrollment)
    elif dice < 0.15:
        enrollments.limit(canvas, enrollment)
    elif state == "active":
        _by_dice(
            dice,
            (0.4, enrollments.conclude),
            (0.65, enrollments.deactivate),
            (1, enrollments.delete),
        )(canvas, enrollment)
    elif state == "invited":
        _by_dice(
            dice,
            (0.7, enrollments.accept),
            (0.9, enrollments.reject),
            (1, enrollments.delete),
        )(canvas, enrollment)
    elif state == "inactive":
        (enrollments.reactivate if dice < 0.8 else enrollments.delete)(canvas, enrollment)
    elif current:
        enrollments.invite(canvas, enrollment)
    else:
        return False
    return True


def _enroll_again(canvas: Canvas, enrollment: Enrollment, dice: float) -> bool:
    course, random = enrollment.section.course, canvas.random
    if not is_current(course):
        return False
    if (
        enrollment.workflow_state == "completed"
        and dice < 0.3
        and enrollment.section.state == "active"
    ):
        enrollments.unconclude(canvas, enrollment)
        return True
    if enrollment.workflow_state == "completed" and dice < 0.4:
        enrollments.delete(canvas, enrollment)
        return True
    section = pick(random, _active_sections(course))
    if section is None:
        return False
    enrollments.enroll_again(canvas, enrollment, section, random.choice(("active", "invited")))
    return True


def _enroll(canvas: Canvas) -> bool:
    random, world = canvas.random, canvas.world
    course, user, kind = (
        pick(random, world.courses),
        pick(random, world.users),
        random.choice(_KINDS),
    )
    if course is None or user is None or user.state == "deleted" or not is_current(course):
        return False
    if any(
        enrollment.kind == kind and enrollment.section.course is course
        for enrollment in user.enrollments
    ):
        return False
    section = pick(random, _active_sections(course))
    if section is None:
        return False
    observed = pick(random, section.enrollments) if kind == "ObserverEnrollment" else None
    enrollments.enroll(
        canvas,
        user,
        section,
        kind,
        random.choice(ENROLL_STATES),
        observed=observed.user if observed else None,
    )
    return True


def _change_membership(canvas: Canvas) -> bool:
    random = canvas.random
    membership = pick(random, canvas.world.memberships)
    if (
        membership is None
        or membership.state in ("deleted", "rejected")
        or membership.group.state == "deleted"
    ):
        return False
    dice, state = random.random(), membership.state
    if dice < 0.1:
        groups.set_membership(canvas, membership, state)
    elif state in ("invited", "requested") and dice < 0.85:
        groups.set_membership(canvas, membership, "accepted" if dice < 0.65 else "rejected")
    elif dice < 0.6 and (
        others := [
            group
            for group in membership.group.category.groups
            if group.state != "deleted" and group is not membership.group
        ]
    ):
        groups.move(canvas, membership, random.choice(others))
    else:
        groups.set_membership(canvas, membership, "deleted")
    return True


def _join(canvas: Canvas) -> bool:
    random, world = canvas.random, canvas.world
    group = pick(random, world.groups)
    if group is None or group.state == "deleted":
        return False
    context = group.category.context
    section = pick(random, context.sections) if isinstance(context, Course) else None
    enrollment = pick(random, section.enrollments) if section else None
    user = (
        pick(random, world.users)
        if not isinstance(context, Course)
        else enrollment.user
        if enrollment and enrollment.workflow_state != "deleted"
        else None
    )
    if (
        user is None
        or user.state == "deleted"
        or any(member.group is group and member.state != "deleted" for member in user.memberships)
    ):
        return False
    groups.join(canvas, group, user, random.choice(groups.MEMBER_STATES))
    return True


def _change_group(canvas: Canvas) -> bool:
    random = canvas.random
    group = pick(random, canvas.world.groups)
    context = group.category.context if group else None
    if group is None or context is None or context.state == "deleted":
        return False
    dice = random.random()
    if group.state == "deleted":
        groups.restore_group(canvas, group)
    elif dice < 0.25:
        groups.create_group(canvas, group.category)
    elif dice < 0.6:
        groups.update_group(canvas, group, name=f"{subject(random)} group" if dice < 0.4 else None)
    else:
        groups.delete_group(canvas, group)
    return True


def _change_category(canvas: Canvas) -> bool:
    random, world = canvas.random, canvas.world
    dice, category = random.random(), pick(random, world.categories)
    if dice < 0.4 or category is None:
        context = pick(random, world.courses) if dice < 0.35 else pick(random, world.accounts)
        if context is None or context.state == "deleted":
            return False
        groups.create_category(canvas, context, subject(random), random.randint(1, 4))
    elif dice < 0.8:
        groups.rename_category(canvas, category, subject(random))
    elif category.context.state == "deleted":
        return False
    else:
        groups.delete_category(canvas, category)
    return True


def _assign_at_random(canvas: Canvas) -> bool:
    category = pick(canvas.random, canvas.world.categories)
    if (
        category is None
        or not isinstance(category.context, Course)
        or category.context.state == "deleted"
    ):
        return False
    if all(group.state == "deleted" for group in category.groups):
        return False
    active = [
        row.user
        for section in category.context.sections
        for row in section.enrollments
        if row.workflow_state == "active"
    ]
    groups.assign_at_random(canvas, category, list(dict.fromkeys(active)))
    return True


def _change_people(canvas: Canvas) -> bool:
    random, world = canvas.random, canvas.world
    dice, user, account = random.random(), pick(random, world.users), pick(random, world.accounts)
    if account is None or account.state == "deleted":
        return False
    if dice < 0.4:
        people.create_user(canvas, account)
    elif user is None or user.state == "deleted":
        return False
    elif dice < 0.92 or user in canvas.actors:
        people.update_user(canvas, user, name=person(random) if dice < 0.6 else None)
    elif dice < 0.98:
        people.delete_user(canvas, user)
    elif (other := pick(random, world.users)) is None or other is user or other.state == "deleted":
        return False
    else:
        people.merge_users(canvas, user, other)
    return True


def _change_accounts(canvas: Canvas) -> bool:
    random, world = canvas.random, canvas.world
    dice, account = random.random(), pick(random, world.accounts)
    if account is None or account.state == "deleted":
        return False
    if dice < 0.2:
        people.create_account(canvas, account, subject(random))
    elif dice < 0.5:
        people.update_account(canvas, account, subject(random))
    elif (
        dice < 0.55
        and account is world.accounts[-1]
        and not account.categories
        and not any(course.account is account for course in world.courses)
    ):
        people.delete_account(canvas, account)
    else:
        people.notify(canvas, account)
    return True


def _change_course(canvas: Canvas) -> bool:
    random = canvas.random
    course = pick(random, canvas.world.courses)
    if course is None:
        return False
    dice, state = random.random(), course.state
    if state == "deleted":
        courses.undelete_course(canvas, course)
    elif dice < 0.5 and state != "completed":
        courses.update_course(canvas, course, name=subject(random) if dice < 0.25 else None)
    elif state in ("created", "claimed"):
        _by_dice(
            dice,
            (0.8, courses.publish),
            (0.9, courses.delete_course),
            (1, courses.conclude_course),
        )(canvas, course)
    elif state == "available":
        _by_dice(
            dice,
            (0.75, courses.conclude_course),
            (0.9, courses.delete_course),
            (1, courses.unpublish),
        )(canvas, course)
    else:
        _by_dice(
            dice,
            (0.7, courses.publish),
            (0.9, courses.update_course),
            (1, courses.delete_course),
        )(canvas, course)
    return True


def _open_course(canvas: Canvas) -> bool:
    account = pick(canvas.random, canvas.world.accounts)
    if account is None or account.state == "deleted":
        return False
    for _ in open_course(canvas, account):
        pass
    return True


def _change_section(canvas: Canvas) -> bool:
    random, world = canvas.random, canvas.world
    section = pick(random, world.sections)
    if section is None or section.course.state == "deleted":
        return False
    dice = random.random()
    if section.state == "deleted":
        courses.restore_section(canvas, section)
    elif dice < 0.25:
        courses.update_section(
            canvas,
            section,
            name=f"{section.course.name}, {random.randint(1, 99)}" if dice < 0.15 else None,
        )
    elif dice < 0.35:
        courses.create_section(canvas, section.course)
    elif dice < 0.45:
        courses.shift_section_dates(canvas, section, random.choice(PHASES))
    elif dice < 0.6:
        courses.delete_section(canvas, section)
    elif section.own_course is not None and dice < 0.8:
        courses.uncross_list(canvas, section)
    else:
        return _cross_list(canvas, section)
    return True


def _cross_list(canvas: Canvas, section: Section) -> bool:
    course = pick(canvas.random, canvas.world.courses)
    if course is None or course in (section.course, section.own_course) or not is_current(course):
        return False
    courses.cross_list(canvas, section, course)
    return True


def _shift_dates(canvas: Canvas) -> bool:
    course = pick(canvas.random, canvas.world.courses)
    phase = canvas.random.choice(PHASES)
    if course is None or course.phase == phase or course.state == "deleted":
        return False
    courses.shift_dates(canvas, course, phase, by_hand=canvas.random.random() < 0.5)
    return True


def _import(canvas: Canvas) -> bool:
    section = pick(canvas.random, canvas.world.sections)
    if section is None or section.state == "deleted" or section.course.state == "deleted":
        return False
    enrollments.delete_by_import(canvas, section, 0.1)
    return True


WEIGHTED: tuple[tuple[float, Change], ...] = (
    (50, _change_enrollment),
    (14, _enroll),
    (12, _change_membership),
    (6, _join),
    (3, _change_group),
    (1, _change_category),
    (0.1, _assign_at_random),
    (5, _change_people),
    (1.5, _change_accounts),
    (3, _change_course),
    (0.2, _open_course),
    (3, _change_section),
    (0.7, _shift_dates),
    (0.1, _import),
)
"""Changes with their weights."""

_CHANGES = tuple(change for _, change in WEIGHTED)
_WEIGHTS = tuple(accumulate(weight for weight, _ in WEIGHTED))
