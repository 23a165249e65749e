"""Follows the roster topics into the replica: all partitions, without a consumer group, in a thread
of its own.
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
from rollcall.rosters.topics import TOMBSTONE_DAYS, roster_topics
from rollcall.serve.replica.feed import Feed
from rollcall.serve.replica.progress import SURVEY_SECONDS, Progress
from rollcall.serve.replica.relations import RELATIONS, Columns, Key, Relation, UnusableRecordError
from rollcall.serve.replica.store import ReplicaStore, is_damage
from rollcall.serve.rights import serve_rights
from rollcall.settings import Settings

log = logging.getLogger(__name__)

BATCH_RECORDS = 10_000
POLL_MS = 200
GATHER_SECONDS = 0.1
"""A batch that is not full waits so long for the next records. Smaller ones cost more, and larger
ones hold requests up: at 500 changed rows/s, 99 of 100 answers came within 11 to 14 ms, and with
0.25 s within 17 to 26 ms.
"""

TOPICS_SECONDS = 15.0
"""How often topics and their partitions are looked at."""

RETRY_SECONDS = 1.0
MOST_COMPARED = 1_000
"""Records in a batch of which the feed is told one by one."""

NOTE_SECONDS = 60.0
"""How often the file is told that nothing is missing in it, when nothing changes."""

MOST_AWAY_SECONDS = (TOMBSTONE_DAYS - 1) * 86_400
"""A tombstone may be gone after :data:`TOMBSTONE_DAYS`: a file that was not followed for longer
does not know of it.
"""

REQUEST_MS = 20_000

STOP_SECONDS = 10.0
"""The thread ends sooner, unless a client that lost its connection does not let itself be
cancelled. Nothing is lost with that one.
"""

STILL_SECONDS = 60.0
"""With something to be read, and without any of it for so long, the connection is made anew."""

HIDDEN_SECONDS = 15.0
"""Transactions of the rosters take a fraction of a second."""

HIDDEN = "records wait behind a transaction that is neither committed nor aborted"


class _AnewError(Exception):
    """The file cannot be gone on with."""


class Follower:
    """Keeps the replica. Runs from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, bootstrap: str, store: ReplicaStore, feed: Feed) -> None:
        names = roster_topics(settings)
        self._relations = {
            names.full(f"rosters.{relation.name}"): relation for relation in RELATIONS
        }
        self._settings = settings
        self._options = client_options(settings, bootstrap)
        self._bootstrap = bootstrap
        self._store = store
        self._feed = feed
        self.progress = Progress()
        self._look_at_file()
        self._positions: dict[TopicPartition, int] = {}
        self._moved_at = 0.0
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}
        self._noted = 0.0
        self._stop = threading.Event()
        self._doubt = threading.Event()
        self._cancel: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.failure: BaseException | None = None
        """What ended the thread, if it ended by itself."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._cancel()
            self._thread.join(STOP_SECONDS)

    def doubt(self) -> None:
        """Somebody who reads the file finds it damaged. From any thread."""
        self._doubt.set()

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
                    self._look_at_file()
                await self._follow()
            except _AnewError as reason:
                self._begin_anew(str(reason))
            except OffsetOutOfRangeError as error:
                # A leader that was deposed says so, too. If it is true, the next look at where the
                # topics begin and end finds it.
                await self._pause(f"the broker has no records where the replica goes on ({error})")
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    self._begin_anew(f"it is damaged ({error})")
                else:  # the disk is full, or somebody holds the file
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

    def _look_at_file(self) -> None:
        """Begin with what the file says of itself."""
        followed_until = self._store.followed_until
        rows = self._store.row_counts
        self.progress = replace(
            self.progress,
            complete=followed_until > 0,
            behind_since=followed_until or time.time(),
            rows=rows,
            lag={},
        )

    def _begin_anew(self, why: str) -> None:
        self.progress = replace(self.progress, complete=False)
        self._doubt.clear()
        self._store.start_anew(why)
        self._look_at_file()
        self.progress = replace(self.progress, rebuilds=self.progress.rebuilds + 1)
        self._feed.skip()

    async def _pause(self, problem: str) -> None:
        """Note what is in the way, and wait a moment."""
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
        """Follow until the partitions or the file are other ones, or something is in the way."""
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
                if self._doubt.is_set():
                    raise _AnewError("it is damaged, as a reader found")
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
                self._take(batch, await promptly(positions_of(reader, places)))
                self._judge(
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
        """The number of partitions of each roster topic. Waits until all are there.

        Raises:
            _AnewError: the file is of another cluster, or of topics that are no more.
        """
        admin = AIOKafkaAdminClient(**self._options, request_timeout_ms=REQUEST_MS)
        try:
            await promptly(admin.start())
            while True:
                cluster, topics = await promptly(describe_topics(admin, self._relations))
                missing = [topic for topic in self._relations if topic not in topics]
                if not missing:
                    break
                await self._pause(
                    f"topics are missing: {', '.join(missing)}; 'rollcall rosters' makes them"
                )
        finally:
            await close(admin.close())
        if self._store.cluster not in (None, cluster):
            raise _AnewError(
                f"it comes from the Kafka cluster {self._store.cluster}, and this one is {cluster}"
            )
        known = self._store.topic_ids
        for name, topic in topics.items():
            if known.get(name, topic.identity) != topic.identity:
                raise _AnewError(f"{name} was deleted and made anew")
        identities = {name: topic.identity for name, topic in topics.items()}
        if self._store.cluster is None or identities != known:
            self._store.belongs_to(cluster, identities)
        return {topic: topics[topic].partitions for topic in self._relations}

    async def _proven_ends(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Of partitions that end before what was read of them, where they do so surely. A leader
        that was deposed without noticing tells an end from before.
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
        """Go on where the file ends.

        Args:
            beginnings, ends: of all partitions.

        Raises:
            _AnewError: that is no place to go on.
        """
        known = self._store.positions
        if (
            known
            and time.time() - (self._store.followed_until or self._store.made_at)
            > MOST_AWAY_SECONDS
        ):
            raise _AnewError(
                f"it was not followed for more than {MOST_AWAY_SECONDS // 86_400} days, and what "
                "was removed meanwhile may not be told any more"
            )
        if gone := known.keys() - {(place.topic, place.partition) for place in ends}:
            topic, partition = min(gone)
            raise _AnewError(f"it has read partition {partition} of {topic}, which is no more")
        for place, end in ends.items():
            position = known.get((place.topic, place.partition))
            if position is not None and not beginnings[place] <= position <= end:
                held = (
                    f"partition {place.partition} holds {beginnings[place]} to {end}, and "
                    f"{position} is where it had come to"
                )
                if position < beginnings[place]:
                    raise _AnewError(
                        f"records that it has not read are gone: {place.topic}, {held}"
                    )
                raise _AnewError(f"{place.topic} was made anew: {held}")
            reader.seek(place, beginnings[place] if position is None else position)
        self._positions = {
            place: known[place.topic, place.partition]
            for place in ends
            if (place.topic, place.partition) in known
        }

    def _take(
        self,
        batch: Mapping[TopicPartition, Sequence[ConsumerRecord]],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        """Write what was fetched, and how far that is: also where there are only a transaction's
        markers, a position moves.
        """
        moved = {
            place: position
            for place, position in positions.items()
            if position != self._positions.get(place)
        }
        if not moved:
            return
        rows: dict[str, dict[Key, Columns | None]] = {relation.name: {} for relation in RELATIONS}
        unusable = sum(
            collect(self._relations[place.topic], records, rows[self._relations[place.topic].name])
            for place, records in batch.items()
        )
        count = sum(map(len, batch.values()))
        tell = self.progress.complete and count <= MOST_COMPARED
        changed, counts = self._store.apply(
            rows,
            {(place.topic, place.partition): position for place, position in moved.items()},
            tell=tell,
        )
        self._positions |= moved
        self._moved_at = time.monotonic()
        if tell:
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

    def _judge(
        self,
        ends: Mapping[TopicPartition, int],
        high_watermarks: Mapping[TopicPartition, int],
        now: float,
    ) -> None:
        """Find out whether anything is missing.

        Args:
            ends: of what is committed, at the last look.
            high_watermarks: of what is written.
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
        if not self.progress.complete or now - self._noted >= NOTE_SECONDS:
            if not self.progress.complete:
                log.info("the replica is complete", extra={"rows": dict(self.progress.rows)})
            self._store.note_complete(now)
            self._noted = now
        self._moved_at = time.monotonic()  # while there is nothing to be read, nothing is still
        self.progress = replace(
            self.progress, lag=lag, behind_since=None, complete=True, problem=None
        )

    def _hidden_since(
        self, high_watermarks: Mapping[TopicPartition, int], now: float
    ) -> float | None:
        """Since when there are records that nobody is told of, because a transaction before them is
        open; None: for no longer than transactions take.
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
    relation: Relation, records: Iterable[ConsumerRecord], rows: dict[Key, Columns | None]
) -> int:
    """Add records to the rows of a relation, the last one of each key. Returns how many are
    none.
    """
    unusable = 0
    for record in records:
        try:
            key = relation.key_of(record.key)
            rows[key] = None if record.value is None else relation.columns_of(key, record.value)
        except UnusableRecordError as error:
            unusable += 1
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.error(
                "a record of a roster topic is passed over: %s; only Rollcall may write there",
                error,
                extra=place,
            )
    return unusable
