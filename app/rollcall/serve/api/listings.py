"""Lists of ids of large courses, in memory.

To read 50,000 rows for each page would take longer than the rest of a request.
"""

from __future__ import annotations

import sqlite3
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict

import orjson

from rollcall.serve.api.conditions import MOST_PLACEHOLDERS, Where, among
from rollcall.serve.replica.store import KEPT_VERSIONS

MOST_IDS = 4_000_000
"""Limit of ids in all lists together; each takes 8 bytes."""

MOST_LISTS = 2_000

ListKey = tuple[int, str, Where]
"""A course, the column of the ids, and a condition."""


class Listings:
    """Ids of a course's enrollments or users that fulfil a condition.

    The replica has a version of each course's enrollments, and the enrollments that have changed
    since recent versions (``ReplicaStore.apply``). So a list always has exactly the state that the
    caller's transaction sees.
    """

    def __init__(self) -> None:
        self._lists: OrderedDict[ListKey, tuple[int, array[int]]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._locks: dict[ListKey, threading.Lock] = {}

    def listing(self, db: sqlite3.Connection, course: int, column: str, where: Where) -> array[int]:
        """Ids in ascending order.

        Args:
            column: ``enrollment_id`` or ``user_id``.
            where: a condition on the course and on columns of its enrollments only.
        """
        found = db.execute(
            "SELECT version, told_from FROM course_versions WHERE course_id = ?", (course,)
        ).fetchone()
        version, changes_from = found or (0, 0)
        key = (course, column, where)
        known = self._known(key)
        if known is not None and known[0] == version:
            return known[1]
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # of several requests for the same list, one makes it
            try:
                known = self._known(key)
                if known is not None and known[0] == version:
                    return known[1]
                if (
                    known is not None
                    and column == "enrollment_id"
                    and max(changes_from, version - KEPT_VERSIONS) <= known[0] < version
                ):
                    numbers = _updated(db, course, where, *known)
                else:
                    numbers = _numbers(db, column, where)
                self._put(key, version, numbers)
            finally:  # also if another request has made it, or if the request was cancelled
                with self._lock:
                    self._locks.pop(key, None)
        return numbers

    def _known(self, key: ListKey) -> tuple[int, array[int]] | None:
        with self._lock:
            known = self._lists.get(key)
            if known is not None:
                self._lists.move_to_end(key)
            return known

    def _put(self, key: ListKey, version: int, numbers: array[int]) -> None:
        with self._lock:
            previous = self._lists.get(key)
            self._size += len(numbers) - (0 if previous is None else len(previous[1]))
            self._lists[key] = (version, numbers)
            self._lists.move_to_end(key)
            while self._size > MOST_IDS or len(self._lists) > MOST_LISTS:
                _, (_, oldest) = self._lists.popitem(last=False)
                self._size -= len(oldest)


def _numbers(db: sqlite3.Connection, column: str, where: Where) -> array[int]:
    """A list from the replica. SQLite returns it as one text: row by row, Python would take three
    times as long, and would block other threads.
    """
    distinct = "DISTINCT" if column == "user_id" else ""
    inner = (
        f"SELECT {distinct} {column} AS number FROM roster_enrollments WHERE {where.text} ORDER "
        f"BY {column}"
    )
    text: str = db.execute(
        f"SELECT json_group_array(number) FROM ({inner})", where.values
    ).fetchone()[0]
    return array("q", orjson.loads(text))


def _updated(
    db: sqlite3.Connection, course: int, where: Where, version: int, numbers: array[int]
) -> array[int]:
    """A list of enrollments of an earlier version, with the changes since."""
    query = "SELECT DISTINCT enrollment_id FROM course_changes WHERE course_id = ? AND version > ?"
    changed = [number for (number,) in db.execute(query, (course, version))]
    matching = set[int]()
    for start in range(0, len(changed), MOST_PLACEHOLDERS):
        batch = where & among("enrollment_id", changed[start : start + MOST_PLACEHOLDERS])
        matching.update(
            number
            for (number,) in db.execute(
                f"SELECT enrollment_id FROM roster_enrollments WHERE {batch.text}", batch.values
            )
        )
    numbers = numbers[:]
    for number in changed:
        index = bisect_left(numbers, number)
        is_listed = index < len(numbers) and numbers[index] == number
        if number in matching and not is_listed:
            numbers.insert(index, number)
        elif is_listed and number not in matching:
            del numbers[index]
    return numbers
