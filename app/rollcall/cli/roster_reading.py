"""Reading a roster: all rows of one course, or of what belongs to an account, from the roster
topics as they are now.

From records to a :class:`Roster` is pure. :func:`read_roster` does the rest: the one partition of
each topic that holds the key, from its beginning to its end, without a consumer group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import TopicPartition

from rollcall.errors import RollcallError
from rollcall.kafka.bounded import promptly, stop_reader
from rollcall.kafka.client import client_options
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.reader import bounds_of, new_reader, read_to
from rollcall.kafka.rights import check_rights
from rollcall.kafka.topic_reading import STALL_SECONDS, kafka_errors_explained, partition_counts
from rollcall.kafka.topics import TopicsError
from rollcall.rosters.context import Context, the_one
from rollcall.rosters.topics import roster_readers_rights, roster_topics
from rollcall.settings import Settings

COURSE_RELATIONS = ("courses", "sections", "enrollments", "groups", "memberships")
"""What the roster of a course consists of: users are of no course. The roster topics are
``<prefix>.rosters.<relation>``.
"""

Row = dict[str, Any]


class RosterError(RollcallError):
    """There is no such roster, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The rows of one context, each relation sorted by record key."""

    context: Context
    course: Row | None
    """None: an account, or a course of which no event has told anything."""
    sections: tuple[Row, ...]
    enrollments: tuple[Row, ...]
    groups: tuple[Row, ...]
    memberships: tuple[Row, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is no row at all."""
        return self.course is None and not (
            self.sections or self.enrollments or self.groups or self.memberships
        )

    def enrollments_in(self, states: Collection[str]) -> tuple[Row, ...]:
        """The enrollments in one of these states; all of them when no state is given."""
        return tuple(row for row in self.enrollments if not states or row.get("state") in states)


class RosterRecords:
    """From records, in the order of their partitions, to the roster of one context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._key = context.key.encode()
        self._rows: dict[str, dict[bytes, bytes]] = {relation: {} for relation in COURSE_RELATIONS}

    def take(self, relation: str, key: bytes | None, value: bytes | None) -> None:
        """Take a record of a relation's topic. Those of other contexts are passed over; without a
        value it is a tombstone.
        """
        if key is None or key.partition(b"/")[0] != self._key:
            return
        if value is None:
            self._rows[relation].pop(key, None)
        else:
            self._rows[relation][key] = value

    def roster(self) -> Roster:
        """What the records come to.

        Raises:
            RosterError: a value is no row.
        """
        rows = {
            relation: tuple(_row(relation, key, values[key]) for key in sorted(values))
            for relation, values in self._rows.items()
        }
        courses = rows["courses"]
        return Roster(
            self._context,
            courses[0] if courses else None,
            rows["sections"],
            rows["enrollments"],
            rows["groups"],
            rows["memberships"],
        )


def _row(relation: str, key: bytes, value: bytes) -> Row:
    try:
        row = orjson.loads(value)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        raise RosterError(
            f"the record {key.decode(errors='replace')!a} of rosters.{relation} is no row: only "
            "Rollcall may write to this topic"
        )
    return row


async def read_roster(
    settings: Settings, bootstrap: str, context: Context, *, find_shard: bool = False
) -> Roster:
    """Read what the cluster has committed of a roster, up to now. It may be empty.

    Args:
        find_shard: the id is local, and the shard is to be found out: of a course in all partitions
            of the courses, of an account in those of the groups.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        RightsError: it does not let this client read.
        TopicsError: there are no roster topics, or they do not belong together.
        ConfigurationError: the local id may mean several courses.
        RosterError: a record is no row.
    """
    await check_rights(settings, bootstrap, roster_readers_rights(settings))
    names = roster_topics(settings)
    topics = {relation: names.full(f"rosters.{relation}") for relation in COURSE_RELATIONS}
    options = client_options(settings, bootstrap)
    with kafka_errors_explained("the rosters", bootstrap):
        partitions = await _partition_count(options, tuple(topics.values()))
        if find_shard:
            topic = topics["groups" if context.prefix else "courses"]
            context = the_one(
                context,
                await _contexts(
                    options,
                    [TopicPartition(topic, number) for number in range(partitions)],
                    context,
                ),
            )
        records = RosterRecords(context)
        partition = partitioner(partitions)(context.key.encode())
        places = {TopicPartition(topic, partition): relation for relation, topic in topics.items()}
        await _read(
            options,
            tuple(places),
            lambda place, key, value: records.take(places[place], key, value),
        )
    return records.roster()


async def _partition_count(options: Mapping[str, Any], topics: Sequence[str]) -> int:
    """How many partitions each of the topics has."""
    counts = await partition_counts(options, topics)
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        raise TopicsError(
            f"topics are missing: {', '.join(missing)}; run 'rollcall rosters', or 'rollcall "
            "topics apply', first"
        )
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{topic} has {counts[topic]}" for topic in topics)
        raise TopicsError(
            "the roster topics must have the same number of partitions, or rows are where nobody "
            f"looks for them: {shown}"
        )
    return counts[topics[0]]


async def _contexts(
    options: Mapping[str, Any], places: Sequence[TopicPartition], context: Context
) -> set[str]:
    """The keys of all contexts that a local id may mean, among those that have a row now."""
    keys: set[str] = set()

    def take(_place: TopicPartition, key: bytes | None, value: bytes | None) -> None:
        written = (key or b"").decode(errors="replace")
        if context.may_be(written.partition("/")[0]):
            (keys.discard if value is None else keys.add)(written)

    await _read(options, places, take)
    return {key.partition("/")[0] for key in keys}


async def _read(
    options: Mapping[str, Any],
    places: Sequence[TopicPartition],
    take: Callable[[TopicPartition, bytes | None, bytes | None], object],
) -> None:
    """Hand over the keys and values of the committed records of partitions, from the beginning to
    the end as of now.

    Others write meanwhile, and what belongs to a transaction that is still open is not waited for:
    the end is the last stable offset, which is what a reader of committed records is told.

    Raises:
        TimeoutError: no position moved for :data:`STALL_SECONDS`.
    """
    reader = new_reader(options)
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(STALL_SECONDS) as patience:
            await promptly(reader.start())
            reader.assign(places)
            beginnings, ends = await promptly(bounds_of(reader, places))
            async for place, records in read_to(
                reader,
                beginnings,
                ends,
                lambda _place, _position: patience.reschedule(clock() + STALL_SECONDS),
            ):
                for record in records:
                    take(place, record.key, record.value)
    finally:
        await stop_reader(reader)
