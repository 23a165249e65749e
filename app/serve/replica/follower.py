"""Follows the roster topics into the replica: all partitions, without a consumer group, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from app.kafka import client_options
from app.rosters.topics import TOMBSTONE_DAYS, roster_topics
from app.serve.replica.feed import Feed
from app.serve.replica.relations import RELATIONS, Columns, Key, Relation, UnusableRecordError
from app.serve.replica.store import Place, ReplicaStore
from app.settings import Settings
from app.streaming.reader import new_reader, stop_reader
from app.streaming.topic_ids import describe_topics

log = logging.getLogger(__name__)

BATCH_RECORDS = 10_000
POLL_MS = 200
GATHER_SECONDS = 0.25
"""A batch that is not full waits so long for the next records. After each batch the lists of the courses in it have to be made again."""

SURVEY_SECONDS = 1.0
TOPICS_SECONDS = 15.0
"""How often topics and their partitions are looked at."""

RETRY_SECONDS = 1.0
MOST_COMPARED = 1_000
"""Records in a batch of which the feed is told one by one."""

NOTE_SECONDS = 60.0
"""How often the file is told that nothing is missing in it, when nothing changes."""

MOST_AWAY_SECONDS = (TOMBSTONE_DAYS - 1) * 86_400
"""A tombstone may be gone after :data:`TOMBSTONE_DAYS`: a file that was not followed for longer does not know of it."""

REQUEST_MS = 20_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the replica is. Replaced as a whole, so that any thread may look at it."""

    complete: bool = False
    """All rows that there were at some moment are in it. Before that, an answer could be wrong by what is missing."""
    behind_since: float | None = None
    """Since when something is missing; None: nothing was missing at the last look."""
    surveyed_at: float | None = None
    """When the ends of the topics were looked at; seconds since the epoch."""
    lag: Mapping[Place, int] = field(default_factory=dict)
    """Records that are missing, by topic and partition."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """By relation."""
    records: int = 0
    """Taken since the start."""
    unusable: int = 0
    rebuilds: int = 0
    problem: str | None = None
    """Why nothing can be read at the moment."""

    def freshness(self, now: float) -> float:
        """For how many seconds something has been missing; 0: nothing is, as far as is known."""
        since = self.behind_since
        if since is None and self.surveyed_at is not None and now - self.surveyed_at > 3 * SURVEY_SECONDS:
            since = self.surveyed_at  # nobody knows
        return max(now - since, 0.0) if since is not None else 0.0


class _AnewError(Exception):
    """The file cannot be gone on with."""


class Follower:
    """Keeps the replica. Runs from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, bootstrap: str, store: ReplicaStore, feed: Feed) -> None:
        names = roster_topics(settings)
        self._relations = {names.full(f"rosters.{relation.name}"): relation for relation in RELATIONS}
        self._options = client_options(settings, bootstrap)
        self._bootstrap = bootstrap
        self._store = store
        self._feed = feed
        now = time.time()
        complete = store.followed_until > 0
        self.progress = Progress(complete=complete, behind_since=store.followed_until if complete else now, rows=store.row_counts)
        self._positions: dict[TopicPartition, int] = {}
        self._noted = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower")
        self.failure: BaseException | None = None
        """What ended the thread, if it ended by itself."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._follow_until_stopped())
        except BaseException as error:
            log.exception("the replica is no longer kept")
            self.failure = error

    async def _follow_until_stopped(self) -> None:
        while not self._stop.is_set():
            try:
                await self._follow()
            except _AnewError as reason:
                self._begin_anew(str(reason))
            except OffsetOutOfRangeError as error:
                self._begin_anew(f"records that it has not read are gone ({error})")
            except sqlite3.OperationalError as error:  # the disk is full, or somebody holds the file
                self._note_problem(f"the replica cannot be written ({error})")
                await asyncio.sleep(RETRY_SECONDS)
            except sqlite3.DatabaseError as error:
                self._begin_anew(f"it is damaged ({error})")
            except (KafkaError, OSError, TimeoutError) as error:
                self._note_problem(f"Kafka at {self._bootstrap} does not answer ({type(error).__name__})")
                await asyncio.sleep(RETRY_SECONDS)

    def _begin_anew(self, why: str) -> None:
        self._store.start_anew(why)
        rows = self._store.row_counts
        self.progress = replace(self.progress, complete=False, behind_since=time.time(), rows=rows, lag={}, rebuilds=self.progress.rebuilds + 1)
        self._feed.skip()

    def _note_problem(self, problem: str | None) -> None:
        if problem != self.progress.problem:
            if problem is not None:
                log.warning("the replica does not get on: %s", problem)
            else:
                log.info("the replica gets on again")
        self.progress = replace(self.progress, problem=problem, behind_since=self.progress.behind_since or (time.time() if problem is not None else None))

    # --- following

    async def _follow(self) -> None:
        """Follow until the partitions are other ones, or something is in the way."""
        partitions = await self._partitions()
        reader = new_reader(self._options, out_of_range="none")
        await reader.start()
        try:
            places = [TopicPartition(topic, number) for topic, count in partitions.items() for number in range(count)]
            reader.assign(places)
            await self._seek(reader, places)
            topics_at = time.monotonic()
            surveyed_at = topics_at - SURVEY_SECONDS
            ends: dict[TopicPartition, int] = {}
            while not self._stop.is_set():
                if time.monotonic() - surveyed_at >= SURVEY_SECONDS:
                    surveyed_at, ends = time.monotonic(), await reader.end_offsets(places)
                    self.progress = replace(self.progress, surveyed_at=time.time())
                if time.monotonic() - topics_at >= TOPICS_SECONDS:
                    topics_at = time.monotonic()
                    if await self._partitions() != partitions:
                        return
                batch = await reader.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
                await self._take(reader, batch, places)
                self._judge(ends, time.time())
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
            await admin.start()
            while True:
                cluster, topics = await describe_topics(admin, self._relations)
                missing = [topic for topic in self._relations if topic not in topics]
                if not missing or self._stop.is_set():
                    break
                self._note_problem(f"topics are missing: {', '.join(missing)}; 'rollcall rosters' makes them")
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            await admin.close()
        if missing:
            return {}
        if self._store.cluster not in (None, cluster):
            raise _AnewError(f"it comes from the Kafka cluster {self._store.cluster}, and this one is {cluster}")
        known = self._store.topic_ids
        for name, topic in topics.items():
            if topic.identity is not None and known.get(name, topic.identity) != topic.identity:
                raise _AnewError(f"{name} was deleted and made anew")
        identities = {name: topic.identity for name, topic in topics.items() if topic.identity is not None}
        if self._store.cluster is None or identities != known:
            self._store.belongs_to(cluster, identities)
        self._note_problem(None)
        return {topic: topics[topic].partitions for topic in self._relations}

    async def _seek(self, reader: AIOKafkaConsumer, places: list[TopicPartition]) -> None:
        """Go on where the file ends.

        Raises:
            _AnewError: that is no place to go on.
        """
        known = self._store.positions
        if known and time.time() - max(self._store.followed_until, 1.0) > MOST_AWAY_SECONDS and self.progress.complete:
            raise _AnewError(f"it was not followed for more than {MOST_AWAY_SECONDS // 86_400} days, and what was removed meanwhile may not be told any more")
        beginnings, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        if gone := known.keys() - {(place.topic, place.partition) for place in places}:
            topic, partition = min(gone)
            raise _AnewError(f"it has read partition {partition} of {topic}, which is no more")
        for place in places:
            position = known.get((place.topic, place.partition))
            if position is not None and not beginnings[place] <= position <= ends[place]:
                held = f"partition {place.partition} holds {beginnings[place]} to {ends[place]}, and {position} is where it had come to"
                raise _AnewError(f"{place.topic} was made anew: {held}")
            reader.seek(place, beginnings[place] if position is None else position)
        self._positions = {place: known[place.topic, place.partition] for place in places if (place.topic, place.partition) in known}

    async def _take(self, reader: AIOKafkaConsumer, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]], places: Iterable[TopicPartition]) -> None:
        """Write what was fetched, and how far that is: also where there are only a transaction's markers, a position moves."""
        positions = {place: await reader.position(place) for place in places}
        moved = {place: position for place, position in positions.items() if position != self._positions.get(place)}
        if not moved:
            return
        rows: dict[str, dict[Key, Columns | None]] = {relation.name: {} for relation in RELATIONS}
        unusable = sum(collect(self._relations[place.topic], records, rows[self._relations[place.topic].name]) for place, records in batch.items())
        count = sum(map(len, batch.values()))
        tell = self.progress.complete and count <= MOST_COMPARED
        changed, counts = self._store.apply(rows, {(place.topic, place.partition): position for place, position in moved.items()}, tell=tell)
        self._positions |= moved
        if tell:
            self._feed.publish(changed, time.time())
        elif count:
            self._feed.skip()
        total = {name: number + counts.get(name, 0) for name, number in self.progress.rows.items()}
        self.progress = replace(self.progress, records=self.progress.records + count, unusable=self.progress.unusable + unusable, rows=total)

    def _judge(self, ends: Mapping[TopicPartition, int], now: float) -> None:
        """Find out whether anything is missing, up to these ends."""
        lag = {(place.topic, place.partition): max(end - self._positions.get(place, 0), 0) for place, end in ends.items()}
        if any(lag.values()):
            self.progress = replace(self.progress, lag=lag, behind_since=self.progress.behind_since or now)
            return
        if not self.progress.complete or now - self._noted >= NOTE_SECONDS:
            if not self.progress.complete:
                log.info("the replica is complete", extra={"rows": dict(self.progress.rows)})
            self._store.note_complete(now)
            self._noted = now
        self.progress = replace(self.progress, lag=lag, behind_since=None, complete=True)


def collect(relation: Relation, records: Iterable[ConsumerRecord], rows: dict[Key, Columns | None]) -> int:
    """Add records to the rows of a relation, the last one of each key. Returns how many are none."""
    unusable = 0
    for record in records:
        try:
            key = relation.key_of(record.key)
            rows[key] = None if record.value is None else relation.columns_of(key, record.value)
        except UnusableRecordError as error:
            unusable += 1
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.error("a record of a roster topic is passed over: %s; only Rollcall may write there", error, extra=place)
    return unusable
