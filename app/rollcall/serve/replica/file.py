"""The replica's file: locks, checks, creates and opens it for its one writer."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from rollcall.errors import ConfigurationError, RollcallError
from rollcall.serve.replica.tables import APPLICATION_ID, SCHEMA_VERSION, TABLES

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

_OTHER_TABLES = {
    "meta": ("name", "value"),
    "topics": ("topic", "topic_id"),
    "positions": ("topic", "partition", "position"),
    "course_versions": ("course_id", "version", "told_from"),
    "course_changes": ("course_id", "version", "enrollment_id"),
}


class ReplicaError(RollcallError):
    """The replica's file cannot be used."""


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction that writes, around the block. An error in the block undoes it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:  # SQLite itself rolls back if the disk is full
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


class ReplicaFile:
    """The file, locked for its one writer until :meth:`release`.

    Args:
        prefix: of the topics.

    Raises:
        ReplicaError: another process writes the file.
        ConfigurationError: the file cannot be at this path.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self.path = path
        self._prefix = prefix
        self._lock = _locked(path)

    def release(self) -> None:
        """Release the lock."""
        self._lock.close()

    def is_there(self) -> bool:
        """Whether the open file still has its name: it was neither removed nor replaced."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def open(self) -> sqlite3.Connection:
        """A connection to the file. Creates it if there is none, and rebuilds it if it cannot be
        used.

        Raises:
            ReplicaError: the file cannot be opened now.
            ConfigurationError: the file is not Rollcall's, or cannot be created.
        """
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
        return self.replace(problem)

    def replace(self, reason: str) -> sqlite3.Connection:
        """A connection to an empty file that replaces this one.

        Args:
            reason: for the log.
        """
        log.warning("the replica is made anew: %s", reason, extra={"path": str(self.path)})
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
    # for the last KEPT_VERSIONS (store.py).
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
