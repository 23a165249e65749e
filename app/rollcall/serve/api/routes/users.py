"""``/users``: a user, with his enrollments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response

from rollcall.serve.api import objects, queries
from rollcall.serve.api.call import Call, ObjectList
from rollcall.serve.api.conditions import Where
from rollcall.serve.api.parameters import UserEnrollmentsQuery
from rollcall.serve.api.response_builder import ResponseBuilder
from rollcall.serve.api.routes.router import AnyId, new_router

router = new_router()


@router.get("/users/{user_id}", response_model=objects.User, tags=["users"])
async def user(call: Call, user_id: AnyId) -> Response:
    """A user."""
    return await call.respond(_user, user_id)


def _user(builder: ResponseBuilder, user_id: str) -> dict[str, Any]:
    identity = builder.known_id("user", user_id)
    return builder.users([identity])[identity]


@router.get(
    "/users/{user_id}/enrollments",
    response_model=list[objects.Enrollment],
    tags=["enrollments"],
)
async def user_enrollments(
    call: Call, user_id: AnyId, query: Annotated[UserEnrollmentsQuery, Query()]
) -> Response:
    """The enrollments of a user, by id."""
    return await call.respond_with_list(query.which(), _user_enrollments, user_id, query)


def _user_enrollments(
    builder: ResponseBuilder, user_id: str, query: UserEnrollmentsQuery
) -> ObjectList:
    condition = queries.enrollments_where(query.types(), query.states(of_user=True))
    of_user = Where("user_id = ?", (builder.known_id("user", user_id),))
    where = of_user & builder.narrowed(condition, query, None)
    if query.enrollment_term_id is not None:
        term = builder.id_parameter("enrollment_term_id", query.enrollment_term_id)
        where &= queries.sections_of_term(term)
    total, rows = queries.other_enrollments(builder.db, where, query.which())
    return total, builder.enrollments(rows, query.include)
