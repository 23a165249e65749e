"""Changes of courses and sections. They change enrollments by bulk SQL: the only event is that of
the course or section.
"""

from __future__ import annotations

from rollcall.sandbox.canvas.simulation.canvas import SIS_JOB, Canvas
from rollcall.sandbox.canvas.simulation.enrollments import (
    conclude_in_bulk,
    delete_in_bulk,
    process_dates,
)
from rollcall.sandbox.canvas.simulation.world import (
    AFTER,
    BEFORE,
    DAY_MS,
    Account,
    Course,
    Section,
    phase_of,
)
from rollcall.sandbox.canvas.simulation.writing import token


def set_dates(row: Course | Section, phase: int, now_ms: int) -> None:
    """Set the dates of a course or section, so that the current time is in a phase of them."""
    row.phase = phase
    row.start_ms = now_ms + (30 if phase == BEFORE else -120 if phase == AFTER else -30) * DAY_MS
    row.end_ms = row.start_ms + 90 * DAY_MS


def create_course(canvas: Canvas, account: Account, name: str, phase: int, sections: int) -> Course:
    """Create a course with sections, by an import or a web request. It is sometimes saved again in
    the same transaction.
    """
    world, random = canvas.world, canvas.random
    if random.random() < 0.5:
        canvas.job(SIS_JOB)
    else:
        canvas.request(f"/accounts/{account.id}/courses", account)
    now, number = canvas.now_ms, world.next_id("course")
    sis_id = f"2024.{number}" if random.random() < 0.6 else None
    course = Course(
        number, world.global_id(number), token(random), account, name, sis_id, now, now, 0, 0
    )
    course.state = random.choice(
        ("created", "claimed", "claimed", "available", "available", "available", "available")
    )
    set_dates(course, phase, now)
    past, current, future = world.terms[1:4]
    course.term = past if phase == AFTER else future if phase == BEFORE else current
    world.courses.append(course)
    canvas.emit_course("course_created", course)
    if random.random() < 0.3:
        canvas.emit_course("course_updated", course)
    for _ in range(sections):
        add_section(canvas, course)
    return course


def add_section(canvas: Canvas, course: Course) -> Section:
    """Create a section in the current operation."""
    world, random, number = canvas.world, canvas.random, canvas.world.next_id("section")
    name = (
        course.name
        if not course.sections
        else f"{course.name}, {random.choice(('Monday', 'Tuesday', 'Friday'))}"
    )
    section = Section(
        number,
        world.global_id(number),
        course,
        name,
        f"{course.sis_id}-{number}" if course.sis_id else None,
        default=not course.sections,
    )
    if random.random() < 0.15:
        section.restricted = True
        set_dates(section, course.phase, canvas.now_ms)
    if section.sis_id and random.random() < 0.1:
        section.stuck = ("name",)
    world.sections.append(section)
    course.sections.append(section)
    canvas.emit_section("course_section_created", section)
    if random.random() < 0.2:
        canvas.emit_section("course_section_updated", section)
    return section


def create_section(canvas: Canvas, course: Course) -> Section:
    """Create another section of a course."""
    canvas.request(f"/courses/{course.id}/sections", course)
    return add_section(canvas, course)


def _save(canvas: Canvas, course: Course) -> None:
    course.updated_ms = canvas.now_ms
    canvas.emit_course("course_updated", course)


def update_course(canvas: Canvas, course: Course, *, name: str | None = None) -> None:
    """Rename a course, or save it unchanged."""
    canvas.request(f"/courses/{course.id}", course, method="PUT")
    course.name = name or course.name
    _save(canvas, course)


def publish(canvas: Canvas, course: Course) -> None:
    """Make a course available, even a concluded one. Enrollments that its conclusion completed stay
    completed.
    """
    canvas.request(f"/courses/{course.id}?event=offer", course, method="PUT")
    course.state = "available"
    _save(canvas, course)


def unpublish(canvas: Canvas, course: Course) -> None:
    """Make a course unavailable to its students."""
    canvas.request(f"/courses/{course.id}?event=claim", course, method="PUT")
    course.state = "claimed"
    _save(canvas, course)


def conclude_course(canvas: Canvas, course: Course) -> None:
    """Conclude a course: course_updated. Its active and invited enrollments are completed without
    an event (Course#update_enrolled_users).
    """
    canvas.request(f"/courses/{course.id}?event=conclude", course, method="PUT")
    course.state = "completed"
    for section in course.sections:
        conclude_in_bulk(canvas, section.enrollments, "course_completed")
    _save(canvas, course)


def delete_course(canvas: Canvas, course: Course) -> None:
    """Delete a course: course_updated. Its enrollments are deleted without an event; its groups
    stay, but nothing leads to them.
    """
    canvas.request(f"/courses/{course.id}?event=delete", course, method="DELETE")
    course.state = "deleted"
    for section in course.sections:
        delete_in_bulk(canvas, section.enrollments, "course_deleted")
    _save(canvas, course)


def undelete_course(canvas: Canvas, course: Course) -> None:
    """Restore a deleted course, unpublished. Its groups are reachable again; its enrollments stay
    deleted.
    """
    canvas.request(f"/courses/{course.id}?event=undelete", course.account, method="PUT")
    course.state = "claimed"
    _save(canvas, course)


def shift_dates(canvas: Canvas, course: Course, phase: int, *, by_hand: bool) -> None:
    """Change the phase of a course, because days pass or (``by_hand``) because somebody changes its
    dates, which course_updated does not contain. A job then recalculates the enrollment states.
    """
    if by_hand:
        canvas.request(f"/courses/{course.id}", course, method="PUT")
    set_dates(course, phase, canvas.now_ms)
    if by_hand:
        _save(canvas, course)
    process_dates(canvas, course.sections)


def shift_section_dates(canvas: Canvas, section: Section, phase: int) -> None:
    """Set a section's own dates."""
    canvas.request(f"/sections/{section.id}", section.course, method="PUT")
    section.restricted = True
    set_dates(section, phase, canvas.now_ms)
    canvas.emit_section("course_section_updated", section)
    canvas.jobs.append(lambda later: process_dates(later, (section,)))


def update_section(canvas: Canvas, section: Section, *, name: str | None = None) -> None:
    """Rename a section, or save it unchanged."""
    canvas.request(f"/sections/{section.id}", section.course, method="PUT")
    section.name = name or section.name
    canvas.emit_section("course_section_updated", section)


def delete_section(canvas: Canvas, section: Section) -> None:
    """Delete a section by a SIS import: course_section_updated. Its enrollments are deleted without
    an event (CourseSection.destroy_batch).
    """
    canvas.job(SIS_JOB)
    section.state = "deleted"
    delete_in_bulk(canvas, section.enrollments, "section_deleted")
    canvas.emit_section("course_section_updated", section)


def restore_section(canvas: Canvas, section: Section) -> None:
    """Restore a section by a SIS import. Its enrollments stay deleted until an import restores
    them, too.
    """
    canvas.job(SIS_JOB)
    section.state = "active"
    canvas.emit_section("course_section_updated", section)


def cross_list(canvas: Canvas, section: Section, course: Course) -> None:
    """Move a section to another course: course_section_updated. Its enrollments move with it
    without an event (CourseSection#crosslist_to_course).
    """
    canvas.request(f"/sections/{section.id}/crosslist/{course.id}", section.course)
    if section.own_course is None:
        section.own_course = section.course
    _move(canvas, section, course)


def uncross_list(canvas: Canvas, section: Section) -> None:
    """Move a section back to its own course. If that was deleted, it is restored
    (CourseSection#uncrosslist).
    """
    assert section.own_course is not None
    canvas.request(f"/sections/{section.id}/crosslist", section.course, method="DELETE")
    own_course, section.own_course = section.own_course, None
    if own_course.state == "deleted":
        own_course.state = "claimed"
        _save(canvas, own_course)
    _move(canvas, section, own_course)


def _move(canvas: Canvas, section: Section, course: Course) -> None:
    phase = phase_of(section)
    section.course.sections.remove(section)
    section.default = not course.sections
    course.sections.append(section)
    section.course = course
    canvas.emit_section("course_section_updated", section)
    if phase_of(section) != phase:
        canvas.jobs.append(lambda later: process_dates(later, (section,)))
