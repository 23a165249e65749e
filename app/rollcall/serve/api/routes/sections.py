"""``/sections``: a section, with its enrollments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response

from rollcall.serve.api import objects, queries
from rollcall.serve.api.call import Call, ObjectList
from rollcall.serve.api.conditions import Where
from rollcall.serve.api.errors import not_found
from rollcall.serve.api.parameters import ContextEnrollmentsQuery, SectionQuery
from rollcall.serve.api.response_builder import ResponseBuilder
from rollcall.serve.api.routes.router import AnyId, new_router

router = new_router()


@router.get("/sections/{section_id}", response_model=objects.Section, tags=["sections"])
async def section(
    call: Call, section_id: AnyId, query: Annotated[SectionQuery, Query()]
) -> Response:
    """A section. A deleted one is not found."""
    return await call.respond(_section, section_id, query)


def _section(builder: ResponseBuilder, section_id: str, query: SectionQuery) -> dict[str, Any]:
    where = Where("course_section_id = ?", (builder.known_id("section", section_id),))
    row = queries.one_of(builder.db, "sections", where)
    if row is None or row["state"] == "deleted":
        raise not_found()
    return builder.sections([row], query.include)[0]


@router.get(
    "/sections/{section_id}/enrollments",
    response_model=list[objects.Enrollment],
    tags=["enrollments"],
)
async def section_enrollments(
    call: Call, section_id: AnyId, query: Annotated[ContextEnrollmentsQuery, Query()]
) -> Response:
    """The enrollments of a section, by id."""
    return await call.respond_with_list(query.which(), _section_enrollments, section_id, query)


def _section_enrollments(
    builder: ResponseBuilder, section_id: str, query: ContextEnrollmentsQuery
) -> ObjectList:
    condition = queries.enrollments_where(
        query.types(), query.states(of_user=query.user_id is not None)
    )
    of_section = Where("course_section_id = ?", (builder.known_id("section", section_id),))
    where = of_section & builder.narrowed(condition, query, query.user_id)
    total, rows = queries.other_enrollments(builder.db, where, query.which())
    return total, builder.enrollments(rows, query.include)
