"""The calls: from a request to questions to the replica, and from rows to Canvas's objects."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer

from rollcall.serve.api import objects, queries
from rollcall.serve.api.answering import Answering
from rollcall.serve.api.conditions import Where, among
from rollcall.serve.api.errors import JSON, not_found
from rollcall.serve.api.ids import STRING_IDS, ShownIds, parse_id
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.paging import Page
from rollcall.serve.api.parameters import (
    ContextEnrollmentsQuery,
    CourseQuery,
    EnrollmentsQuery,
    GroupQuery,
    GroupsQuery,
    GroupUsersQuery,
    MembershipsQuery,
    SectionQuery,
    SectionsQuery,
    UserEnrollmentsQuery,
    UsersQuery,
)
from rollcall.serve.api.queries import one_of
from rollcall.serve.context import ServeContext
from rollcall.serve.protocol import MOST_HEAD_BYTES
from rollcall.serve.replica.derived import folded

CourseId = Annotated[str, Path(description="Global, local, or `shard~local`.", max_length=100)]
AnyId = Annotated[
    str,
    Path(
        description="Global, local, or `shard~local`; of users and sections also `sis_user_id:…`, "
        "`sis_section_id:…`.",
        max_length=300,
    ),
]

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": objects.Errors, "description": "A parameter is wrong; the message names it."},
    401: {"model": objects.Errors, "description": "No token, or one that is not accepted."},
    404: {"model": objects.Errors, "description": "There is no such thing."},
    431: {"description": f"Address and headers are longer than {MOST_HEAD_BYTES // 1024} KiB."},
    503: {
        "model": objects.Errors,
        "description": "The replica is not complete yet, or too much is asked for at once.",
    },
}

List = tuple[int, list[dict[str, Any]]]
"""How many there are in all, and those on the page."""


def api_router(context: ServeContext) -> APIRouter:
    """The calls."""
    home = context.settings.shard
    listings = Listings()
    # For the OpenAPI document; it is the gate that asks for tokens.
    bearer = HTTPBearer(
        auto_error=False,
        description="A token of `rollcall token new NAME`. Not asked for where "
        "ROLLCALL_TOKENS_FILE is not set.",
    )
    router = APIRouter(prefix="/api/v1", dependencies=[Security(bearer)], responses=_ERRORS)

    async def answer(request: Request, ask: Callable[[Answering], Any]) -> Response:
        ids = _shown_ids(request, home)

        def run(db: sqlite3.Connection) -> bytes:
            return orjson.dumps(ask(Answering(db, ids, home, listings)))

        return _response(request, await context.reader.read(run), {})

    async def answer_list(
        request: Request, page: Page, ask: Callable[[Answering], List]
    ) -> Response:
        ids = _shown_ids(request, home)

        def run(db: sqlite3.Connection) -> tuple[int, bytes]:
            total, shown = ask(Answering(db, ids, home, listings))
            return total, orjson.dumps(shown)

        total, body = await context.reader.read(run)
        return _response(
            request,
            body,
            {"link": page.links(_address(request), request.query_params.multi_items(), total)},
        )

    # --- courses

    @router.get("/courses/{course_id}", response_model=objects.Course, tags=["courses"])
    async def course(
        request: Request, course_id: CourseId, query: Annotated[CourseQuery, Query()]
    ) -> Response:
        """A course. A deleted one is not found, unless `include[]=all_courses`."""

        def ask(asked: Answering) -> dict[str, Any]:
            row = asked.course(course_id, query.include)
            shown = objects.course_object(row, asked.ids)
            if "total_students" in query.include:
                shown["total_students"] = queries.count_students(
                    asked.db, "course_id", [row["course_id"]]
                ).get(row["course_id"], 0)
            if "sections" in query.include:
                where = Where("course_id = ?", (row["course_id"],)) & queries.NOT_DELETED
                shown["sections"] = asked.sections(
                    queries.rows_of(asked.db, "sections", where, "ORDER BY course_section_id"), ()
                )
            return shown

        return await answer(request, ask)

    @router.get(
        "/courses/{course_id}/enrollments",
        response_model=list[objects.Enrollment],
        tags=["enrollments"],
    )
    async def course_enrollments(
        request: Request, course_id: CourseId, query: Annotated[ContextEnrollmentsQuery, Query()]
    ) -> Response:
        """The enrollments of a course, by id."""

        def ask(asked: Answering) -> List:
            row = asked.course(course_id, query.include)
            condition = queries.enrollments_where(
                query.types(), query.states(of_user=query.user_id is not None)
            )
            where = _narrowed(asked, condition, query, query.user_id)
            if where is condition:
                total, rows = queries.course_enrollments(
                    asked.db, asked.listings, row["course_id"], where, query.which()
                )
            else:
                total, rows = queries.other_enrollments(
                    asked.db, Where("course_id = ?", (row["course_id"],)) & where, query.which()
                )
            return total, asked.enrollments(rows, query.include)

        return await answer_list(request, query.which(), ask)

    @router.get(
        "/courses/{course_id}/sections", response_model=list[objects.Section], tags=["sections"]
    )
    async def course_sections(
        request: Request, course_id: CourseId, query: Annotated[SectionsQuery, Query()]
    ) -> Response:
        """The sections of a course that are not deleted, by id."""

        def ask(asked: Answering) -> List:
            where = (
                Where("course_id = ?", (asked.course(course_id, query.include)["course_id"],))
                & queries.NOT_DELETED
            )
            if query.search_term is not None:
                where &= queries.sections_named(query.search_term)
            total, rows = queries.page_of(
                asked.db, "sections", where, "course_section_id", query.which()
            )
            return total, asked.sections(rows, query.include)

        return await answer_list(request, query.which(), ask)

    # Canvas has both, and canvasapi asks for the older one.
    @router.get(
        "/courses/{course_id}/search_users",
        response_model=list[objects.User],
        tags=["users"],
        include_in_schema=False,
    )
    @router.get("/courses/{course_id}/users", response_model=list[objects.User], tags=["users"])
    async def course_users(
        request: Request, course_id: CourseId, query: Annotated[UsersQuery, Query()]
    ) -> Response:
        """The users who are enrolled in a course, by id."""

        def ask(asked: Answering) -> List:
            identity = asked.course(course_id, query.include)["course_id"]
            condition = queries.enrollments_where(query.types(), (query.states(), ()))
            where = condition
            if query.user_id is not None:
                where &= Where("user_id = ?", (asked.user_parameter("user_id", query.user_id),))
            if query.user_ids:
                where &= among(
                    "user_id", [asked.user_parameter("user_ids[]", text) for text in query.user_ids]
                )
            if query.search_term is not None:
                where &= queries.matching(query.search_term, parse_id(query.search_term, home))
            total, users = queries.course_users(
                asked.db, asked.listings, identity, where, query.which(), keep=where is condition
            )
            shown = asked.users(users, query.include)
            if "enrollments" in query.include and users:
                theirs = Where("course_id = ?", (identity,)) & among("user_id", users) & condition
                rows = queries.rows_of(asked.db, "enrollments", theirs, "ORDER BY enrollment_id")
                of_user: dict[int, list[dict[str, Any]]] = {user: [] for user in users}
                for row, enrollment in zip(
                    rows, asked.enrollments(rows, with_users=False), strict=True
                ):
                    of_user[row["user_id"]].append(enrollment)
                for user, enrollments in of_user.items():
                    shown[user]["enrollments"] = enrollments
            return total, list(shown.values())

        return await answer_list(request, query.which(), ask)

    @router.get("/courses/{course_id}/groups", response_model=list[objects.Group], tags=["groups"])
    async def course_groups(
        request: Request, course_id: CourseId, query: Annotated[GroupsQuery, Query()]
    ) -> Response:
        """The groups of a course that are not deleted, by id."""

        def ask(asked: Answering) -> List:
            identity = asked.course(course_id, query.include)["course_id"]
            where = (
                Where("context_type = 'Course' AND context_id = ?", (identity,))
                & queries.NOT_DELETED
            )
            total, rows = queries.page_of(asked.db, "groups", where, "group_id", query.which())
            return total, asked.groups(rows, query.include)

        return await answer_list(request, query.which(), ask)

    # --- sections

    @router.get("/sections/{section_id}", response_model=objects.Section, tags=["sections"])
    async def section(
        request: Request, section_id: AnyId, query: Annotated[SectionQuery, Query()]
    ) -> Response:
        """A section. A deleted one is not found."""

        def ask(asked: Answering) -> dict[str, Any]:
            row = one_of(
                asked.db,
                "sections",
                Where("course_section_id = ?", (asked.find("section", section_id),)),
            )
            if row is None or row["state"] == "deleted":
                raise not_found()
            return asked.sections([row], query.include)[0]

        return await answer(request, ask)

    @router.get(
        "/sections/{section_id}/enrollments",
        response_model=list[objects.Enrollment],
        tags=["enrollments"],
    )
    async def section_enrollments(
        request: Request, section_id: AnyId, query: Annotated[ContextEnrollmentsQuery, Query()]
    ) -> Response:
        """The enrollments of a section, by id."""

        def ask(asked: Answering) -> List:
            condition = queries.enrollments_where(
                query.types(), query.states(of_user=query.user_id is not None)
            )
            where = Where(
                "course_section_id = ?", (asked.find("section", section_id),)
            ) & _narrowed(asked, condition, query, query.user_id)
            total, rows = queries.other_enrollments(asked.db, where, query.which())
            return total, asked.enrollments(rows, query.include)

        return await answer_list(request, query.which(), ask)

    # --- users

    @router.get("/users/{user_id}", response_model=objects.User, tags=["users"])
    async def user(request: Request, user_id: AnyId) -> Response:
        """A user."""

        def ask(asked: Answering) -> dict[str, Any]:
            identity = asked.find("user", user_id)
            return asked.users([identity])[identity]

        return await answer(request, ask)

    @router.get(
        "/users/{user_id}/enrollments",
        response_model=list[objects.Enrollment],
        tags=["enrollments"],
    )
    async def user_enrollments(
        request: Request, user_id: AnyId, query: Annotated[UserEnrollmentsQuery, Query()]
    ) -> Response:
        """The enrollments of a user, by id."""

        def ask(asked: Answering) -> List:
            condition = queries.enrollments_where(query.types(), query.states(of_user=True))
            where = Where("user_id = ?", (asked.find("user", user_id),)) & _narrowed(
                asked, condition, query, None
            )
            if query.enrollment_term_id is not None:
                where &= queries.sections_of_term(
                    asked.parameter("enrollment_term_id", query.enrollment_term_id)
                )
            total, rows = queries.other_enrollments(asked.db, where, query.which())
            return total, asked.enrollments(rows, query.include)

        return await answer_list(request, query.which(), ask)

    @router.get(
        "/accounts/{account_id}/enrollments/{enrollment_id}",
        response_model=objects.Enrollment,
        tags=["enrollments"],
    )
    async def enrollment(request: Request, account_id: AnyId, enrollment_id: AnyId) -> Response:
        """An enrollment, whatever its state. The account must be an id; events do not tell in which
        account an enrollment is.
        """

        def ask(asked: Answering) -> dict[str, Any]:
            if account_id not in ("self", "default"):
                asked.find("account", account_id)
            row = one_of(
                asked.db,
                "enrollments",
                Where("enrollment_id = ?", (asked.find("enrollment", enrollment_id),)),
            )
            assert row is not None
            return asked.enrollments([row])[0]

        return await answer(request, ask)

    # --- groups

    @router.get("/groups/{group_id}", response_model=objects.Group, tags=["groups"])
    async def group(
        request: Request, group_id: AnyId, query: Annotated[GroupQuery, Query()]
    ) -> Response:
        """A group, of a course or an account. A deleted one is not found."""
        return await answer(
            request, lambda asked: asked.groups([asked.group(group_id)], query.include)[0]
        )

    @router.get(
        "/groups/{group_id}/memberships",
        response_model=list[objects.GroupMembership],
        tags=["groups"],
    )
    async def group_memberships(
        request: Request, group_id: AnyId, query: Annotated[MembershipsQuery, Query()]
    ) -> Response:
        """The memberships of a group, by id; those that are deleted only if asked for."""

        def ask(asked: Answering) -> List:
            where = Where("group_id = ?", (asked.group(group_id)["group_id"],))
            where &= (
                among("state", query.filter_states) if query.filter_states else queries.NOT_DELETED
            )
            total, rows = queries.page_of(
                asked.db,
                "memberships",
                where,
                "group_membership_id, context_type, context_id",
                query.which(),
            )
            return total, [objects.membership_object(row, asked.ids) for row in rows]

        return await answer_list(request, query.which(), ask)

    @router.get("/groups/{group_id}/users", response_model=list[objects.User], tags=["groups"])
    async def group_users(
        request: Request, group_id: AnyId, query: Annotated[GroupUsersQuery, Query()]
    ) -> Response:
        """The users who are in a group, by id."""

        def ask(asked: Answering) -> List:
            users = queries.users_of_group(asked.db, asked.group(group_id)["group_id"])
            if query.search_term is not None:
                term, wanted = str(folded(query.search_term)), parse_id(query.search_term, home)
                users = [
                    user
                    for user, shown in asked.users(users).items()
                    if user == wanted or _matches(shown, term)
                ]
            page = query.which()
            return len(users), list(asked.users(users[page.start : page.end]).values())

        return await answer_list(request, query.which(), ask)

    return router


def _narrowed(
    asked: Answering, where: Where, query: EnrollmentsQuery, user_id: str | None
) -> Where:
    """A condition, and what else is asked of enrollments; the same object when nothing is."""
    if user_id is not None:
        where &= Where("user_id = ?", (asked.user_parameter("user_id", user_id),))
    if query.sis_user_id:
        where &= queries.users_with_sis_ids(query.sis_user_id)
    if query.sis_section_id:
        where &= queries.sections_with_sis_ids(query.sis_section_id)
    return where


def _matches(user: Mapping[str, Any], folded_term: str) -> bool:
    return any(
        folded_term in (folded(user[name]) or "")
        for name in ("name", "short_name", "sortable_name", "login_id", "sis_user_id")
    )


def _shown_ids(request: Request, home: int | None) -> ShownIds:
    return ShownIds(
        home, any(STRING_IDS in accepted for accepted in request.headers.getlist("accept"))
    )


def _address(request: Request) -> str:
    """What was asked for, without its query, as it may stand in a header."""
    return f"{request.url.scheme}://{request.url.netloc}{quote(request.scope['path'], safe='/:~@')}"


def _response(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    """An answer, or that it is the one that the client has."""
    digest = hashlib.blake2b(body, digest_size=16)
    digest.update(headers.get("link", "").encode())
    # Weak: with or without compression it is the same.
    headers = {
        **headers,
        "etag": f'W/"{digest.hexdigest()}"',
        "cache-control": "private, must-revalidate, max-age=0",
    }
    if _holds(",".join(request.headers.getlist("if-none-match")), headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _holds(if_none_match: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
