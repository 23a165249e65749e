"""Reading the replica while it is written: connections that cannot write, each in a thread of its
own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rollcall.serve.replica.derived import folded, sortable_name
from rollcall.serve.replica.store import is_damage

Result = TypeVar("Result")

THREADS = 4
"""Queries take a fraction of a millisecond; several at once only so that a long one does not hold
the others up.
"""

CACHE_KIB = 16 * 1024

_STEPS = 20_000
"""Of SQLite's machine, between two looks at whether somebody still waits for the answer: some
milliseconds.
"""


class ReplicaUnavailableError(Exception):
    """There is no replica, or none that can be read."""


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that queries use: ``folded`` and ``sortable``."""
    connection.create_function("folded", 1, folded, deterministic=True)
    connection.create_function("sortable", 1, sortable_name, deterministic=True)


class ReplicaReader:
    """Runs functions on a connection, each in one read transaction: whatever it asks, it sees the
    same state. Close it in the end.

    Args:
        on_damage: called, in any thread, when the file turns out to be damaged.
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
        """Run a function in a thread. When the caller is cancelled, the query is given up.

        Raises:
            ReplicaUnavailableError: there is no replica that can be read, or it is not complete
                yet.
        """
        abandoned = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._run, function, abandoned
            )
        finally:
            abandoned.set()

    def _run(
        self, function: Callable[[sqlite3.Connection], Result], abandoned: threading.Event
    ) -> Result:
        try:
            connection = self._connection()
            connection.set_progress_handler(abandoned.is_set, _STEPS)
            connection.execute("BEGIN")
            try:
                # In the same transaction: a file that has just been made anew has nothing in it,
                # and that would be an answer.
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
            self._drop()
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._on_damage()
            raise ReplicaUnavailableError(f"the replica cannot be read ({error})") from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, to the file that is there now: a replica that was made anew is
        another file.
        """
        inode = self._path.stat().st_ino
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "known", None)
        if known is not None and known[0] == inode:
            return known[1]
        self._drop()
        # Another thread may close it, in the end.
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

    def _drop(self) -> None:
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "known", None)
        if known is not None:
            known[1].close()
            self._open.discard(known[1])
            del self._local.known
