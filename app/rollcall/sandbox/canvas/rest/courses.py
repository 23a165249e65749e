"""``/courses`` and ``/sections``."""

from __future__ import annotations

from rollcall.sandbox.canvas.rest import paging
from rollcall.sandbox.canvas.rest.call import Call
from rollcall.sandbox.canvas.rest.enrollments import DEFAULT_STATES
from rollcall.sandbox.canvas.rest.errors import not_found
from rollcall.sandbox.canvas.rest.objects import Object, course_object, section_object
from rollcall.sandbox.canvas.rest.paging import Page


def course(call: Call) -> Object:
    """``GET /courses/:id``."""
    course = call.course()
    if course.state == "deleted":
        raise not_found()
    return course_object(course, call.world)


def sections(call: Call) -> Page:
    """``GET /courses/:id/sections``: active ones."""
    return call.page(
        [
            section_object(section)
            for section in sorted(call.course().sections, key=lambda section: section.id)
            if section.state == "active" and call.access.sees_section(section.gid)
        ]
    )


def section(call: Call) -> Object:
    """``GET /sections/:id``: an active one."""
    section = call.row("section", call.world.sections)
    call.need(call.access.account or call.access.is_own(section))
    if section.state != "active":
        raise not_found()
    return section_object(section)


def enrollments(call: Call) -> Page:
    """``GET /courses/:id/enrollments``, from the replica."""
    states, kinds = call.values("state") or DEFAULT_STATES, call.values("type")
    found = [
        record
        for record in call.replica.enrollments(call.course())
        if record.workflow_state in states
        and (not kinds or record.kind in kinds)
        and call.access.sees_section(record.section)
    ]
    page = paging.by_bookmark(
        found,
        call.query,
        key=lambda record: record.sort_key,
        expired=call.faults.expired_bookmarks,
        most=call.faults.max_per_page,
    )
    return Page([record.object for record in page.rows], page.pages, page.per_page)
