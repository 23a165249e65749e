"""The replica's file, for its one writer: opens it, checks it, rebuilds it, and writes batches.

Rows and the positions in the topics are written in one transaction: after a crash the positions
fit the rows.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.serve.replica.tables import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    TABLES,
    Columns,
    Key,
    Table,
)

log = logging.getLogger(__name__)

_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
_APPLICATION_ID_AT = slice(68, 72)

CACHE_KIB = 64 * 1024
"""Cache of the writer: the indexes of a million rows stay in memory while they are built."""

WAL_BYTES = 64 * 1024**2
"""Size to which the write-ahead log is cut after it was copied into the file. It grows during a
long read transaction.
"""

LOCK_SECONDS = 5.0
"""Time to wait for another process that has locked the file."""

KEPT_VERSIONS = 200
"""Versions of a course whose changed enrollments are kept."""

_NEXT_VERSION = (
    "INSERT INTO course_versions SELECT ?, value, value FROM meta WHERE name = "
    "'first_version' ON CONFLICT (course_id) DO UPDATE SET version = version + 1"
)


class ReplicaError(RollcallError):
    """The replica's file cannot be used."""


_OTHER_TABLES = {
    "meta": ("name", "value"),
    "topics": ("topic", "topic_id"),
    "positions": ("topic", "partition", "position"),
    "course_versions": ("course_id", "version", "told_from"),
    "course_changes": ("course_id", "version", "enrollment_id"),
}

Place = tuple[str, int]
"""A topic and a partition."""


class ChangedRow(NamedTuple):
    """A row that a batch has changed."""

    table: Table
    key: Key
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class ReplicaStore:
    """The file, locked for its one writer. Has to be closed.

    Args:
        prefix: of the topics.

    Raises:
        ReplicaError: another process writes the file, or it cannot be opened.
        ConfigurationError: the file is not Rollcall's, or cannot be created.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self.path = path
        self._prefix = prefix
        self._lock = _locked(path)
        try:
            self._database = self._opened()
        except BaseException:
            self._lock.close()
            raise

    def is_there(self) -> bool:
        """Whether the open file still has its name: it was neither removed nor replaced."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def reopen(self) -> None:
        """Open the file of this name; create it if there is none. Raises like the class."""
        self._database.close()
        self._database = self._opened()

    def close(self) -> None:
        """Close the file, and release its lock."""
        self._database.close()
        self._lock.close()

    # --- what it contains

    @property
    def positions(self) -> dict[Place, int]:
        """Next offset of each partition. Empty: nothing was read."""
        return {
            (topic, partition): position
            for topic, partition, position in self._database.execute(
                "SELECT topic, partition, position FROM positions"
            )
        }

    @property
    def followed_until(self) -> float:
        """Last time when the file had all records; seconds since the epoch, 0: never."""
        return float(self._meta("followed_until") or 0.0)

    @property
    def made_at(self) -> float:
        """Time when the file was created; seconds since the epoch."""
        return float(self._meta("made_at") or 0.0)

    @property
    def row_counts(self) -> dict[str, int]:
        """Number of rows by relation."""
        return {
            table.name: self._database.execute(f"SELECT count(*) FROM {table.table}").fetchone()[0]
            for table in TABLES
        }

    @property
    def topic_ids(self) -> dict[str, str]:
        """Kafka's ids of the rows' topics by name, as far as known."""
        return dict(self._database.execute("SELECT topic, topic_id FROM topics"))

    @property
    def cluster(self) -> str | None:
        """Kafka's id of the rows' cluster; None: not known yet."""
        return self._meta("cluster")

    # --- writing

    def belongs_to(self, cluster: str, topic_ids: Mapping[str, str]) -> None:
        """Store the ids of the rows' cluster and topics."""
        with self._transaction():
            self._set_meta("cluster", cluster)
            self._database.executemany(
                "INSERT OR REPLACE INTO topics VALUES (?, ?)", topic_ids.items()
            )

    def apply(
        self,
        rows: Mapping[str, Mapping[Key, Columns | None]],
        positions: Mapping[Place, int],
        *,
        with_changes: bool = False,
    ) -> tuple[list[ChangedRow], dict[str, int]]:
        """Write a batch in one transaction.

        Returns changed rows, and the growth of each relation in rows.

        Args:
            rows: by relation's name, the last one of each key; None: the row is removed.
            positions: next offsets after the batch.
            with_changes: whether to return changed rows, which costs reading the rows before.
        """
        changes: list[ChangedRow] = []
        grown: dict[str, int] = {}
        with self._transaction():
            for table in TABLES:
                batch = rows.get(table.name)
                if batch:
                    if with_changes:
                        changes += self._changes(table, batch)
                    grown[table.name] = self._write(table, batch, with_changes)
            self._database.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(*place, position) for place, position in positions.items()],
            )
        return changes, grown

    def note_complete(self, at: float) -> None:
        """Store that the file had all records at a time, in seconds since the epoch."""
        with self._transaction():
            for table in TABLES:
                for statement in table.index_ddl():
                    self._database.execute(statement)
            self._set_meta("followed_until", repr(at))

    def _changes(self, table: Table, batch: Mapping[Key, Columns | None]) -> Iterator[ChangedRow]:
        names = table.columns
        for key, after in batch.items():
            before = self._database.execute(table.select, key).fetchone()
            if before != after:
                yield ChangedRow(
                    table,
                    key,
                    *(
                        None if row is None else dict(zip(names, row, strict=True))
                        for row in (before, after)
                    ),
                )

    def _write(self, table: Table, batch: Mapping[Key, Columns | None], with_changes: bool) -> int:
        # Sorted, because the index is sorted by key.
        keys = sorted(batch)
        removed = self._database.executemany(table.delete, keys).rowcount
        rows = [row for key in keys if (row := batch[key]) is not None]
        self._database.executemany(table.insert, rows)
        if table.name == "enrollments":
            self._update_versions(keys, with_changes)
        return len(rows) - max(removed, 0)

    def _update_versions(self, keys: Iterable[Key], with_changes: bool) -> None:
        """Increase the version of courses with changed enrollments. With changes, also store which
        enrollments have changed, so that lists in memory can be updated.
        """
        by_course: dict[int, list[int]] = {}
        for course, enrollment in keys:
            by_course.setdefault(course, []).append(enrollment)
        if not with_changes:
            self._database.executemany(
                _NEXT_VERSION + ", told_from = version + 1", [(course,) for course in by_course]
            )
            return
        for course, enrollments in by_course.items():
            version = self._database.execute(
                _NEXT_VERSION + " RETURNING version", (course,)
            ).fetchone()[0]
            self._database.execute(
                "DELETE FROM course_changes WHERE course_id = ? AND version <= ?",
                (course, version - KEPT_VERSIONS),
            )
            self._database.executemany(
                "INSERT INTO course_changes VALUES (?, ?, ?)",
                [(course, version, enrollment) for enrollment in enrollments],
            )

    def rebuild(self, reason: str) -> None:
        """Replace the file by an empty one; all topics have to be read again.

        Args:
            reason: for the log.
        """
        log.warning("the replica is made anew: %s", reason, extra={"path": str(self.path)})
        self._database.close()
        self._database = self._created()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._database.in_transaction:  # SQLite itself rolls back if the disk is full
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    # --- the file

    def _opened(self) -> sqlite3.Connection:
        try:
            if not self.path.exists() or self.path.stat().st_size == 0:
                return self._created()
            with self.path.open("rb") as file:
                header = file.read(_HEADER_BYTES)
        except OSError as error:
            raise ConfigurationError(
                f"the replica {self.path} cannot be read ({error.strerror}); set ROLLCALL_REPLICA"
            ) from None
        if (
            header[: len(_MAGIC)] != _MAGIC
            or int.from_bytes(header[_APPLICATION_ID_AT], "big") != APPLICATION_ID
        ):
            # The file may be of another program, so it stays.
            raise ConfigurationError(
                f"{self.path} is no replica of Rollcall: remove it, or set ROLLCALL_REPLICA to "
                "another path"
            )
        problem = self._problem()
        if problem is None:
            return self._connected()
        log.warning("the replica is made anew: %s", problem, extra={"path": str(self.path)})
        return self._created()

    def _problem(self) -> str | None:
        """Why the file has to be rebuilt; None: it can be used."""
        try:
            with contextlib.closing(self._connected()) as database:
                version = database.execute("PRAGMA user_version").fetchone()[0]
                if version != SCHEMA_VERSION:
                    return (
                        f"its schema is version {version}, and this release has version "
                        f"{SCHEMA_VERSION}"
                    )
                found = database.execute("SELECT value FROM meta WHERE name = 'prefix'").fetchone()
                if found != (self._prefix,):
                    return f"it holds the topics {found and found[0]}.*, and not {self._prefix}.*"
                tables = {table.table: table.columns for table in TABLES} | _OTHER_TABLES
                for name, columns in tables.items():
                    database.execute(f"SELECT {', '.join(columns)} FROM {name} LIMIT 1").fetchone()
                return None
        except sqlite3.DatabaseError as error:
            # the latter: a table is missing
            if is_damage(error) or error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                return f"it is damaged ({error})"
            # The file is locked, or the disk is full. Its content is fine.
            raise ReplicaError(
                f"the replica {self.path} cannot be opened ({error}); see who has it open, and "
                "whether its disk is full"
            ) from None

    def _created(self) -> sqlite3.Connection:
        """Create an empty file. It gets its name when it is complete, so a process that is killed
        meanwhile leaves no broken file.
        """
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            _remove(new)
            # it holds names of people
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with contextlib.closing(_connected(new)) as database:
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute("BEGIN IMMEDIATE")
                for statement in _statements():
                    database.execute(statement)
                # Random, because readers may have lists of an earlier file in memory: no version of
                # this file may be equal to one of theirs.
                known = {
                    "prefix": self._prefix,
                    "made_at": repr(time.time()),
                    "first_version": secrets.randbelow(2**62),
                }
                database.executemany("INSERT INTO meta VALUES (?, ?)", known.items())
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                database.execute("COMMIT")
            _remove(self.path)
            new.replace(self.path)
            return self._connected()
        except (OSError, sqlite3.OperationalError) as error:
            raise ConfigurationError(
                f"the replica cannot be made at {self.path} ({error}); set ROLLCALL_REPLICA"
            ) from None

    def _connected(self) -> sqlite3.Connection:
        self._inode = self.path.stat().st_ino
        return _connected(self.path)

    def _meta(self, name: str) -> str | None:
        found = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def _set_meta(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged. Other errors are a lock or a full disk."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connected(path: Path) -> sqlite3.Connection:
    # One thread may open it and another one write; they never do so at the same time.
    database = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"cache_size = -{CACHE_KIB}",
        f"journal_size_limit = {WAL_BYTES}",
        "temp_store = MEMORY",
    ):
        database.execute(f"PRAGMA {pragma}")
    return database


def _statements() -> Iterable[str]:
    yield "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID"
    yield "CREATE TABLE topics (topic TEXT PRIMARY KEY, topic_id TEXT) WITHOUT ROWID"
    yield (
        "CREATE TABLE positions (topic TEXT, partition INTEGER, position INTEGER, PRIMARY KEY "
        "(topic, partition)) WITHOUT ROWID"
    )
    # Enrollments of a course that each version has changed. Complete from version told_from on, and
    # for the last KEPT_VERSIONS.
    yield (
        "CREATE TABLE course_versions (course_id INTEGER PRIMARY KEY, version INTEGER, "
        "told_from INTEGER)"
    )
    key = "PRIMARY KEY (course_id, version, enrollment_id)"
    yield (
        "CREATE TABLE course_changes (course_id INTEGER, version INTEGER, enrollment_id "
        f"INTEGER, {key}) WITHOUT ROWID"
    )
    for table in TABLES:
        yield from table.ddl()


def _locked(path: Path) -> IO[bytes]:
    """A locked file beside the replica. The lock ends with the process, also after a crash."""
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("ab")
    except OSError as error:
        raise ConfigurationError(
            f"the replica cannot be kept at {path} ({error.strerror}); set ROLLCALL_REPLICA"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ReplicaError(
            f"another process writes the replica {path}: end it, or set ROLLCALL_REPLICA to "
            "another path"
        ) from None
    return lock


def _remove(path: Path) -> None:
    # The file first: without its write-ahead log it would be damaged.
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
