"""``/courses``: a course, with its enrollments, sections, users and groups."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response

from rollcall.serve.api import objects, queries
from rollcall.serve.api.call import Call, ObjectList
from rollcall.serve.api.conditions import Where, among
from rollcall.serve.api.parameters import (
    ContextEnrollmentsQuery,
    CourseQuery,
    GroupsQuery,
    SectionsQuery,
    UsersQuery,
)
from rollcall.serve.api.response_builder import ResponseBuilder
from rollcall.serve.api.routes.router import CourseId, new_router

router = new_router()


@router.get("/courses/{course_id}", response_model=objects.Course, tags=["courses"])
async def course(
    call: Call, course_id: CourseId, query: Annotated[CourseQuery, Query()]
) -> Response:
    """A course. A deleted one is not found, unless `include[]=all_courses`."""
    return await call.respond(_course, course_id, query)


def _course(builder: ResponseBuilder, course_id: str, query: CourseQuery) -> dict[str, Any]:
    row = builder.course_row(course_id, query.include)
    found = objects.course_object(row, builder.ids)
    builder.add_histories([row], [found], query.include)
    if "total_students" in query.include:
        totals = queries.count_students(builder.db, "course_id", [row["course_id"]])
        found["total_students"] = totals.get(row["course_id"], 0)
    if "sections" in query.include:
        where = Where("course_id = ?", (row["course_id"],)) & queries.NOT_DELETED
        sections = queries.rows_of(builder.db, "sections", where, "ORDER BY course_section_id")
        found["sections"] = builder.sections(sections, ())
    return found


@router.get(
    "/courses/{course_id}/enrollments",
    response_model=list[objects.Enrollment],
    tags=["enrollments"],
)
async def course_enrollments(
    call: Call, course_id: CourseId, query: Annotated[ContextEnrollmentsQuery, Query()]
) -> Response:
    """The enrollments of a course, by id."""
    return await call.respond_with_list(query.which(), _course_enrollments, course_id, query)


def _course_enrollments(
    builder: ResponseBuilder, course_id: str, query: ContextEnrollmentsQuery
) -> ObjectList:
    row = builder.course_row(course_id, query.include)
    condition = queries.enrollments_where(
        query.types(), query.states(of_user=query.user_id is not None)
    )
    where = builder.narrowed(condition, query, query.user_id)
    if where is condition:
        total, rows = queries.course_enrollments(
            builder.db, builder.listings, row["course_id"], where, query.which()
        )
    else:
        total, rows = queries.other_enrollments(
            builder.db, Where("course_id = ?", (row["course_id"],)) & where, query.which()
        )
    return total, builder.enrollments(rows, query.include)


@router.get(
    "/courses/{course_id}/sections", response_model=list[objects.Section], tags=["sections"]
)
async def course_sections(
    call: Call, course_id: CourseId, query: Annotated[SectionsQuery, Query()]
) -> Response:
    """The sections of a course that are not deleted, by id."""
    return await call.respond_with_list(query.which(), _course_sections, course_id, query)


def _course_sections(builder: ResponseBuilder, course_id: str, query: SectionsQuery) -> ObjectList:
    identity = builder.course_row(course_id, query.include)["course_id"]
    where = Where("course_id = ?", (identity,)) & queries.NOT_DELETED
    if query.search_term is not None:
        where &= queries.sections_named(query.search_term)
    total, rows = queries.page_of(builder.db, "sections", where, "course_section_id", query.which())
    return total, builder.sections(rows, query.include)


# Canvas has both paths, and canvasapi uses the older one.
@router.get(
    "/courses/{course_id}/search_users",
    response_model=list[objects.User],
    tags=["users"],
    include_in_schema=False,
)
@router.get("/courses/{course_id}/users", response_model=list[objects.User], tags=["users"])
async def course_users(
    call: Call, course_id: CourseId, query: Annotated[UsersQuery, Query()]
) -> Response:
    """The users who are enrolled in a course, by id."""
    return await call.respond_with_list(query.which(), _course_users, course_id, query)


def _course_users(builder: ResponseBuilder, course_id: str, query: UsersQuery) -> ObjectList:
    identity = builder.course_row(course_id, query.include)["course_id"]
    condition = queries.enrollments_where(query.types(), (query.states(), ()))
    where = condition
    if query.user_id is not None:
        where &= Where("user_id = ?", (builder.user_parameter("user_id", query.user_id),))
    if query.user_ids:
        users = [builder.user_parameter("user_ids[]", text) for text in query.user_ids]
        where &= among("user_id", users)
    if query.search_term is not None:
        where &= queries.matching(query.search_term, builder.id_of(query.search_term))
    total, users = queries.course_users(
        builder.db, builder.listings, identity, where, query.which(), keep=where is condition
    )
    found = builder.users(users, query.include)
    if "enrollments" in query.include and users:
        where = Where("course_id = ?", (identity,)) & among("user_id", users) & condition
        for user, enrollments in _enrollments_by_user(builder, users, where).items():
            found[user]["enrollments"] = enrollments
    return total, list(found.values())


def _enrollments_by_user(
    builder: ResponseBuilder, users: list[int], where: Where
) -> dict[int, list[dict[str, Any]]]:
    rows = queries.rows_of(builder.db, "enrollments", where, "ORDER BY enrollment_id")
    found: dict[int, list[dict[str, Any]]] = {user: [] for user in users}
    for row, enrollment in zip(rows, builder.enrollments(rows, with_users=False), strict=True):
        found[row["user_id"]].append(enrollment)
    return found


@router.get("/courses/{course_id}/groups", response_model=list[objects.Group], tags=["groups"])
async def course_groups(
    call: Call, course_id: CourseId, query: Annotated[GroupsQuery, Query()]
) -> Response:
    """The groups of a course that are not deleted, by id."""
    return await call.respond_with_list(query.which(), _course_groups, course_id, query)


def _course_groups(builder: ResponseBuilder, course_id: str, query: GroupsQuery) -> ObjectList:
    identity = builder.course_row(course_id, query.include)["course_id"]
    of_course = Where("context_type = 'Course' AND context_id = ?", (identity,))
    total, rows = queries.page_of(
        builder.db, "groups", of_course & queries.NOT_DELETED, "group_id", query.which()
    )
    return total, builder.groups(rows, query.include)
