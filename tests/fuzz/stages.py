"""The borders behind the router: what the rosters read of typed and internal topics, and what serve
reads of rosters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import orjson
from aiokafka import ConsumerRecord

from rollcall.rosters.registry import stages
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.serve.replica.follower import collect
from rollcall.serve.replica.tables import TABLES, Columns, Key
from rollcall.streaming.rows import LEAD, encode_json
from rollcall.streaming.stages.stage import UnusableError
from tests.fuzz.inputs import any_headers, any_value, changed_bytes, changed_event, events, text_of
from tests.fuzz.pipeline import Fetched
from tests.rosters.memory import Cluster
from tests.rosters.reference import TypedEvent

SHARD = 2107


def written_topics() -> Mapping[str, Sequence[tuple[bytes, bytes]]]:
    """Key and value of what the stages write of a simulated institution, by topic."""
    cluster = Cluster(shard=SHARD)
    cluster.send(
        TypedEvent(event.name, event.value)
        for event in Simulation(SimulationPlan(courses=2, steps=150, seed=5, class_size=4)).events()
    )
    cluster.settle(_First())
    topics: dict[str, list[tuple[bytes, bytes]]] = {}
    for topic, partition in list(cluster.sizes()):
        topics.setdefault(topic, []).extend(
            (record.key, record.value)
            for record in cluster.log(topic, partition)
            if record.key and record.value
        )
    return topics


class _First:
    """Choices that leave nothing to chance."""

    def below(self, _bound: int) -> int:
        """The first."""
        return 0


def changed_key(key: bytes, random: Random) -> bytes | None:
    """The key of a record, mostly as it was."""
    kind = random.random()
    if kind < 0.8:
        return key
    return None if kind < 0.82 else changed_bytes(key, random)


def changed_row(value: bytes, random: Random) -> bytes | None:
    """What a stage has written, changed in its structure or its bytes."""
    kind = random.random()
    if kind < 0.05:
        return None
    if kind < 0.3:
        return changed_bytes(value, random)
    row = orjson.loads(value)
    for _ in range(random.randint(1, 3)):
        part = row
        while isinstance(part, list | dict) and part:
            place = (
                random.choice(list(part)) if isinstance(part, dict) else random.randrange(len(part))
            )
            if random.random() < 0.4 or not isinstance(part[place], list | dict):
                part[place] = any_value(random, 2)
                break
            part = part[place]
    return text_of(row, random)


class Given(NamedTuple):
    """A record for a stage, and another one that comes after it."""

    stage: str
    topic: str
    first: Fetched
    second: Fetched


class StagesBorder:
    """A stage takes in what it is told, or says that it cannot, and never fails otherwise."""

    def __init__(self) -> None:
        self._stages = {stage.name: stage for shard in (None, SHARD) for stage in stages(shard)}
        self._written = {
            topic: records
            for topic, records in written_topics().items()
            if any(topic in stage.inputs for stage in self._stages.values())
        }

    def make(self, random: Random) -> Given:
        """Two records of one topic."""
        stage = random.choice(list(self._stages.values()))
        topic = random.choice(list(stage.inputs))
        return Given(stage.name, topic, self._record(topic, random), self._record(topic, random))

    def _record(self, topic: str, random: Random) -> Fetched:
        if topic in self._written:
            key, value = random.choice(self._written[topic])
            return Fetched(changed_key(key, random), changed_row(value, random), [])
        name = topic.removeprefix("events.")
        value = changed_event(random) if random.random() < 0.8 else random.choice(events())
        for other in self._named(value):
            value = value.replace(other, name.encode())
        return Fetched(
            b"21070000000001533",
            value if random.random() < 0.9 else changed_bytes(value, random),
            any_headers(random),
        )

    @staticmethod
    def _named(value: bytes) -> list[bytes]:
        """The event_name in a value, if it can be read."""
        try:
            event = orjson.loads(value)
            return [(event.get("metadata") or event["attributes"])["event_name"].encode()]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return []

    def check(self, given: Given, _random: Random) -> str:
        """Read, merge, derive."""
        stage = self._stages[given.stage]
        source = stage.inputs[given.topic]
        row: Any = None
        label = "unusable"
        for record in (given.first, given.second):
            try:
                change = source.read(record)
                row = source.merge(row, change.update)
            except UnusableError:
                continue
            if row is None:
                label = "removed"
                continue
            label = "merged"
            kind, _, identity = change.row_id.partition("/")
            for lead in (None, row if kind == LEAD else None):
                for _topic, key, value in stage.kinds[kind].records(
                    change.key, identity, row, lead
                ):
                    key.encode()
                    encode_json(value)
            encode_json(row)
        return label


class ReplicaBorder:
    """serve takes a row, or passes it over, and what it has taken can be stored."""

    def __init__(self) -> None:
        self._written = written_topics()
        self._database = sqlite3.connect(":memory:")
        for table in TABLES:
            for statement in (*table.ddl(), *table.index_ddl()):
                self._database.execute(statement)

    def make(self, random: Random) -> tuple[int, bytes | None, bytes | None]:
        """A table's place, and a record's key and value."""
        place = random.randrange(len(TABLES))
        key, value = random.choice(self._written[f"rosters.{TABLES[place].name}"])
        return place, changed_key(key, random), changed_row(value, random)

    def check(self, given: tuple[int, bytes | None, bytes | None], _random: Random) -> str:
        """Take it, store it, remove it."""
        table = TABLES[given[0]]
        rows: dict[Key, Columns | None] = {}
        if collect(
            table,
            [ConsumerRecord("topic", 0, 0, 0, 0, given[1], given[2], None, 0, 0, ())],
            rows,
        ):
            assert not rows
            return "passed over"
        ((key, columns),) = rows.items()
        if columns is None:
            return "removed"
        self._database.execute(table.insert, columns)
        assert self._database.execute(table.select, key).fetchone() is not None
        self._database.execute(table.delete, key)
        return "stored"
