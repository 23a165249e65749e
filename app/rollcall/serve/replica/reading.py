"""Queries on the replica while it is written: read-only connections, one for each thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rollcall.serve.replica.derived import folded, sortable_name
from rollcall.serve.replica.file import is_damage

Result = TypeVar("Result")

THREADS = 4
"""Queries take a fraction of a millisecond. There are several threads so that a long query does not
delay the others.
"""

CACHE_KIB = 16 * 1024

_STEPS = 20_000
"""Steps of SQLite's virtual machine between two checks whether the query was cancelled: some
milliseconds.
"""


class ReplicaUnavailableError(Exception):
    """The replica does not exist, is incomplete, or cannot be read."""


def add_functions(connection: sqlite3.Connection) -> None:
    """Add the SQL functions ``folded`` and ``sortable`` to a connection."""
    connection.create_function("folded", 1, folded, deterministic=True)
    connection.create_function("sortable", 1, sortable_name, deterministic=True)


class ReplicaReader:
    """Runs functions on a connection, each in one read transaction, in which all queries see the
    same state. Has to be closed.

    Args:
        on_damage: called, in any thread, if the file is damaged.
    """

    def __init__(self, path: Path, on_damage: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._on_damage = on_damage
        self._local = threading.local()
        self._open: set[sqlite3.Connection] = set()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="replica")

    def close(self) -> None:
        """End the threads and their connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        while self._open:
            self._open.pop().close()

    async def read(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run a function in a thread. If the caller is cancelled, so is the running query.

        Raises:
            ReplicaUnavailableError: the replica cannot be read, or is not complete yet.
        """
        cancelled = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._run, function, cancelled
            )
        finally:
            cancelled.set()

    def _run(
        self, function: Callable[[sqlite3.Connection], Result], cancelled: threading.Event
    ) -> Result:
        try:
            connection = self._connection()
            connection.set_progress_handler(cancelled.is_set, _STEPS)
            connection.execute("BEGIN")
            try:
                # In the same transaction, because the file may have been rebuilt just now. An empty
                # file would give a wrong answer.
                if (
                    connection.execute(
                        "SELECT 1 FROM meta WHERE name = 'followed_until'"
                    ).fetchone()
                    is None
                ):
                    raise ReplicaUnavailableError("the replica is not complete yet")
                return function(connection)
            finally:
                connection.execute("ROLLBACK")
        except (sqlite3.DatabaseError, OSError) as error:
            self._disconnect()
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._on_damage()
            raise ReplicaUnavailableError(f"the replica cannot be read ({error})") from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection to the present file. A rebuilt replica is another file."""
        inode = self._path.stat().st_ino
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "known", None)
        if known is not None and known[0] == inode:
            return known[1]
        self._disconnect()
        # `close` runs in another thread.
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=5,
            check_same_thread=False,
        )
        self._open.add(connection)
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        add_functions(connection)
        self._local.known = (inode, connection)
        return connection

    def _disconnect(self) -> None:
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "known", None)
        if known is not None:
            known[1].close()
            self._open.discard(known[1])
            del self._local.known
