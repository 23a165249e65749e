"""``/groups``: a group, with its memberships and users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query, Response

from rollcall.serve.api import objects, queries
from rollcall.serve.api.call import Call, ObjectList
from rollcall.serve.api.conditions import Where, among
from rollcall.serve.api.parameters import (
    LISTED_MEMBERSHIPS,
    GroupQuery,
    GroupUsersQuery,
    MembershipsQuery,
)
from rollcall.serve.api.response_builder import ResponseBuilder
from rollcall.serve.api.routes.router import AnyId, new_router
from rollcall.serve.replica.derived import folded

router = new_router()


@router.get("/groups/{group_id}", response_model=objects.Group, tags=["groups"])
async def group(call: Call, group_id: AnyId, query: Annotated[GroupQuery, Query()]) -> Response:
    """A group, of a course or an account. A deleted one is not found."""
    return await call.respond(_group, group_id, query)


def _group(builder: ResponseBuilder, group_id: str, query: GroupQuery) -> dict[str, Any]:
    return builder.groups([builder.group_row(group_id)], query.include)[0]


@router.get(
    "/groups/{group_id}/memberships",
    response_model=list[objects.GroupMembership],
    tags=["groups"],
)
async def group_memberships(
    call: Call, group_id: AnyId, query: Annotated[MembershipsQuery, Query()]
) -> Response:
    """The memberships of a group, by id; those that are deleted or rejected only if asked for."""
    return await call.respond_with_list(query.which(), _group_memberships, group_id, query)


def _group_memberships(
    builder: ResponseBuilder, group_id: str, query: MembershipsQuery
) -> ObjectList:
    where = Where("group_id = ?", (builder.group_row(group_id)["group_id"],))
    where &= among("state", query.filter_states or LISTED_MEMBERSHIPS)
    order = "group_membership_id, context_type, context_id"
    total, rows = queries.page_of(builder.db, "memberships", where, order, query.which())
    found = [objects.membership_object(row, builder.ids) for row in rows]
    builder.add_histories(rows, found, query.include)
    return total, found


@router.get("/groups/{group_id}/users", response_model=list[objects.User], tags=["groups"])
async def group_users(
    call: Call, group_id: AnyId, query: Annotated[GroupUsersQuery, Query()]
) -> Response:
    """The users who are in a group, by id."""
    return await call.respond_with_list(query.which(), _group_users, group_id, query)


def _group_users(builder: ResponseBuilder, group_id: str, query: GroupUsersQuery) -> ObjectList:
    users = queries.users_of_group(builder.db, builder.group_row(group_id)["group_id"])
    if query.search_term is not None:
        term, wanted = str(folded(query.search_term)), builder.id_of(query.search_term)
        users = [
            user
            for user, found in builder.users(users).items()
            if user == wanted or _matches(found, term)
        ]
    page = query.which()
    return len(users), list(builder.users(users[page.start : page.end]).values())


def _matches(user: Mapping[str, Any], folded_term: str) -> bool:
    return any(
        folded_term in (folded(user[name]) or "")
        for name in ("name", "short_name", "sortable_name", "login_id", "sis_user_id")
    )
