"""The replica's content, for its one writer: reads its state, and writes batches.

Rows and the positions in the topics are written in one transaction: after a crash the positions
fit the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rollcall.serve.replica.file import ReplicaFile, transaction
from rollcall.serve.replica.tables import TABLES, Columns, Key, Table

KEPT_VERSIONS = 200
"""Versions of a course whose changed enrollments are kept."""

_NEXT_VERSION = (
    "INSERT INTO course_versions SELECT ?, value, value FROM meta WHERE name = "
    "'first_version' ON CONFLICT (course_id) DO UPDATE SET version = version + 1"
)


Place = tuple[str, int]
"""A topic and a partition."""


class ChangedRow(NamedTuple):
    """A row that a batch has changed."""

    table: Table
    key: Key
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class ReplicaStore:
    """Content of the file, which is locked for this writer. Has to be closed.

    Args:
        prefix: of the topics.

    Raises:
        ReplicaError: another process writes the file, or it cannot be opened.
        ConfigurationError: the file is not Rollcall's, or cannot be created.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self._file = ReplicaFile(path, prefix)
        try:
            self._database = self._file.open()
        except BaseException:
            self._file.release()
            raise

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._file.path

    def is_there(self) -> bool:
        """Whether the open file still has its name: it was neither removed nor replaced."""
        return self._file.is_there()

    def reopen(self) -> None:
        """Open the file of this name; create it if there is none. Raises like the class."""
        self._database.close()
        self._database = self._file.open()

    def close(self) -> None:
        """Close the file, and release its lock."""
        self._database.close()
        self._file.release()

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
        with transaction(self._database):
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
        with transaction(self._database):
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
        with transaction(self._database):
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
        self._database.close()
        self._database = self._file.replace(reason)

    def _meta(self, name: str) -> str | None:
        found = self._database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def _set_meta(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
