"""Reads a roster from the roster topics: all rows of one course, or the groups of an account.

:class:`RosterBuilder` is pure. :func:`read_roster` reads the one partition of each topic that holds
the key, from its beginning to its end, without a consumer group.
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
from rollcall.rosters.context import Context, resolve_context
from rollcall.rosters.registry import RELATIONS
from rollcall.rosters.topics import roster_readers_rights, roster_topics
from rollcall.settings import Settings

COURSE_RELATIONS = tuple(relation.name for relation in RELATIONS if relation.is_of_course)
"""Relations of a course's roster, on the topics ``<prefix>.rosters.<relation>``. Users belong to no
course.
"""

Row = dict[str, Any]


class RosterError(RollcallError):
    """The roster does not exist, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The rows of one context, each relation sorted by record key."""

    context: Context
    course: Row | None
    """None for an account, and for a course without an event of its own."""
    sections: tuple[Row, ...]
    enrollments: tuple[Row, ...]
    groups: tuple[Row, ...]
    memberships: tuple[Row, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is no row."""
        return self.course is None and not (
            self.sections or self.enrollments or self.groups or self.memberships
        )

    def enrollments_in(self, states: Collection[str]) -> tuple[Row, ...]:
        """The enrollments in one of these states, or all if ``states`` is empty."""
        return tuple(row for row in self.enrollments if not states or row.get("state") in states)


class RosterBuilder:
    """Builds the roster of one context from records, in the order of their partitions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._key = context.key.encode()
        self._rows: dict[str, dict[bytes, bytes]] = {relation: {} for relation in COURSE_RELATIONS}

    def take(self, relation: str, key: bytes | None, value: bytes | None) -> None:
        """Add a record of a relation's topic. Records of other contexts are ignored. A record
        without a value is a tombstone.
        """
        if key is None or key.partition(b"/")[0] != self._key:
            return
        if value is None:
            self._rows[relation].pop(key, None)
        else:
            self._rows[relation][key] = value

    def roster(self) -> Roster:
        """The roster from the records so far.

        Raises:
            RosterError: a value is not a row.
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
            f"the record {key.decode(errors='replace')!a} of rosters.{relation} is not a row: only "
            "Rollcall may write to this topic"
        )
    return row


async def read_roster(
    settings: Settings, bootstrap: str, context: Context, *, find_shard: bool = False
) -> Roster:
    """Read the committed rows of a roster. It may be empty.

    Args:
        find_shard: the id is local; search all partitions for its shard: those of the courses, or
            for an account those of the groups.

    Raises:
        BrokerUnavailableError: the cluster does not answer.
        RightsError: this client may not read.
        TopicsError: roster topics are missing, or their numbers of partitions differ.
        ConfigurationError: several courses have the local id.
        RosterError: a record is not a row.
    """
    await check_rights(settings, bootstrap, roster_readers_rights(settings))
    names = roster_topics(settings)
    topics = {relation: names.full(f"rosters.{relation}") for relation in COURSE_RELATIONS}
    options = client_options(settings, bootstrap)
    with kafka_errors_explained("the rosters", bootstrap):
        partitions = await _partition_count(options, tuple(topics.values()))
        if find_shard:
            topic = topics["groups" if context.prefix else "courses"]
            context = resolve_context(
                context,
                await _contexts(
                    options,
                    [TopicPartition(topic, number) for number in range(partitions)],
                    context,
                ),
            )
        records = RosterBuilder(context)
        partition = partitioner(partitions)(context.key.encode())
        places = {TopicPartition(topic, partition): relation for relation, topic in topics.items()}
        await _read(
            options,
            tuple(places),
            lambda place, key, value: records.take(places[place], key, value),
        )
    return records.roster()


async def _partition_count(options: Mapping[str, Any], topics: Sequence[str]) -> int:
    """The number of partitions that all of the topics have."""
    counts = await partition_counts(options, topics)
    missing = [topic for topic in topics if topic not in counts]
    if missing:
        raise TopicsError(
            f"topics are missing: {', '.join(missing)}; run 'rollcall rosters', or 'rollcall "
            "topics apply', first"
        )
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{topic} has {counts[topic]}" for topic in topics)
        raise TopicsError(f"the roster topics must have the same number of partitions: {each}")
    return counts[topics[0]]


async def _contexts(
    options: Mapping[str, Any], places: Sequence[TopicPartition], context: Context
) -> set[str]:
    """The keys of all contexts that have a row and match a local id."""
    keys: set[str] = set()

    def take(_place: TopicPartition, key: bytes | None, value: bytes | None) -> None:
        text = (key or b"").decode(errors="replace")
        if context.matches(text.partition("/")[0]):
            (keys.discard if value is None else keys.add)(text)

    await _read(options, places, take)
    return {key.partition("/")[0] for key in keys}


async def _read(
    options: Mapping[str, Any],
    places: Sequence[TopicPartition],
    take: Callable[[TopicPartition, bytes | None, bytes | None], object],
) -> None:
    """Call ``take`` with partition, key and value of all committed records of partitions.

    The end is the last stable offset at the start: later records are left out, and open
    transactions are not waited for.

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
