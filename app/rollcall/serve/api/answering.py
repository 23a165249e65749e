"""From rows of the replica to the objects of one answer, all within one read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from rollcall.serve.api import objects, queries
from rollcall.serve.api.conditions import Where
from rollcall.serve.api.errors import ApiError, not_found
from rollcall.serve.api.ids import ShownIds, parse_id
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.queries import KNOWN, Row, one_of

_SIS_COLUMNS = {
    "user": ("sis_user_id:", "users", "user_sis_id", "user_id"),
    "section": ("sis_section_id:", "sections", "sis_source_id", "course_section_id"),
}
"""SIS ids in URLs, as far as events tell them: how they begin, and where they are."""


class Answering:
    """One request: how ids are shown, and what is asked within one read transaction.

    Args:
        db: the connection.
        ids: how answers show ids.
        home: the home shard.
        listings: what is kept in memory.
    """

    def __init__(
        self, db: sqlite3.Connection, ids: ShownIds, home: int | None, listings: Listings
    ) -> None:
        self.db = db
        self.ids = ids
        self.home = home
        self.listings = listings

    def find(self, kind: str, text: str) -> int:
        """The id of something that is known.

        Raises:
            ApiError: 404.
        """
        if kind in _SIS_COLUMNS:
            start, relation, column, wanted = _SIS_COLUMNS[kind]
            if text.startswith(start):
                row = one_of(self.db, relation, Where(f"{column} = ?", (text.removeprefix(start),)))
                if row is None:
                    raise not_found()
                found: int = row[wanted]
                return found
        identity = parse_id(text, self.home)
        if identity is None or not KNOWN[kind](self.db, identity):
            raise not_found()
        return identity

    def parameter(self, name: str, text: str) -> int:
        """An id in a query.

        Raises:
            ApiError: 400, it is no id.
        """
        identity = parse_id(text, self.home)
        if identity is None:
            raise ApiError(400, f"{name} must be an id", field=name)
        return identity

    def user_parameter(self, name: str, text: str) -> int:
        """The id of a user in a query; -1, which nobody has, for an unknown SIS id.

        Raises:
            ApiError: 400, it is no id.
        """
        if text.startswith("sis_user_id:"):
            row = one_of(
                self.db, "users", Where("user_sis_id = ?", (text.removeprefix("sis_user_id:"),))
            )
            return -1 if row is None else int(row["user_id"])
        return self.parameter(name, text)

    def course(self, text: str, include: Iterable[str] = ()) -> Row:
        """The row of a course.

        Raises:
            ApiError: 404, also for a deleted course, unless all are asked for.
        """
        identity = self.find("course", text)
        row = one_of(self.db, "courses", Where("course_id = ?", (identity,)))
        if row is None:
            return dict(objects.unseen_course(identity))
        if row["state"] == "deleted" and "all_courses" not in include:
            raise not_found()
        return row

    def group(self, text: str) -> Row:
        """The row of a group.

        Raises:
            ApiError: 404, also for a deleted group.
        """
        row = one_of(self.db, "groups", Where("group_id = ?", (self.find("group", text),)))
        if row is None or row["state"] == "deleted":
            raise not_found()
        return row

    def users(self, users: Iterable[int], include: Iterable[str] = ()) -> dict[int, dict[str, Any]]:
        """Objects of users, by id, in their order."""
        wanted = list(dict.fromkeys(users))
        rows: dict[int, Mapping[str, Any]] = dict(queries.users_by_id(self.db, wanted))
        unseen = [user for user in wanted if user not in rows]
        if unseen:
            names = queries.names_by_id(self.db, unseen)
            rows |= {user: objects.named_user(user, names.get(user)) for user in unseen}
        groups = queries.groups_by_user(self.db, wanted) if "group_ids" in include else {}
        return {
            user: objects.user_object(
                rows[user], self.ids, uuid="uuid" in include, group_ids=groups.get(user)
            )
            for user in wanted
        }

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
            shown = objects.enrollment_object(
                row,
                self.ids,
                section=sections.get(row["course_section_id"]),
                user=users.get(row["user_id"]),
            )
            if row["associated_user_id"] in observed and row["type"] == "ObserverEnrollment":
                shown["observed_user"] = users[row["associated_user_id"]]
            found.append(shown)
        return found

    def sections(self, rows: list[Row], include: Iterable[str]) -> list[dict[str, Any]]:
        """Objects of sections."""
        found = [objects.section_object(row, self.ids) for row in rows]
        if "total_students" in include:
            totals = queries.count_students(
                self.db, "course_section_id", [row["course_section_id"] for row in rows]
            )
            for row, shown in zip(rows, found, strict=True):
                shown["total_students"] = totals.get(row["course_section_id"], 0)
        if "students" in include:
            for row, shown in zip(rows, found, strict=True):
                shown["students"] = list(
                    self.users(
                        queries.students_of_section(self.db, row["course_section_id"])
                    ).values()
                )
        return found

    def groups(self, rows: list[Row], include: Iterable[str]) -> list[dict[str, Any]]:
        """Objects of groups."""
        members = queries.members(self.db, [row["group_id"] for row in rows])
        found = [
            objects.group_object(row, self.ids, members.get(row["group_id"], 0)) for row in rows
        ]
        if "users" in include:
            for row, shown in zip(rows, found, strict=True):
                shown["users"] = list(
                    self.users(queries.users_of_group(self.db, row["group_id"])).values()
                )
        return found
