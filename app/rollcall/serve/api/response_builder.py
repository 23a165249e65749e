"""From rows of the replica to the objects of one response, within one read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from rollcall.serve.api import objects, queries
from rollcall.serve.api.conditions import Where
from rollcall.serve.api.errors import ApiError, not_found
from rollcall.serve.api.ids import IdFormat, parse_id
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.parameters import HISTORY, EnrollmentsQuery
from rollcall.serve.api.queries import KNOWN, Row, one_of

_SIS_COLUMNS = {
    "user": ("sis_user_id:", "users", "user_sis_id", "user_id"),
    "section": ("sis_section_id:", "sections", "sis_source_id", "course_section_id"),
}
"""SIS ids in URLs, as far as events have them: prefix, relation, its column, and the id's column.
"""


class ResponseBuilder:
    """Reads rows, and makes objects of them.

    Args:
        db: a connection within a read transaction.
        ids: format of ids in the response.
        home_shard: of local ids in the request.
        listings: lists of ids in memory.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        ids: IdFormat,
        home_shard: int | None,
        listings: Listings,
    ) -> None:
        self.db = db
        self.ids = ids
        self.listings = listings
        self._home_shard = home_shard

    # --- from the request's ids to rows

    def id_of(self, text: str) -> int | None:
        """The global id that a text stands for; None: the text is no id."""
        return parse_id(text, self._home_shard)

    def known_id(self, kind: str, text: str) -> int:
        """The id of an existing thing.

        Args:
            kind: a key of :data:`queries.KNOWN`.

        Raises:
            ApiError: 404.
        """
        if kind in _SIS_COLUMNS:
            prefix, relation, column, id_column = _SIS_COLUMNS[kind]
            if text.startswith(prefix):
                row = one_of(
                    self.db, relation, Where(f"{column} = ?", (text.removeprefix(prefix),))
                )
                if row is None:
                    raise not_found()
                found: int = row[id_column]
                return found
        identity = self.id_of(text)
        if identity is None or not KNOWN[kind](self.db, identity):
            raise not_found()
        return identity

    def id_parameter(self, name: str, text: str) -> int:
        """An id in a query.

        Raises:
            ApiError: 400, the text is no id.
        """
        identity = self.id_of(text)
        if identity is None:
            raise ApiError(400, f"{name} must be an id", field=name)
        return identity

    def user_parameter(self, name: str, text: str) -> int:
        """The id of a user in a query; for an unknown SIS id -1, which no user has.

        Raises:
            ApiError: 400, the text is no id.
        """
        if text.startswith("sis_user_id:"):
            row = one_of(
                self.db, "users", Where("user_sis_id = ?", (text.removeprefix("sis_user_id:"),))
            )
            return -1 if row is None else int(row["user_id"])
        return self.id_parameter(name, text)

    def course_row(self, text: str, include: Iterable[str] = ()) -> Row:
        """The row of a course.

        Raises:
            ApiError: 404; for a deleted course too, unless ``include`` has ``all_courses``.
        """
        identity = self.known_id("course", text)
        row = one_of(self.db, "courses", Where("course_id = ?", (identity,)))
        if row is None:
            return dict(objects.course_without_events(identity))
        if row["state"] == "deleted" and "all_courses" not in include:
            raise not_found()
        return row

    def group_row(self, text: str) -> Row:
        """The row of a group.

        Raises:
            ApiError: 404; for a deleted group too.
        """
        row = one_of(self.db, "groups", Where("group_id = ?", (self.known_id("group", text),)))
        if row is None or row["state"] == "deleted":
            raise not_found()
        return row

    def narrowed(self, where: Where, query: EnrollmentsQuery, user_id: str | None) -> Where:
        """A condition on enrollments with the query's further filters; without any, the same
        object.
        """
        if user_id is not None:
            where &= Where("user_id = ?", (self.user_parameter("user_id", user_id),))
        if query.sis_user_id:
            where &= queries.users_with_sis_ids(query.sis_user_id)
        if query.sis_section_id:
            where &= queries.sections_with_sis_ids(query.sis_section_id)
        return where

    # --- from rows to objects

    def users(self, users: Iterable[int], include: Iterable[str] = ()) -> dict[int, dict[str, Any]]:
        """Objects of users by id, in the order of the ids."""
        wanted = list(dict.fromkeys(users))
        rows: dict[int, Mapping[str, Any]] = dict(queries.users_by_id(self.db, wanted))
        without_events = [user for user in wanted if user not in rows]
        if without_events:
            names = queries.names_by_id(self.db, without_events)
            rows |= {
                user: objects.user_without_events(user, names.get(user)) for user in without_events
            }
        groups = queries.groups_by_user(self.db, wanted) if "group_ids" in include else {}
        found = {
            user: objects.user_object(
                rows[user], self.ids, uuid="uuid" in include, group_ids=groups.get(user)
            )
            for user in wanted
        }
        self.add_histories([rows[user] for user in wanted], list(found.values()), include)
        return found

    def enrollments(
        self, rows: list[Row], include: Iterable[str] = (), *, with_users: bool = True
    ) -> list[dict[str, Any]]:
        """Objects of enrollments."""
        sections = queries.sections_by_id(self.db, rows)
        observed = (
            {row["associated_user_id"] for row in rows if row["associated_user_id"] is not None}
            if "observed_users" in include
            else set()
        )
        users = (
            self.users([*(row["user_id"] for row in rows), *observed], include)
            if with_users
            else {}
        )
        found = []
        for row in rows:
            enrollment = objects.enrollment_object(
                row,
                self.ids,
                section=sections.get(row["course_section_id"]),
                user=users.get(row["user_id"]),
            )
            if row["associated_user_id"] in observed and row["type"] == "ObserverEnrollment":
                enrollment["observed_user"] = users[row["associated_user_id"]]
            found.append(enrollment)
        self.add_histories(rows, found, include)
        return found

    def sections(self, rows: list[Row], include: Iterable[str]) -> list[dict[str, Any]]:
        """Objects of sections."""
        found = [objects.section_object(row, self.ids) for row in rows]
        self.add_histories(rows, found, include)
        if "total_students" in include:
            totals = queries.count_students(
                self.db, "course_section_id", [row["course_section_id"] for row in rows]
            )
            for row, section in zip(rows, found, strict=True):
                section["total_students"] = totals.get(row["course_section_id"], 0)
        if "students" in include:
            for row, section in zip(rows, found, strict=True):
                students = queries.students_of_section(self.db, row["course_section_id"])
                section["students"] = list(self.users(students).values())
        return found

    def groups(self, rows: list[Row], include: Iterable[str]) -> list[dict[str, Any]]:
        """Objects of groups."""
        members = queries.members(self.db, [row["group_id"] for row in rows])
        found = [
            objects.group_object(row, self.ids, members.get(row["group_id"], 0)) for row in rows
        ]
        self.add_histories(rows, found, include)
        if "users" in include:
            for row, group in zip(rows, found, strict=True):
                users = queries.users_of_group(self.db, row["group_id"])
                group["users"] = list(self.users(users).values())
        return found

    def add_histories(
        self, rows: Iterable[Mapping[str, Any]], found: list[dict[str, Any]], include: Iterable[str]
    ) -> None:
        """Add their histories to the objects of rows, if they are asked for."""
        if HISTORY in include:
            for row, its_object in zip(rows, found, strict=True):
                its_object[HISTORY] = objects.history(row)
