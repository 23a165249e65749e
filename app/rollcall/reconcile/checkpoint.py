"""How far a run is, in a file: a run that was killed goes on from there, and memory is bounded.

Each course is written in one transaction, after Kafka has acknowledged its snapshots. To repeat a
course is harmless.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.reconcile.facts import Entity
from rollcall.reconcile.summary import Summary
from rollcall.serve.replica.file import transaction

VERSION = 1

RESUMABLE_SECONDS = 86_400.0
"""A run that began earlier is not resumed: what it has read is too old."""

_TABLES = (
    "meta (name TEXT PRIMARY KEY, value TEXT)",
    "courses (course TEXT PRIMARY KEY, is_empty INTEGER)",
    "sections (section TEXT PRIMARY KEY)",
    "users (user TEXT PRIMARY KEY)",
    "new_groups (group_id TEXT PRIMARY KEY, course TEXT)",
    "canaries (enrollment TEXT PRIMARY KEY)",
    "candidates (entity TEXT, id TEXT, course TEXT, group_id TEXT, PRIMARY KEY (entity, id))",
)


class CheckpointError(RollcallError):
    """The file cannot be written any more."""


class Candidate(NamedTuple):
    """A row that Canvas's complete lists do not show as living."""

    entity: Entity
    id: str
    course: str
    """Course whose list does not show it; ``account:<id>`` for groups of an account."""
    group: str = ""
    """Of a membership."""


class CourseResult(NamedTuple):
    """What is kept of a course until all courses are read."""

    is_empty: bool = False
    """Whether its complete list of enrollments is empty."""
    sections: Iterable[str] = ()
    """Those that Canvas lists."""
    candidates: Iterable[Candidate] = ()
    new_groups: Iterable[str] = ()
    """Groups that had no row."""
    deleted: Iterable[str] = ()
    """Some enrollments that Canvas shows as deleted."""


class Checkpoint:
    """The file of a run. Has to be closed.

    Args:
        scope: what the run is about. A run with another scope cannot be resumed.
        run: name of the run, if it is a new one.
        is_resumed: go on with the run in the file, if it is unfinished and of today.

    Raises:
        ConfigurationError: the file cannot be used, or has another scope.
    """

    def __init__(self, path: Path, *, scope: str, run: str, is_resumed: bool) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            known = self._known(path) if is_resumed else None
            if known is not None and known != scope:
                raise ConfigurationError(
                    f"the run that was interrupted was of {known}, and not of {scope}; give the "
                    "same options, or leave out --resume"
                )
            if known is None:
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._database = _connected(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"{str(path)!a} cannot be used ({error}); set ROLLCALL_DATA"
            ) from None
        self.is_resumed = known is not None
        """Whether it goes on with an earlier run."""
        if known is None:
            self._create(scope, run)
        self.run = str(self._meta("run"))
        """Name of the run."""

    def _known(self, path: Path) -> str | None:
        """The scope of an unfinished run in the file."""
        if not path.exists():
            return None
        with contextlib.closing(_connected(path)) as database:
            if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                return None
            found = dict(database.execute("SELECT name, value FROM meta"))
        is_old = time.time() - float(found["began"]) > RESUMABLE_SECONDS
        return None if "finished" in found or is_old else found["scope"]

    def _create(self, scope: str, run: str) -> None:
        with self._transaction():
            for table in _TABLES:
                self._database.execute(f"CREATE TABLE {table}")
            self._database.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("scope", scope), ("run", run), ("began", str(time.time()))],
            )
            self._database.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- progress

    def load(self, summary: Summary) -> None:
        """Add the counts of the run so far."""
        if (found := self._meta("summary")) is not None:
            summary.load(orjson.loads(found))

    def is_read(self, course: str) -> bool:
        """Whether a course was read to the end."""
        return bool(self._ids("SELECT 1 FROM courses WHERE course = ?", course))

    def is_empty(self, course: str) -> bool:
        """Whether Canvas listed no enrollment of a course."""
        return bool(self._ids("SELECT 1 FROM courses WHERE course = ? AND is_empty", course))

    def note(self, course: str, result: CourseResult, users: Iterable[str], total: Summary) -> None:
        """Store that a course was read, and the counts of the run with it."""
        with self._transaction():
            many = self._database.executemany
            many("INSERT OR REPLACE INTO courses VALUES (?, ?)", [(course, result.is_empty)])
            many("INSERT OR IGNORE INTO sections VALUES (?)", _single(result.sections))
            many("INSERT OR IGNORE INTO users VALUES (?)", _single(users))
            many("INSERT OR IGNORE INTO canaries VALUES (?)", _single(result.deleted))
            many(
                "INSERT OR IGNORE INTO new_groups VALUES (?, ?)",
                [(group, course) for group in result.new_groups],
            )
            many("INSERT OR REPLACE INTO candidates VALUES (?, ?, ?, ?)", result.candidates)
            self._set_meta("summary", orjson.dumps(total.as_json()).decode())

    def finish(self) -> None:
        """Store that the run has ended: it cannot be resumed."""
        with self._transaction():
            self._set_meta("finished", "1")

    # --- what was found

    def knows_user(self, user: str) -> bool:
        """Whether a user was compared in this run."""
        return bool(self._ids("SELECT 1 FROM users WHERE user = ?", user))

    def lists_section(self, section: str) -> bool:
        """Whether Canvas lists a section in any course of the run."""
        return bool(self._ids("SELECT 1 FROM sections WHERE section = ?", section))

    def canaries(self, limit: int) -> list[str]:
        """Enrollments that Canvas showed as deleted."""
        return self._ids("SELECT enrollment FROM canaries LIMIT ?", limit)

    def new_groups(self) -> list[tuple[str, str]]:
        """Groups that had no row, with their courses."""
        found = self._database.execute("SELECT group_id, course FROM new_groups ORDER BY group_id")
        return [(group, course) for group, course in found]

    def candidates(self) -> list[Candidate]:
        """All candidates for absence, by course."""
        return [
            Candidate(Entity(entity), *rest)
            for entity, *rest in self._database.execute(
                "SELECT entity, id, course, group_id FROM candidates ORDER BY course, entity, id"
            )
        ]

    def _ids(self, statement: str, *values: str | int) -> list[str]:
        return [found[0] for found in self._database.execute(statement, values)]

    def _meta(self, name: str) -> str | None:
        found = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def _set_meta(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with transaction(self._database):
                yield
        except sqlite3.Error as error:
            raise CheckpointError(
                f"{str(self._path)!a} cannot be written ({error}); look at the disk, and run again "
                "with --resume"
            ) from None


def _single(values: Iterable[str]) -> list[tuple[str]]:
    return [(value,) for value in values]


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database
