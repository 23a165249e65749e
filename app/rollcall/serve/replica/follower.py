"""Follows the roster topics into the replica: all partitions, without a consumer group, in its own
thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from rollcall.errors import BrokerUnavailableError
from rollcall.kafka.bounded import close, promptly, stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.leaders import proven_ends
from rollcall.kafka.reader import bounds_of, new_reader, positions_of
from rollcall.kafka.rights import diagnose
from rollcall.kafka.topic_ids import describe_topics
from rollcall.rosters.topics import roster_topics
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.file import is_damage
from rollcall.serve.replica.progress import SURVEY_SECONDS, Progress
from rollcall.serve.replica.rebuild_reasons import (
    RebuildError,
    check_age,
    check_positions,
    check_source,
)
from rollcall.serve.replica.store import ReplicaStore
from rollcall.serve.replica.tables import TABLES, Columns, Key, Table, UnusableRecordError
from rollcall.serve.rights import serve_rights
from rollcall.settings import Settings

log = logging.getLogger(__name__)

BATCH_RECORDS = 10_000
POLL_MS = 200
GATHER_SECONDS = 0.1
"""Pause after a small batch. Smaller batches cost more, larger ones delay requests: at 500 changed
rows/s, 99 of 100 responses came within 11 to 14 ms, and with 0.25 s within 17 to 26 ms.
"""

TOPICS_SECONDS = 15.0
"""Interval in which topics and partitions are checked."""

RETRY_SECONDS = 1.0
MOST_COMPARED = 1_000
"""Records in a batch up to which the feed gets each changed row."""

COMPLETE_SECONDS = 60.0
"""Interval in which the file's time of completeness is written if nothing changes."""

REQUEST_MS = 20_000

STOP_SECONDS = 10.0
"""Time for the thread to end. It takes longer only if a client without connection cannot be
cancelled, and then nothing is lost.
"""

STILL_SECONDS = 60.0
"""Time without a record, although some are missing, after which the connection is made again."""

HIDDEN_SECONDS = 15.0
"""Time after which an open transaction is a problem. Those of the rosters take a fraction of a
second.
"""

HIDDEN = "records wait behind a transaction that is neither committed nor aborted"


class Follower:
    """Keeps the replica up to date, from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, bootstrap: str, store: ReplicaStore, feed: Feed) -> None:
        names = roster_topics(settings)
        self._tables = {names.full(table.relation.topic): table for table in TABLES}
        self._settings = settings
        self._options = client_options(settings, bootstrap)
        self._bootstrap = bootstrap
        self._store = store
        self._feed = feed
        self.progress = Progress()
        self._load_progress()
        self._positions: dict[TopicPartition, int] = {}
        self._moved_at = 0.0
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}
        self._completed_at = 0.0
        self._stop = threading.Event()
        self._damage_found = threading.Event()
        self._cancel: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.failure: BaseException | None = None
        """The error that ended the thread; None: it runs, or was stopped."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for its end."""
        self._stop.set()
        if self._thread.is_alive():
            self._cancel()
            self._thread.join(STOP_SECONDS)

    def report_damage(self) -> None:
        """Have the file rebuilt, because a reader found it damaged. From any thread."""
        self._damage_found.set()

    def _run(self) -> None:
        try:
            asyncio.run(self._follow_until_stopped())
        except BaseException as error:
            if self._stop.is_set() and isinstance(error, asyncio.CancelledError):
                return
            log.exception(
                "the replica is no longer kept, and serve ends: start it again, and report a "
                "fault of Rollcall, with this"
            )
            self.failure = error

    async def _follow_until_stopped(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        while not self._stop.is_set():
            try:
                if not self._store.is_there():
                    log.warning(
                        "the replica's file was removed, or is another one now",
                        extra={"path": str(self._store.path)},
                    )
                    self._store.reopen()
                    self._load_progress()
                await self._follow()
            except RebuildError as reason:
                self._rebuild(str(reason))
            except OffsetOutOfRangeError as error:
                # A deposed leader reports this, too. If it is true, the next check of the first and
                # last offsets finds it.
                await self._pause(f"the broker has no records where the replica goes on ({error})")
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    self._rebuild(f"it is damaged ({error})")
                else:  # the disk is full, or another process has locked the file
                    await self._pause(f"the replica cannot be written ({error})")
            except (KafkaError, OSError, TimeoutError) as error:
                found = None
                with contextlib.suppress(KafkaError, TimeoutError):
                    found = await promptly(
                        diagnose(self._settings, self._bootstrap, serve_rights(self._settings))
                    )
                silent = found is None or isinstance(found, BrokerUnavailableError)
                await self._pause(
                    f"Kafka at {self._bootstrap} does not answer ({found or type(error).__name__})"
                    if silent
                    else str(found)
                )

    def _load_progress(self) -> None:
        """Set the progress to the state of the file."""
        followed_until = self._store.followed_until
        rows = self._store.row_counts
        self.progress = replace(
            self.progress,
            complete=followed_until > 0,
            behind_since=followed_until or time.time(),
            rows=rows,
            lag={},
        )

    def _rebuild(self, reason: str) -> None:
        self.progress = replace(self.progress, complete=False)
        self._damage_found.clear()
        self._store.rebuild(reason)
        self._load_progress()
        self.progress = replace(self.progress, rebuilds=self.progress.rebuilds + 1)
        self._feed.skip()

    async def _pause(self, problem: str) -> None:
        """Publish a problem, and wait before the next try."""
        progress = self.progress
        if problem != progress.problem:
            log.warning("the replica does not get on: %s", problem)
        self.progress = replace(
            progress,
            problem=problem,
            behind_since=progress.behind_since or progress.surveyed_at or time.time(),
        )
        await asyncio.sleep(RETRY_SECONDS)

    # --- following

    async def _follow(self) -> None:
        """Follow until partitions or file change, or an error."""
        partitions = await self._partitions()
        reader = new_reader(self._options, out_of_range="none")
        try:
            await promptly(reader.start())
            places = [
                TopicPartition(topic, number)
                for topic, count in partitions.items()
                for number in range(count)
            ]
            reader.assign(places)
            beginnings, ends = await promptly(bounds_of(reader, places))
            self._seek(reader, beginnings, ends | await self._proven_ends(ends))
            topics_at = self._moved_at = time.monotonic()
            surveyed_at = topics_at - SURVEY_SECONDS
            ends = {}
            while not self._stop.is_set() and self._store.is_there():
                if self._damage_found.is_set():
                    raise RebuildError("it is damaged, as a reader found")
                if time.monotonic() - surveyed_at >= SURVEY_SECONDS:
                    surveyed_at, ends = time.monotonic(), await promptly(reader.end_offsets(places))
                    self.progress = replace(self.progress, surveyed_at=time.time())
                if time.monotonic() - topics_at >= TOPICS_SECONDS:
                    topics_at = time.monotonic()
                    if await self._partitions() != partitions:
                        return
                batch = await promptly(
                    reader.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
                )
                self._write(batch, await promptly(positions_of(reader, places)))
                self._update_progress(
                    ends, {place: reader.highwater(place) or 0 for place in places}, time.time()
                )
                if (
                    any(self.progress.lag.values())
                    and time.monotonic() - self._moved_at > STILL_SECONDS
                ):
                    log.warning(
                        "nothing comes although there is something: the connection is made anew"
                    )
                    return
                if 0 < sum(map(len, batch.values())) < BATCH_RECORDS // 20:
                    await asyncio.sleep(GATHER_SECONDS)
        finally:
            await stop_reader(reader)

    async def _partitions(self) -> dict[str, int]:
        """The number of partitions of each roster topic. Waits until all topics exist.

        Raises:
            RebuildError: the file is of another cluster, or of deleted topics.
        """
        admin = AIOKafkaAdminClient(**self._options, request_timeout_ms=REQUEST_MS)
        try:
            await promptly(admin.start())
            while True:
                cluster, topics = await promptly(describe_topics(admin, self._tables))
                missing = [topic for topic in self._tables if topic not in topics]
                if not missing:
                    break
                await self._pause(
                    f"topics are missing: {', '.join(missing)}; 'rollcall rosters' makes them"
                )
        finally:
            await close(admin.close())
        identities = {name: topic.identity for name, topic in topics.items()}
        known_cluster, known = self._store.cluster, self._store.topic_ids
        check_source(known_cluster, known, cluster, identities)
        if known_cluster is None or identities != known:
            self._store.belongs_to(cluster, identities)
        return {topic: topics[topic].partitions for topic in self._tables}

    async def _proven_ends(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Confirmed end offsets of partitions that end before the file's position. A deposed leader
        may report an old end.
        """
        known = self._store.positions
        short = [
            place
            for place, end in ends.items()
            if known.get((place.topic, place.partition), 0) > end
        ]
        if not short:
            return {}
        admin = AIOKafkaAdminClient(**self._options, request_timeout_ms=REQUEST_MS)
        try:
            await promptly(admin.start())
            return await promptly(proven_ends(admin, short))
        finally:
            await close(admin.close())

    def _seek(
        self,
        reader: AIOKafkaConsumer,
        beginnings: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        """Seek to the positions of the file.

        Args:
            beginnings, ends: first and end offsets of all partitions.

        Raises:
            RebuildError: a position is outside of its partition, or the file is too old.
        """
        known = self._store.positions
        if known:
            check_age(self._store.followed_until or self._store.made_at, time.time())
        check_positions(known, beginnings, ends)
        self._positions = {
            place: known[place.topic, place.partition]
            for place in ends
            if (place.topic, place.partition) in known
        }
        for place in ends:
            reader.seek(place, self._positions.get(place, beginnings[place]))

    def _write(
        self,
        batch: Mapping[TopicPartition, Sequence[ConsumerRecord]],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        """Write fetched records and new positions. A position moves without records, too, at the
        markers of a transaction.
        """
        moved = {
            place: position
            for place, position in positions.items()
            if position != self._positions.get(place)
        }
        if not moved:
            return
        rows: dict[str, dict[Key, Columns | None]] = {table.name: {} for table in TABLES}
        unusable = sum(
            collect(self._tables[place.topic], records, rows[self._tables[place.topic].name])
            for place, records in batch.items()
        )
        count = sum(map(len, batch.values()))
        with_changes = self.progress.complete and count <= MOST_COMPARED
        changed, counts = self._store.apply(
            rows,
            {(place.topic, place.partition): position for place, position in moved.items()},
            with_changes=with_changes,
        )
        self._positions |= moved
        self._moved_at = time.monotonic()
        if with_changes:
            self._feed.publish(changed, time.time())
        elif count:
            self._feed.skip()
        total = {name: number + counts.get(name, 0) for name, number in self.progress.rows.items()}
        self.progress = replace(
            self.progress,
            records=self.progress.records + count,
            unusable=self.progress.unusable + unusable,
            rows=total,
        )

    def _update_progress(
        self,
        ends: Mapping[TopicPartition, int],
        high_watermarks: Mapping[TopicPartition, int],
        now: float,
    ) -> None:
        """Compute the progress from the ends of partitions.

        Args:
            ends: end offsets of committed records, at the last survey.
            high_watermarks: end offsets of all records.
        """
        if not ends:
            return
        lag = {
            (place.topic, place.partition): max(end - self._positions.get(place, 0), 0)
            for place, end in ends.items()
        }
        hidden_since = self._hidden_since(high_watermarks, now)
        problem = None if hidden_since is None else HIDDEN
        if self.progress.problem is not None and problem is None:
            log.info("the replica gets on again")
        if any(lag.values()) or hidden_since is not None:
            since = self.progress.behind_since or hidden_since or now
            self.progress = replace(self.progress, lag=lag, behind_since=since, problem=problem)
            return
        if not self.progress.complete or now - self._completed_at >= COMPLETE_SECONDS:
            if not self.progress.complete:
                log.info("the replica is complete", extra={"rows": dict(self.progress.rows)})
            self._store.note_complete(now)
            self._completed_at = now
        self._moved_at = time.monotonic()  # a follower with nothing to read is not stuck
        self.progress = replace(
            self.progress, lag=lag, behind_since=None, complete=True, problem=None
        )

    def _hidden_since(
        self, high_watermarks: Mapping[TopicPartition, int], now: float
    ) -> float | None:
        """Time since which records have waited behind an open transaction; None: for no longer than
        transactions take.
        """
        waiting: dict[TopicPartition, tuple[int, float]] = {}
        for place, high_watermark in high_watermarks.items():
            position = self._positions.get(place, 0)
            if high_watermark > position:
                known = self._waiting.get(place)
                waiting[place] = (
                    known if known is not None and known[0] == position else (position, now)
                )
        self._waiting = waiting
        since = min((since for _, since in waiting.values()), default=now)
        return since if now - since > HIDDEN_SECONDS else None


def collect(
    table: Table, records: Iterable[ConsumerRecord], rows: dict[Key, Columns | None]
) -> int:
    """Add records to the rows of a relation; the last record of a key wins. Returns the number of
    unusable records.
    """
    unusable = 0
    for record in records:
        try:
            key = table.key_of(record.key)
            rows[key] = None if record.value is None else table.columns_of(key, record.value)
        except UnusableRecordError as error:
            unusable += 1
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.error(
                "a record of a roster topic is passed over: %s; only Rollcall may write there",
                error,
                extra=place,
            )
    return unusable
