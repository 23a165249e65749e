"""Changes of enrollments: by the Enrollments API, by imports, and by background jobs for dates.

A change of an enrollment recalculates its enrollment state. Both have an event, in either order.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollcall.sandbox.canvas.simulation.canvas import SIS_JOB, Canvas
from rollcall.sandbox.canvas.simulation.groups import end_membership
from rollcall.sandbox.canvas.simulation.world import (
    LIVE_STATES,
    Course,
    Enrollment,
    Section,
    User,
    local_id,
    recalculate_state,
)

DATES_JOB = "EnrollmentState.process_account_states_in_ranges"


def path_of(enrollment: Enrollment, suffix: str = "") -> str:
    """The path of a request about an enrollment."""
    return f"/courses/{enrollment.section.course.id}/enrollments/{local_id(enrollment.gid)}{suffix}"


def enroll(
    canvas: Canvas,
    user: User,
    section: Section,
    kind: str,
    state: str,
    *,
    observed: User | None = None,
) -> Enrollment:
    """Enroll a user who has no such enrollment yet: enrollment_created, enrollment_state_created
    and, usually, an update in the same transaction.
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
    """Like :func:`enroll`, in the current operation."""
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
    recalculate_state(enrollment)
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


def set_state(canvas: Canvas, enrollment: Enrollment, state: str) -> None:
    """Set an enrollment's workflow state in the current operation, and save it."""
    enrollment.workflow_state = state
    save(canvas, enrollment)
    if state == "deleted" and enrollment.kind == "StudentEnrollment":
        _leave_groups(canvas, enrollment)


def save(canvas: Canvas, enrollment: Enrollment) -> None:
    """Save an enrollment in the current operation: enrollment_updated, and enrollment_state_updated
    if its enrollment state changed.
    """
    enrollment.updated_ms = canvas.now_ms
    changed = recalculate_state(enrollment)
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
    set_state(canvas, enrollment, "completed")


def deactivate(canvas: Canvas, enrollment: Enrollment) -> None:
    """``task=deactivate``, or ``inactivate``."""
    canvas.request(
        path_of(enrollment, "?task=deactivate"), enrollment.section.course, method="DELETE"
    )
    set_state(canvas, enrollment, "inactive")


def delete(canvas: Canvas, enrollment: Enrollment) -> None:
    """``task=delete``. For a student, this also ends the memberships in the course's groups."""
    canvas.request(path_of(enrollment, "?task=delete"), enrollment.section.course, method="DELETE")
    set_state(canvas, enrollment, "deleted")


def accept(canvas: Canvas, enrollment: Enrollment) -> None:
    """``POST …/enrollments/:id/accept``, by the invited user."""
    canvas.request(path_of(enrollment, "/accept"), enrollment.section.course, by=enrollment.user)
    set_state(canvas, enrollment, "active")


def reject(canvas: Canvas, enrollment: Enrollment) -> None:
    """``POST …/enrollments/:id/reject``, by the invited user."""
    canvas.request(path_of(enrollment, "/reject"), enrollment.section.course, by=enrollment.user)
    set_state(canvas, enrollment, "rejected")


def reactivate(canvas: Canvas, enrollment: Enrollment) -> None:
    """``PUT …/enrollments/:id/reactivate``, of an inactive enrollment. Canvas allows it in a
    concluded course, too.
    """
    canvas.request(path_of(enrollment, "/reactivate"), enrollment.section.course, method="PUT")
    set_state(canvas, enrollment, "active")


def unconclude(canvas: Canvas, enrollment: Enrollment) -> None:
    """Undo the conclusion of an enrollment."""
    canvas.request(
        f"/courses/{enrollment.section.course.id}/unconclude_user/{local_id(enrollment.gid)}",
        enrollment.section.course,
    )
    set_state(canvas, enrollment, "active")


def invite(canvas: Canvas, enrollment: Enrollment) -> None:
    """Invite the user of a pending enrollment: the course was published, or the user registered."""
    canvas.request(
        f"/courses/{enrollment.section.course.id}/re_send_invitations", enrollment.section.course
    )
    set_state(canvas, enrollment, "invited")


def enroll_again(canvas: Canvas, enrollment: Enrollment, section: Section, state: str) -> None:
    """Enroll a user whose enrollment was deleted, rejected or completed. The row and its id stay;
    the section may be another one of the course.
    """
    canvas.request(f"/sections/{section.id}/enrollments", section.course)
    if section is not enrollment.section:
        enrollment.section.enrollments.remove(enrollment)
        section.enrollments.append(enrollment)
        enrollment.section = section
    set_state(canvas, enrollment, state)


def save_unchanged(canvas: Canvas, enrollment: Enrollment) -> None:
    """Save an enrollment without a visible change, for example of the date of last attendance,
    which no event contains.
    """
    course = enrollment.section.course
    canvas.request(
        f"/courses/{course.id}/users/{local_id(enrollment.user.gid)}/last_attended",
        course,
        method="PUT",
    )
    save(canvas, enrollment)


def limit(canvas: Canvas, enrollment: Enrollment) -> None:
    """Limit a user's view to the own section, or undo this."""
    canvas.request(
        f"/courses/{enrollment.section.course.id}/users/{local_id(enrollment.user.gid)}",
        enrollment.section.course,
    )
    enrollment.limited = not enrollment.limited
    save(canvas, enrollment)


def process_dates(canvas: Canvas, sections: Iterable[Section]) -> None:
    """The background job that recalculates states by dates: enrollment_state_updated for each
    changed state, and no other event.
    """
    canvas.job(DATES_JOB)
    for section in sections:
        for enrollment in section.enrollments:
            if enrollment.workflow_state in LIVE_STATES and recalculate_state(enrollment):
                canvas.emit_state("enrollment_state_updated", enrollment)


def delete_in_bulk(canvas: Canvas, enrollments: Iterable[Enrollment], reason: str) -> None:
    """Delete enrollments and their states by bulk SQL, without an event."""
    for enrollment in enrollments:
        if enrollment.workflow_state != "deleted":
            enrollment.silent_change = (
                "rejected" if enrollment.workflow_state == "rejected" else reason
            )
            enrollment.workflow_state = enrollment.state = "deleted"


def conclude_in_bulk(canvas: Canvas, enrollments: Iterable[Enrollment], reason: str) -> None:
    """Complete active and invited enrollments and their states by bulk SQL, without an event."""
    for enrollment in enrollments:
        if enrollment.workflow_state in LIVE_STATES:
            enrollment.workflow_state = enrollment.state = "completed"
            enrollment.silent_change = reason


def delete_by_import(canvas: Canvas, section: Section, share: float) -> None:
    """Delete a share of a section's enrollments by a SIS import, without any event. Unlike other
    bulk changes, it sets their updated_at.
    """
    canvas.job(SIS_JOB)
    deleted = [enrollment for enrollment in section.enrollments if canvas.random.random() < share]
    for enrollment in deleted:
        if enrollment.workflow_state != "deleted":
            enrollment.updated_ms = canvas.now_ms
    delete_in_bulk(canvas, deleted, "import")


def _leave_groups(canvas: Canvas, enrollment: Enrollment) -> None:
    course: Course = enrollment.section.course
    for membership in enrollment.user.memberships:
        if membership.group.category.context is course and membership.state != "deleted":
            end_membership(canvas, membership)
