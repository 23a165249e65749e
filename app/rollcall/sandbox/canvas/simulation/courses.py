"""What happens to courses and sections. Their enrollments change with them by bulk SQL: only the
event of the course or the section tells.
"""

from __future__ import annotations

from rollcall.sandbox.canvas.simulation.canvas import Canvas
from rollcall.sandbox.canvas.simulation.enrollments import (
    SIS_JOB,
    conclude_in_bulk,
    delete_in_bulk,
    process_dates,
)
from rollcall.sandbox.canvas.simulation.world import (
    AFTER,
    BEFORE,
    Account,
    Course,
    Section,
    phase_of,
)
from rollcall.sandbox.canvas.simulation.writing import token

DAY_MS = 86_400_000


def set_dates(row: Course | Section, phase: int, now_ms: int) -> None:
    """Give a course or section dates, so that now is before, within or after them."""
    row.phase = phase
    row.start_ms = now_ms + (30 if phase == BEFORE else -120 if phase == AFTER else -30) * DAY_MS
    row.end_ms = row.start_ms + 90 * DAY_MS


def create_course(canvas: Canvas, account: Account, name: str, phase: int, sections: int) -> Course:
    """Make a course with sections; by an import or by hand, sometimes saved again in the same
    transaction.
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
    world.courses.append(course)
    canvas.emit_course("course_created", course)
    if random.random() < 0.3:
        canvas.emit_course("course_updated", course)
    for _ in range(sections):
        add_section(canvas, course)
    return course


def add_section(canvas: Canvas, course: Course) -> Section:
    """Make a section within an act."""
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
    """Make one more section."""
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
    """Make a course available, which a concluded one can be again, too. Nothing is undone that its
    conclusion did to enrollments.
    """
    canvas.request(f"/courses/{course.id}?event=offer", course, method="PUT")
    course.state = "available"
    _save(canvas, course)


def unpublish(canvas: Canvas, course: Course) -> None:
    """Take a course back from its students."""
    canvas.request(f"/courses/{course.id}?event=claim", course, method="PUT")
    course.state = "claimed"
    _save(canvas, course)


def conclude_course(canvas: Canvas, course: Course) -> None:
    """Conclude a course: course_updated, nothing for its active and invited enrollments, which are
    completed (Course#update_enrolled_users).
    """
    canvas.request(f"/courses/{course.id}?event=conclude", course, method="PUT")
    course.state = "completed"
    for section in course.sections:
        conclude_in_bulk(canvas, section.enrollments, "course_completed")
    _save(canvas, course)


def delete_course(canvas: Canvas, course: Course) -> None:
    """Delete a course: course_updated, nothing for its enrollments, which are deleted, or its
    groups, which cannot be reached any more.
    """
    canvas.request(f"/courses/{course.id}?event=delete", course, method="DELETE")
    course.state = "deleted"
    for section in course.sections:
        delete_in_bulk(canvas, section.enrollments, "course_deleted")
    _save(canvas, course)


def undelete_course(canvas: Canvas, course: Course) -> None:
    """Bring a deleted course back, unpublished. Its groups come back with it; its enrollments stay
    deleted.
    """
    canvas.request(f"/courses/{course.id}?event=undelete", course.account, method="PUT")
    course.state = "claimed"
    _save(canvas, course)


def shift_dates(canvas: Canvas, course: Course, phase: int, *, by_hand: bool) -> None:
    """Days pass, or somebody changes the dates, which course_updated does not tell. Then a job
    works out the states of enrollments.
    """
    if by_hand:
        canvas.request(f"/courses/{course.id}", course, method="PUT")
    set_dates(course, phase, canvas.now_ms)
    if by_hand:
        _save(canvas, course)
    process_dates(canvas, course.sections)


def shift_section_dates(canvas: Canvas, section: Section, phase: int) -> None:
    """Give a section dates of its own, or other ones."""
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
    """A SIS import deletes a section: course_section_updated, nothing for its enrollments, which
    are deleted (CourseSection.destroy_batch).
    """
    canvas.job(SIS_JOB)
    section.state = "deleted"
    delete_in_bulk(canvas, section.enrollments, "section_deleted")
    canvas.emit_section("course_section_updated", section)


def restore_section(canvas: Canvas, section: Section) -> None:
    """A SIS import names the section again. Its enrollments stay deleted until they are named
    too.
    """
    canvas.job(SIS_JOB)
    section.state = "active"
    canvas.emit_section("course_section_updated", section)


def cross_list(canvas: Canvas, section: Section, course: Course) -> None:
    """Move a section to another course: course_section_updated, nothing for its enrollments, which
    go with it (CourseSection#crosslist_to_course).
    """
    canvas.request(f"/sections/{section.id}/crosslist/{course.id}", section.course)
    if section.own_course is None:
        section.own_course = section.course
    _move(canvas, section, course)


def uncross_list(canvas: Canvas, section: Section) -> None:
    """Move a section back to its own course, which comes back if it was deleted
    (CourseSection#uncrosslist).
    """
    assert section.own_course is not None
    canvas.request(f"/sections/{section.id}/crosslist", section.course, method="DELETE")
    home, section.own_course = section.own_course, None
    if home.state == "deleted":
        home.state = "claimed"
        _save(canvas, home)
    _move(canvas, section, home)


def _move(canvas: Canvas, section: Section, course: Course) -> None:
    phase = phase_of(section)
    section.course.sections.remove(section)
    section.default = not course.sections
    course.sections.append(section)
    section.course = course
    canvas.emit_section("course_section_updated", section)
    if phase_of(section) != phase:
        canvas.jobs.append(lambda later: process_dates(later, (section,)))
