"""Which enrollments a large course has, kept in memory: to go through 50,000 rows for each page
would take longer than all the rest.
"""

from __future__ import annotations

import sqlite3
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict

import orjson

from rollcall.serve.api.conditions import MOST_NAMED, Where, among
from rollcall.serve.replica.store import TOLD_VERSIONS

MOST_LISTED = 4_000_000
"""Numbers that are kept, of all lists together; 8 bytes each."""

MOST_LISTS = 2_000

ListKey = tuple[int, str, Where]
"""A course, the column that is listed, and a condition."""


class Listings:
    """Which enrollments of a course, or which of its users, by condition: kept in memory, and
    changed as the course's enrollments change.

    The replica has a version of each course's enrollments, and tells what has changed since
    (``ReplicaStore.apply``). So a list is exactly that of the state that the asking transaction
    sees.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[ListKey, tuple[int, array[int]]] = OrderedDict()
        self._size = 0
        self._guard = threading.Lock()
        self._making: dict[ListKey, threading.Lock] = {}

    def listing(self, db: sqlite3.Connection, course: int, what: str, where: Where) -> array[int]:
        """Numbers, in their order.

        Args:
            what: ``enrollment_id`` or ``user_id``.
            where: asks of the course's enrollments only.
        """
        found = db.execute(
            "SELECT version, told_from FROM course_versions WHERE course_id = ?", (course,)
        ).fetchone()
        version, told_from = found or (0, 0)
        key = (course, what, where)
        known = self._known(key)
        if known is not None and known[0] == version:
            return known[1]
        with self._guard:
            making = self._making.setdefault(key, threading.Lock())
        with making:  # of several who ask for the same list, one makes it
            try:
                known = self._known(key)
                if known is not None and known[0] == version:
                    return known[1]
                if (
                    known is not None
                    and what == "enrollment_id"
                    and max(told_from, version - TOLD_VERSIONS) <= known[0] < version
                ):
                    numbers = _brought_up(db, course, where, *known)
                else:
                    numbers = _numbers(db, what, where)
                self._keep(key, version, numbers)
            finally:  # also when somebody else has made it, and when nobody waits for it any more
                with self._guard:
                    self._making.pop(key, None)
        return numbers

    def _known(self, key: ListKey) -> tuple[int, array[int]] | None:
        with self._guard:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
            return known

    def _keep(self, key: ListKey, version: int, numbers: array[int]) -> None:
        with self._guard:
            previous = self._kept.get(key)
            self._size += len(numbers) - (0 if previous is None else len(previous[1]))
            self._kept[key] = (version, numbers)
            self._kept.move_to_end(key)
            while self._size > MOST_LISTED or len(self._kept) > MOST_LISTS:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._size -= len(oldest)


def _numbers(db: sqlite3.Connection, what: str, where: Where) -> array[int]:
    """A list, made by SQLite as one text: row by row, Python would take three times as long, and
    nothing else would run meanwhile.
    """
    distinct = "DISTINCT" if what == "user_id" else ""
    inner = (
        f"SELECT {distinct} {what} AS number FROM roster_enrollments WHERE {where.text} ORDER "
        f"BY {what}"
    )
    text: str = db.execute(
        f"SELECT json_group_array(number) FROM ({inner})", where.values
    ).fetchone()[0]
    return array("q", orjson.loads(text))


def _brought_up(
    db: sqlite3.Connection, course: int, where: Where, version: int, numbers: array[int]
) -> array[int]:
    """A list of enrollments as of an earlier version, with what has changed since."""
    query = "SELECT DISTINCT enrollment_id FROM course_changes WHERE course_id = ? AND version > ?"
    changed = [number for (number,) in db.execute(query, (course, version))]
    listed = set[int]()
    for start in range(0, len(changed), MOST_NAMED):
        some = where & among("enrollment_id", changed[start : start + MOST_NAMED])
        listed.update(
            number
            for (number,) in db.execute(
                f"SELECT enrollment_id FROM roster_enrollments WHERE {some.text}", some.values
            )
        )
    numbers = numbers[:]
    for number in changed:
        place = bisect_left(numbers, number)
        is_there = place < len(numbers) and numbers[place] == number
        if number in listed and not is_there:
            numbers.insert(place, number)
        elif is_there and number not in listed:
            del numbers[place]
    return numbers
