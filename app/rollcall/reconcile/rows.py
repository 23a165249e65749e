"""Reads rows of a replica of the rosters, while it is followed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rollcall.events.ids import SHARD_SIZE
from rollcall.reconcile.comparison import Row
from rollcall.reconcile.facts import Entity
from rollcall.rosters.relation import ACCOUNT_PREFIX
from rollcall.rosters.states import FINAL
from rollcall.serve.replica.tables import COLUMNS

IDS: Mapping[Entity, str] = {
    Entity.COURSE: "course_id",
    Entity.SECTION: "course_section_id",
    Entity.ENROLLMENT: "enrollment_id",
    Entity.GROUP: "group_id",
    Entity.MEMBERSHIP: "group_membership_id",
    Entity.USER: "user_id",
}
"""The column with the id of each entity."""

MOST_IDS = 500
"""Ids in one question to the database."""

_NOT_FINAL = f"state NOT IN ({', '.join(repr(state) for state in sorted(FINAL))})"


class RosterRows:
    """Rows of the rosters, from the file of a replica. Has to be closed.

    Ids are texts in normal form, as in facts. A row is a mapping with the columns of
    :data:`rollcall.serve.replica.tables.COLUMNS`.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5
        )
        self._database.row_factory = sqlite3.Row

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def by_id(
        self, entity: Entity, ids: Collection[str], group: str | None = None
    ) -> dict[str, Row]:
        """The rows of entities by id. An enrollment on its way between two courses has two rows for
        a moment: the later one counts.

        Args:
            group: of memberships, which have no index by their ids alone.
        """
        values = [int(identity) for identity in ids]
        of_group, first = ("group_id = ? AND ", [int(group)]) if group else ("", [])
        assert group or entity is not Entity.MEMBERSHIP
        found: dict[str, Row] = {}
        for start in range(0, len(values), MOST_IDS):
            batch = values[start : start + MOST_IDS]
            condition = f"{of_group}{IDS[entity]} IN ({', '.join('?' * len(batch))})"
            rows = self._rows(entity, f"{condition} ORDER BY as_of", *first, *batch)
            found.update((str(row[IDS[entity]]), row) for row in rows)
        return found

    def of_course(self, entity: Entity, course: str) -> Iterator[Row]:
        """Sections or enrollments of a course."""
        return self._rows(entity, "course_id = ?", int(course))

    def groups(self, context_type: str, context: str) -> Iterator[Row]:
        """Groups of a course or an account."""
        return self._rows(
            Entity.GROUP, "context_type = ? AND context_id = ?", context_type, int(context)
        )

    def memberships(self, group: str) -> Iterator[Row]:
        """Memberships of a group."""
        return self._rows(Entity.MEMBERSHIP, "group_id = ?", int(group))

    def current(self, entity: Entity, column: str, value: str) -> set[str]:
        """Ids of enrollments or memberships that are neither deleted nor rejected.

        Args:
            column: which has the value.
        """
        return self._current(entity, f"{column} = ?", int(value))

    def current_of(self, entity: Entity, context: str) -> set[str]:
        """:meth:`current` of a course, or of ``account:<id>``."""
        is_account = context.startswith(ACCOUNT_PREFIX)
        identity = int(context.removeprefix(ACCOUNT_PREFIX))
        if entity is Entity.ENROLLMENT:
            return set() if is_account else self._current(entity, "course_id = ?", identity)
        kind = "Account" if is_account else "Course"
        return self._current(entity, "context_type = ? AND context_id = ?", kind, identity)

    def _current(self, entity: Entity, condition: str, *values: str | int) -> set[str]:
        statement = (
            f"SELECT {IDS[entity]} FROM {entity.relation.name} WHERE {condition} "  # noqa: S608
            f"AND {_NOT_FINAL}"
        )
        return {str(found[0]) for found in self._database.execute(statement, values)}

    def courses_of(self, user: str) -> set[str]:
        """Courses in which a user has enrollments that are neither deleted nor rejected."""
        statement = f"SELECT DISTINCT course_id FROM enrollments WHERE user_id = ? AND {_NOT_FINAL}"  # noqa: S608
        return {str(found[0]) for found in self._database.execute(statement, [int(user)])}

    def courses(self, shard: int) -> set[str]:
        """Courses of a shard that are not deleted."""
        statement = (
            f"SELECT course_id FROM courses WHERE course_id / {SHARD_SIZE} = ? AND {_NOT_FINAL}"  # noqa: S608
        )
        return {str(found[0]) for found in self._database.execute(statement, [shard])}

    def accounts(self, shard: int) -> set[str]:
        """Accounts of a shard that have groups."""
        statement = (
            "SELECT DISTINCT context_id FROM groups WHERE context_type = 'Account' "  # noqa: S608
            f"AND context_id / {SHARD_SIZE} = ?"
        )
        return {str(found[0]) for found in self._database.execute(statement, [shard])}

    def names_section(self, section: str) -> bool:
        """Whether an enrollment that is not deleted by itself is in a section."""
        statement = (
            "SELECT 1 FROM enrollments WHERE course_section_id = ? AND workflow_state != 'deleted' "
            "LIMIT 1"
        )
        return self._database.execute(statement, [int(section)]).fetchone() is not None

    def deleted_enrollments(self, limit: int) -> list[str]:
        """Ids of enrollments that are deleted by their own events, the latest first."""
        statement = (
            "SELECT enrollment_id FROM enrollments WHERE workflow_state = 'deleted' AND "
            "state_reason = 'enrollment' ORDER BY as_of DESC LIMIT ?"
        )
        return [str(found[0]) for found in self._database.execute(statement, [limit])]

    def shards(self) -> set[int]:
        """Shards of the courses with global ids."""
        statement = f"SELECT DISTINCT course_id / {SHARD_SIZE} FROM courses"  # noqa: S608
        return {found[0] for found in self._database.execute(statement) if found[0]}

    def _rows(self, entity: Entity, condition: str, *values: Any) -> Iterator[Row]:
        name = entity.relation.name
        columns = ", ".join(column for column in COLUMNS[name] if column != "history")
        statement = f"SELECT {columns} FROM {name} WHERE {condition}"  # noqa: S608
        for row in self._database.execute(statement, values).fetchall():
            yield dict(row)
