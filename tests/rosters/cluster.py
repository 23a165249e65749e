"""The roster application's topics on a real broker: sends events to the typed topics, and reads and
compares the results.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import orjson
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.kafka.partitioner import partitioner
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.rosters import registry
from rollcall.rosters.registry import stages
from rollcall.rosters.topics import plan_roster_topics, roster_topics
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.settings import load_settings
from rollcall.streaming.barrier import RECORD_KEY
from tests.events.schemas.events import VALIDATORS
from tests.kafka_client import (
    IDEMPOTENCE,
    PASSING,
    Sent,
    admin_client,
    committed_places,
    flush,
    in_time,
    partitions_of,
    read_all,
)
from tests.processes import RollcallProcess
from tests.waiting import DEADLINE_SECONDS, wait_until

PARTITIONS = 4
SHARD = 2107
RELATIONS = tuple(relation.name for relation in registry.RELATIONS)

NOT_YET = (*PASSING, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
"""Errors of a broker that creates topics or has just started."""

Rosters = dict[str, dict[str, dict[str, Any]]]
"""Relation, record key, row."""

Places = dict[tuple[str, int], int]
"""Offsets by topic and partition."""

_PIPELINE = Pipeline(VALIDATORS, shard=SHARD)


class TypedRecord(NamedTuple):
    """A record for a typed topic."""

    event_name: str
    sent: Sent


def typed(value: bytes) -> TypedRecord:
    """A valid event as a record of the router, with key, headers and partition."""
    routed = _PIPELINE(value)
    assert isinstance(routed, Routed), routed
    assert routed.key is not None
    headers = tuple((name, content or b"") for name, content in routed.headers)
    return TypedRecord(
        routed.event_type.name,
        Sent(routed.value, routed.key, partitioner(PARTITIONS)(routed.key), headers),
    )


def simulated(count: int, seed: int) -> tuple[list[TypedRecord], Rosters]:
    """Events of a simulated institution that rosters use, out of order and with duplicates, and the
    expected rosters.
    """
    plan = SimulationPlan(
        courses=max(count // 250, 4),
        steps=count,
        seed=seed,
        duplicates=0.1,
        disorder=max(count // 20, 100),
        skew=1.0,
        shard=SHARD,
    )
    simulation = Simulation(plan)
    inputs = {topic.removeprefix("events.") for stage in stages(SHARD) for topic in stage.inputs}
    records: list[TypedRecord] = []
    for event in simulation.events():
        if event.name in inputs:
            records.append(typed(event.value))
            assert records[-1].sent.key == event.entity.encode()
            if len(records) == count:
                break
    return records, simulation.truth()


class RosterCluster:
    """The topics of one installation, which it creates."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.group = f"{prefix}-rosters"
        self.dead_letters = f"{prefix}.dead-letter"
        self.stages = stages(SHARD)
        settings = load_settings(
            kafka=bootstrap, topic_prefix=prefix, group_prefix=prefix, partitions=PARTITIONS
        )
        names = roster_topics(settings)
        self.full = names.full
        self.inputs = sorted({names.full(topic) for stage in self.stages for topic in stage.inputs})
        self.typed = [topic for topic in self.inputs if topic.startswith(f"{prefix}.events.")]
        self.outputs = sorted(
            {names.full(topic) for stage in self.stages for topic in stage.outputs}
        )
        self.changelogs = {stage.name: names.changelog(stage) for stage in self.stages}
        self.topics = sorted(
            {*self.inputs, *self.outputs, *self.changelogs.values(), self.dead_letters}
        )
        config = {
            "bootstrap.servers": bootstrap,
            "linger.ms": 5,
            **IDEMPOTENCE,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 2,
        }
        self._producer = Producer(config)
        """Shared: an idempotent producer takes half a second to start."""
        self._sent: Counter[tuple[str, int]] = Counter()
        asyncio.run(ensure_topics(settings, bootstrap, plan_roster_topics(settings)))

    def typed_topic(self, event_name: str) -> str:
        """The topic of an event_name."""
        return f"{self.prefix}.events.{event_name}"

    def roster(self, relation: str) -> str:
        """The topic of a relation."""
        return f"{self.prefix}.rosters.{relation}"

    def send(self, records: Iterable[TypedRecord]) -> None:
        """Send records to their typed topics in order, and wait for all acknowledgements."""
        failures: list[str] = []

        def on_delivery(error: object, _message: Message) -> None:
            if error is not None:
                failures.append(str(error))

        for event_name, sent in records:
            topic, key, partition = (
                self.typed_topic(event_name),
                sent.key,
                cast(int, sent.partition),
            )
            self._producer.produce(
                topic, sent.value, key, partition, on_delivery, headers=list(sent.headers)
            )
            self._sent[topic, partition] += 1
            self._producer.poll(0)
        flush(self._producer)
        assert not failures, failures[:3]

    # --- progress

    def ends(
        self, topics: Sequence[str], isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> Places:
        """End offsets of partitions, with or without open transactions."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = dict.fromkeys(partitions_of(self.bootstrap, topics), latest)
        found = admin_client(self.bootstrap).list_offsets(
            wanted, isolation_level=isolation, request_timeout=DEADLINE_SECONDS
        )
        return {
            (place.topic, place.partition): in_time(future.result, what="the ends").offset
            for place, future in found.items()
        }

    def grown(self, before: Places, after: Places) -> dict[tuple[str, int], tuple[int, int]]:
        """Partitions with more new records than the barriers of lanes that opened: their ends
        before and after. A barrier is a record and a transaction marker.
        """
        barriers = Counter(
            place
            for message in read_all(self.bootstrap, list(self.changelogs.values()))
            if message.key() == RECORD_KEY
            and (message.offset() or 0)
            >= before[place := (str(message.topic()), message.partition() or 0)]
        )
        return {
            place: (before[place], end)
            for place, end in after.items()
            if end - before[place] != 2 * barriers[place]
        }

    def committed(self) -> Places:
        """The group's committed offsets of its inputs; 0 without one."""
        # read_committed would wait for offsets of open transactions
        places = committed_places(
            self.bootstrap,
            self.group,
            partitions_of(self.bootstrap, self.inputs),
            "read_uncommitted",
        )
        return {(place.topic, place.partition): max(place.offset, 0) for place in places}

    def _quiet_ends(self) -> Places | None:
        """Ends of all topics if all inputs are committed to their ends and no transaction is open;
        otherwise None.
        """
        try:
            committed = self.committed()
            ends = self.ends(self.topics)
            has_lag = any(
                committed[place] != end for place, end in ends.items() if place[0] in self.inputs
            )
            return (
                None
                if has_lag or self.ends(self.topics, IsolationLevel.READ_COMMITTED) != ends
                else ends
            )
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET:
                raise
            return None

    def wait_settled(self, *processes: RollcallProcess, deadline: float = 120.0) -> Places:
        """Wait until all events are processed and these processes, which must not end, are idle.
        Returns the ends of all topics.
        """
        for process in processes:
            # a process may get partitions with unfinished cascades, which are no lag
            process.wait_ready()
        try:
            return self.wait_quiet(lambda: all(process.idle for process in processes), deadline)
        finally:
            assert all(process.process.poll() is None for process in processes), (
                "a process has ended"
            )

    def wait_quiet(self, idle: Callable[[], bool], deadline: float = 120.0) -> Places:
        """Wait until all events are processed and nothing is written for a second. Returns the ends
        of all topics.

        Args:
            idle: returns whether the processes are idle.
        """
        last: tuple[float, Places] | None = None

        def settled() -> bool:
            nonlocal last
            ends = self._quiet_ends()
            now = time.monotonic()
            if ends is None:
                last = None
            elif last is None or last[1] != ends:
                last = (now, ends)
            elif now - last[0] >= 1 and idle():
                return True
            time.sleep(0.2)
            return False

        wait_until(settled, deadline, what="the end of all inputs")
        assert last is not None
        return last[1]

    # --- results

    def read(self) -> Written:
        """All committed records of the stages."""
        return Written(self, read_all(self.bootstrap, [*self.outputs, *self.changelogs.values()]))

    def rosters(self) -> Rosters:
        """The rosters on the broker."""
        return self.read().rosters

    def rows(self) -> dict[str, dict[bytes, bytes]]:
        """Rows of each stage's changelog."""
        return self.read().rows

    def assert_exactly(self, truth: Rosters) -> None:
        """Compare the rosters, and check that nothing was published twice and that the stages'
        tables have the digests of all published records.
        """
        written = self.read()
        wrong, repeated = differences(truth, written.rosters), written.repetitions()
        assert not wrong, f"{self._diagnosis(written)}; expected and actual: {wrong}"
        assert not repeated, f"published twice: {repeated[:10]}"
        stored, actual = written.stored_digests(), written.digests()
        assert stored == actual, f"digests in tables and on topics: {differences(stored, actual)}"

    def _diagnosis(self, read: Written) -> str:
        """Possible reasons for a wrong roster: a failure of the reader, dead letters, unread or
        lost records.
        """
        letters = [
            (str(letter.topic()), letter.key(), letter.headers())
            for letter in read_all(self.bootstrap, [self.dead_letters])
        ]
        committed, ends = self.committed(), self.ends(self.inputs)
        unread = {
            place: (committed[place], end) for place, end in ends.items() if committed[place] != end
        }
        readable = Counter(
            (str(message.topic()), message.partition())
            for message in read_all(self.bootstrap, self.typed)
        )
        unreadable = {
            place: (readable[place], end)
            for place, end in ends.items()
            if place[0] in self.typed and readable[place] != end
        }
        lost = {
            place: (count, readable[place])
            for place, count in self._sent.items()
            if readable[place] != count
        }
        second = "equal" if self.read().rosters == read.rosters else "different: the reader failed"
        return (
            f"second reading: {second}, dead letters: {len(letters)} {letters[:3]}, "
            f"committed and ends: {unread}, readable and ends: {unreadable}, "
            f"sent and readable: {lost}"
        )


class Written:
    """Committed records of the stages."""

    def __init__(self, cluster: RosterCluster, messages: Sequence[Message]) -> None:
        self._cluster = cluster
        # barriers are no rows
        self._messages = [message for message in messages if message.key() != RECORD_KEY]
        self._compacted = self._compact()
        self.rosters = {
            relation: {
                key.decode(): orjson.loads(value)
                for key, value in self._compacted[cluster.roster(relation)].items()
            }
            for relation in RELATIONS
        }
        self.rows = {
            name: self._compacted[changelog] for name, changelog in cluster.changelogs.items()
        }
        """Rows of each stage's changelog."""

    def _compact(self) -> dict[str, dict[bytes, bytes]]:
        """The last value of each key, by topic. A key must be in one partition only."""
        last: dict[str, dict[bytes, bytes]] = {
            topic: {} for topic in (*self._cluster.outputs, *self._cluster.changelogs.values())
        }
        places: dict[tuple[str, bytes], int | None] = {}
        for message in self._messages:
            topic, key, value = (
                cast(str, message.topic()),
                cast(bytes, message.key()),
                message.value(),
            )
            assert places.setdefault((topic, key), message.partition()) == message.partition(), (
                f"{key!r} is in two partitions of {topic}"
            )
            if value is None:
                last[topic].pop(key, None)
            else:
                last[topic][key] = value
        return last

    def repetitions(self) -> list[tuple[str, bytes, bytes | None]]:
        """Records on output topics that repeat the value of the previous record of their key:
        topic, key and value.
        """
        last: dict[tuple[str, bytes], bytes | None] = {}
        repetitions = []
        for message in self._messages:
            place, value = (cast(str, message.topic()), cast(bytes, message.key())), message.value()
            if place[0] in self._cluster.outputs:
                if last.get(place) == value:  # or a tombstone without an earlier value
                    repetitions.append((*place, value))
                last[place] = value
        return repetitions

    def stored_digests(self) -> dict[str, dict[bytes, int]]:
        """Digests of published records in the stages' tables, by topic and key. Each key must be in
        one row only, and no cascade unfinished.
        """
        digests: dict[str, dict[bytes, int]] = {topic: {} for topic in self._cluster.outputs}
        for stage in self._cluster.stages:
            for record_key, stored in self.rows[stage.name].items():
                published, _row, *pending = orjson.loads(stored)
                assert not pending, f"{stage.name}: the cascade of {record_key!r} is unfinished"
                row_id = record_key.decode().partition("/")[2]
                first, *others = stage.kinds[row_id.partition("/")[0]].outputs
                for name, digest in published.items():
                    prefix, _, key = name.rpartition(" ")  # empty for the first output
                    assert prefix in ("", *others)
                    topic = digests[self._cluster.full(prefix or first)]
                    assert key.encode() not in topic, (
                        f"{stage.name}: two rows have the digest of {name}"
                    )
                    topic[key.encode()] = digest
        return digests

    def digests(self) -> dict[str, dict[bytes, int]]:
        """Digests of the records on output topics, by topic and key."""
        return {
            topic: {
                key: int.from_bytes(blake2b(value, digest_size=8).digest())
                for key, value in self._compacted[topic].items()
            }
            for topic in self._cluster.outputs
        }


def differences(
    expected: Mapping[str, Mapping[Any, Any]], actual: Mapping[str, Mapping[Any, Any]]
) -> list[tuple[str, Any, Any, Any]]:
    """The first ten differences: topic or relation, key, expected value, actual value."""
    names = sorted({*expected, *actual})
    keys = [
        (name, key)
        for name in names
        for key in sorted({*expected.get(name, ()), *actual.get(name, ())})
    ]
    pairs = (
        (name, key, expected.get(name, {}).get(key), actual.get(name, {}).get(key))
        for name, key in keys
    )
    return [pair for pair in pairs if pair[2] != pair[3]][:10]
