"""Writes facts to the raw topic as snapshot events."""

from __future__ import annotations

import asyncio

import orjson

from rollcall.ingest.raw_records import SOURCE_HEADER, RawKeys, RawRecord
from rollcall.ingest.sink import KafkaSink
from rollcall.reconcile.facts import Fact
from rollcall.rosters.registers import as_of

MOST_PENDING = 2_000
"""Snapshots that Kafka has not acknowledged."""

HEADERS = ((SOURCE_HEADER, b"reconcile"),)


def snapshot_event(fact: Fact, root_account_id: str, run: str) -> bytes:
    """The event of a fact. Its time has milliseconds, cut: it must not be too late."""
    return orjson.dumps(fact.event(root_account_id, run, as_of(fact.time)))


class SnapshotWriter:
    """Writes the facts of a run through a started sink.

    Args:
        root_account_id: global id of the root account.
        run: name of the run.
    """

    def __init__(self, sink: KafkaSink, keys: RawKeys, *, root_account_id: str, run: str) -> None:
        self._sink = sink
        self._keys = keys
        self._root = root_account_id
        self._run = run
        self._pending: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    def begin(self, fact: Fact) -> None:
        """Begin to write a fact.

        Raises:
            RecordTooLargeError: the raw topic takes no record of its size.
        """
        value = snapshot_event(fact, self._root, self._run)
        task = self._sink.begin(RawRecord(self._keys.key(value), value, HEADERS))
        self._pending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    async def make_room(self) -> None:
        """Wait while too many facts are not acknowledged. Raises like :meth:`flush`."""
        await self._wait(MOST_PENDING)

    async def flush(self) -> None:
        """Return when Kafka has acknowledged all facts.

        Raises:
            RecordRefusedError, KafkaAwayError: it has not, and will not.
        """
        await self._wait(0)

    async def _wait(self, most: int) -> None:
        while len(self._pending) > most and self._failure is None:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
        if self._failure is not None:
            raise self._failure


class NoWriter:
    """Writes nothing, for a dry run."""

    def begin(self, fact: Fact) -> None:
        """Do nothing."""

    async def make_room(self) -> None:
        """Do nothing."""

    async def flush(self) -> None:
        """Do nothing."""
