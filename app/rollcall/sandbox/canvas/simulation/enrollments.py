"""What happens to enrollments: the verbs of the Enrollments API, and what background jobs make of
dates.

Every change of an enrollment works out its enrollment state anew; both tell of it, in either order.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollcall.sandbox.canvas.simulation.canvas import Canvas
from rollcall.sandbox.canvas.simulation.groups import end_membership
from rollcall.sandbox.canvas.simulation.world import LIVE, Course, Enrollment, Section, User, settle

DATES_JOB = "EnrollmentState.process_account_states_in_ranges"
SIS_JOB = "SIS::CSV::ImportRefactored#run_parallel_importer"


def path_of(enrollment: Enrollment, verb: str = "") -> str:
    """The path of a request about an enrollment."""
    return (
        f"/courses/{enrollment.section.course.id}/enrollments/{int(enrollment.gid) % 10**13}{verb}"
    )


def enroll(
    canvas: Canvas,
    user: User,
    section: Section,
    kind: str,
    state: str,
    *,
    observed: User | None = None,
) -> Enrollment:
    """Enroll somebody who has no such enrollment yet: enrollment_created, enrollment_state_created
    and, usually, an update of the same transaction.
    """
    canvas.request(f"/sections/{section.id}/enrollments", section.course)
    return add(canvas, user, section, kind, state, observed=observed)


def add(
    canvas: Canvas,
    user: User,
    section: Section,
    kind: str,
    state: str,
    *,
    observed: User | None = None,
) -> Enrollment:
    """The same within an act that has begun."""
    world, random, now = canvas.world, canvas.random, canvas.now_ms
    enrollment = Enrollment(
        world.global_id(world.next_id("enrollment")),
        user,
        section,
        kind,
        state,
        random.random() < 0.2,
        observed,
        now,
        now,
    )
    settle(enrollment)
    world.enrollments.append(enrollment)
    section.enrollments.append(enrollment)
    user.enrollments.append(enrollment)
    state_first = random.random() < 0.15
    if state_first:
        canvas.emit_state("enrollment_state_created", enrollment)
    canvas.emit_enrollment("enrollment_created", enrollment)
    if not state_first:
        canvas.emit_state("enrollment_state_created", enrollment)
    if random.random() < 0.6:
        canvas.emit_state("enrollment_state_updated", enrollment)
    if random.random() < 0.2:
        canvas.emit_enrollment("enrollment_updated", enrollment)
    return enrollment


def change(canvas: Canvas, enrollment: Enrollment, state: str) -> None:
    """Set an enrollment's workflow state within an act, and tell of it."""
    enrollment.workflow_state = state
    tell_change(canvas, enrollment)
    if state == "deleted" and enrollment.kind == "StudentEnrollment":
        _leave_groups(canvas, enrollment)


def tell_change(canvas: Canvas, enrollment: Enrollment) -> None:
    """Tell of a row that was saved."""
    enrollment.updated_ms = canvas.now_ms
    changed = settle(enrollment)
    state_first = changed and canvas.random.random() < 0.15
    if state_first:
        canvas.emit_state("enrollment_state_updated", enrollment)
    canvas.emit_enrollment("enrollment_updated", enrollment)
    if changed and not state_first:
        canvas.emit_state("enrollment_state_updated", enrollment)


def conclude(canvas: Canvas, enrollment: Enrollment) -> None:
    """``DELETE …/enrollments/:id?task=conclude``."""
    canvas.request(
        path_of(enrollment, "?task=conclude"), enrollment.section.course, method="DELETE"
    )
    change(canvas, enrollment, "completed")


def deactivate(canvas: Canvas, enrollment: Enrollment) -> None:
    """``task=deactivate``, or ``inactivate``."""
    canvas.request(
        path_of(enrollment, "?task=deactivate"), enrollment.section.course, method="DELETE"
    )
    change(canvas, enrollment, "inactive")


def delete(canvas: Canvas, enrollment: Enrollment) -> None:
    """``task=delete``. Of a student, the memberships in the course's groups end too."""
    canvas.request(path_of(enrollment, "?task=delete"), enrollment.section.course, method="DELETE")
    change(canvas, enrollment, "deleted")


def accept(canvas: Canvas, enrollment: Enrollment) -> None:
    """``POST …/enrollments/:id/accept``, by the person invited."""
    canvas.request(path_of(enrollment, "/accept"), enrollment.section.course, by=enrollment.user)
    change(canvas, enrollment, "active")


def reject(canvas: Canvas, enrollment: Enrollment) -> None:
    """``POST …/enrollments/:id/reject``, by the person invited."""
    canvas.request(path_of(enrollment, "/reject"), enrollment.section.course, by=enrollment.user)
    change(canvas, enrollment, "rejected")


def reactivate(canvas: Canvas, enrollment: Enrollment) -> None:
    """``PUT …/enrollments/:id/reactivate``, of an inactive enrollment. Canvas does not ask whether
    the course is concluded.
    """
    canvas.request(path_of(enrollment, "/reactivate"), enrollment.section.course, method="PUT")
    change(canvas, enrollment, "active")


def unconclude(canvas: Canvas, enrollment: Enrollment) -> None:
    """Take back a conclusion."""
    canvas.request(
        f"/courses/{enrollment.section.course.id}/unconclude_user/{int(enrollment.gid) % 10**13}",
        enrollment.section.course,
    )
    change(canvas, enrollment, "active")


def invite(canvas: Canvas, enrollment: Enrollment) -> None:
    """The course was published, or the person has registered: what was pending is an invitation."""
    canvas.request(
        f"/courses/{enrollment.section.course.id}/re_send_invitations", enrollment.section.course
    )
    change(canvas, enrollment, "invited")


def enroll_again(canvas: Canvas, enrollment: Enrollment, section: Section, state: str) -> None:
    """Enroll somebody whose enrollment was deleted, rejected or completed: the same row and id,
    perhaps in another section of the course.
    """
    canvas.request(f"/sections/{section.id}/enrollments", section.course)
    if section is not enrollment.section:
        enrollment.section.enrollments.remove(enrollment)
        section.enrollments.append(enrollment)
        enrollment.section = section
    change(canvas, enrollment, state)


def save_unchanged(canvas: Canvas, enrollment: Enrollment) -> None:
    """An update that changes nothing, such as the date of last attendance, which no event tells."""
    course = enrollment.section.course
    canvas.request(
        f"/courses/{course.id}/users/{int(enrollment.user.gid) % 10**13}/last_attended",
        course,
        method="PUT",
    )
    tell_change(canvas, enrollment)


def limit(canvas: Canvas, enrollment: Enrollment) -> None:
    """Let somebody see people of the same section only, or everybody again."""
    canvas.request(
        f"/courses/{enrollment.section.course.id}/users/{int(enrollment.user.gid) % 10**13}",
        enrollment.section.course,
    )
    enrollment.limited = not enrollment.limited
    tell_change(canvas, enrollment)


def process_dates(canvas: Canvas, sections: Iterable[Section]) -> None:
    """The background job that works out states by dates: enrollment_state_updated for each state
    that changed, and no other event.
    """
    canvas.job(DATES_JOB)
    for section in sections:
        for enrollment in section.enrollments:
            if enrollment.workflow_state in LIVE and settle(enrollment):
                canvas.emit_state("enrollment_state_updated", enrollment)


def delete_in_bulk(canvas: Canvas, enrollments: Iterable[Enrollment], silent: str) -> None:
    """Bulk SQL, which emits nothing: rows and their states are deleted."""
    for enrollment in enrollments:
        if enrollment.workflow_state != "deleted":
            enrollment.silent = "rejected" if enrollment.workflow_state == "rejected" else silent
            enrollment.workflow_state = enrollment.state = "deleted"


def conclude_in_bulk(canvas: Canvas, enrollments: Iterable[Enrollment], silent: str) -> None:
    """Bulk SQL, which emits nothing: active and invited rows and their states are completed."""
    for enrollment in enrollments:
        if enrollment.workflow_state in LIVE:
            enrollment.workflow_state = enrollment.state = "completed"
            enrollment.silent = silent


def delete_by_import(canvas: Canvas, section: Section, share: float) -> None:
    """A SIS import that deletes enrollments in bulk: no event at all."""
    canvas.job(SIS_JOB)
    delete_in_bulk(
        canvas,
        [enrollment for enrollment in section.enrollments if canvas.random.random() < share],
        "import",
    )


def _leave_groups(canvas: Canvas, enrollment: Enrollment) -> None:
    course: Course = enrollment.section.course
    for membership in enrollment.user.memberships:
        if membership.group.category.context is course and membership.state != "deleted":
            end_membership(canvas, membership)
