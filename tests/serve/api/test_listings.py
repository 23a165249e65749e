"""Lists that are kept in memory: whatever happens to the replica, each is what a query over all
rows finds in the same transaction.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollcall.serve.api import listings as listings_module
from rollcall.serve.api.conditions import Where
from rollcall.serve.api.listings import Listings
from rollcall.serve.api.queries import enrollments_where
from rollcall.serve.replica import store as store_module
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.replica.tables import TABLES

ENROLLMENTS = next(table for table in TABLES if table.name == "enrollments")
STATES = ("active", "invited", "deleted", "completed", "inactive")
TYPES = ("StudentEnrollment", "TeacherEnrollment", "TaEnrollment")
CONDITIONS = [
    enrollments_where(types, states)
    for types in ((), TYPES[:1], TYPES[:2])
    for states in (
        None,
        (("active", "invited"), ()),
        ((), ("pending_active",)),
        (("active",), ("pending_active",)),
    )
]
STEPS = 250


class Play:
    """A replica to which things happen at random, and lists of it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = ReplicaStore(path, "canvas")
        self.listings = Listings()
        self.snapshots: list[sqlite3.Connection] = []
        self.compared = 0

    def row(self, course: int, enrollment: int) -> tuple[Any, ...]:
        """An enrollment."""
        chance, state = self.random, self.random.choice(STATES)
        known: dict[str, Any] = {
            "course_id": course,
            "enrollment_id": enrollment,
            "user_id": chance.randint(1, 30),
            "type": chance.choice(TYPES),
        }
        known |= {
            "enrollment_state": state,
            "state": chance.choice([state, "pending_active"]),
            "as_of": "2024",
        }
        return tuple(known.get(name) for name in ENROLLMENTS.columns)

    def step(self) -> None:
        """Something happens, or somebody asks."""
        chance = self.random
        dice = chance.random()
        if dice < 0.45:
            keys = {
                (chance.randint(1, 3), chance.randint(1, 40))
                for _ in range(chance.choice([1, 1, 2, 5, 20]))
            }
            batch = {
                "enrollments": {
                    key: None if chance.random() < 0.3 else self.row(*key) for key in keys
                }
            }
            if chance.random() < 0.1:
                with pytest.raises(sqlite3.Error):
                    # it fails at the end
                    self.store.apply(batch, {("topic", 0): object()}, with_changes=True)  # type: ignore[dict-item]
            else:
                self.store.apply(batch, {("topic", 0): 1}, with_changes=chance.random() < 0.85)
        elif dice < 0.48:
            self.store.rebuild("a test wants it")
        elif dice < 0.56 and len(self.snapshots) < 4:
            self.snapshots.append(self.connected())
        elif dice < 0.62 and self.snapshots:
            self.snapshots.pop(chance.randrange(len(self.snapshots))).close()
        else:
            with self.reading() as database:
                self.compare(database)

    def connected(self) -> sqlite3.Connection:
        """A connection that sees the state of now for as long as it is open."""
        database = sqlite3.connect(
            f"{self.store.path.as_uri()}?mode=ro", uri=True, isolation_level=None
        )
        database.execute("BEGIN")
        database.execute("SELECT 1 FROM meta").fetchone()
        return database

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Of now, or of an earlier time."""
        if self.snapshots and self.random.random() < 0.4:
            yield self.random.choice(self.snapshots)
        else:
            with closing(self.connected()) as database:
                yield database

    def compare(self, database: sqlite3.Connection) -> None:
        """A list from memory, and one from all rows."""
        course, what = (
            self.random.randint(1, 3),
            self.random.choice(["enrollment_id", "enrollment_id", "user_id"]),
        )
        where = Where("course_id = ?", (course,)) & self.random.choice(CONDITIONS)
        found = list(self.listings.listing(database, course, what, where))
        distinct = "DISTINCT" if what == "user_id" else ""
        query = (
            f"SELECT {distinct} {what} FROM roster_enrollments WHERE {where.text} ORDER BY {what}"  # noqa: S608
        )
        assert found == [number for (number,) in database.execute(query, where.values)]
        self.compared += 1


@pytest.mark.parametrize("seed", range(12))
def test_a_list_in_memory_is_that_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Rows come and go, told or not; transactions fail; files are made anew; and some who ask still
    see an earlier state.
    """
    chance = random.Random(seed)
    versions = chance.choice([1, 2, 5, 200])
    monkeypatch.setattr(store_module, "KEPT_VERSIONS", versions)
    monkeypatch.setattr(listings_module, "KEPT_VERSIONS", versions)
    monkeypatch.setattr(listings_module, "MOST_IDS", chance.choice([50, 500, 4_000_000]))
    monkeypatch.setattr(listings_module, "MOST_PLACEHOLDERS", chance.choice([2, 1_000]))
    play = Play(tmp_path / "replica.sqlite", seed)
    try:
        for _ in range(STEPS):
            play.step()
    finally:
        for snapshot in play.snapshots:
            snapshot.close()
        play.store.close()
    assert play.compared > STEPS / 5
