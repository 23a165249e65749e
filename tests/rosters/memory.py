"""A cluster in memory with all stages: arbitrary chunks, order of inputs, and crashes between any
two writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import orjson

from rollcall.events.outcomes import Routed
from rollcall.events.pipeline import Pipeline
from rollcall.kafka.partitioner import partitioner
from rollcall.process.breaker import Breaker, BreakerPolicy
from rollcall.record import Headers
from rollcall.rosters.registry import stages
from rollcall.streaming.chunks import Chunk, Outputs
from rollcall.streaming.rows import Rows
from rollcall.streaming.stages.keyed import KeyedPartition, StageContext, StageResult
from rollcall.streaming.stages.stage import Stage, UnusableError
from tests.events.schemas.events import VALIDATORS
from tests.outputs import MemoryOutputs, Output
from tests.rosters.reference import RELATIONS, Rosters, TypedEvent


@cache
def _pipeline(shard: int | None) -> Pipeline:
    """Shared: making one takes longer than most tests in memory."""
    return Pipeline(VALIDATORS, shard=shard)


class Choices(Protocol):
    """Decisions by hypothesis or by a random generator."""

    def below(self, bound: int) -> int: ...


class Stored(NamedTuple):
    """A record on a topic."""

    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


class Silent:
    """Implements :class:`rollcall.streaming.stages.keyed.StageObserver`."""

    def chunk_committed(self, stage: Stage, result: StageResult, now: float) -> None:
        """Ignore the chunk."""


CrashEffect = Callable[[Sequence[Output], str, Choices], tuple[Sequence[Output], bool]]
"""Effect of a crash: takes a transaction's writes, the changelog's name and choices, and returns
the remaining writes and whether the offsets are committed.
"""


def nothing_remains(
    _writes: Sequence[Output], _changelog: str, _choose: Choices
) -> tuple[Sequence[Output], bool]:
    """With transactions, no write remains."""
    return (), False


def changelog_first(
    writes: Sequence[Output], changelog: str, choose: Choices
) -> tuple[Sequence[Output], bool]:
    """Without transactions, the table is written before the outputs."""
    ordered = sorted(writes, key=lambda write: write.topic != changelog)
    return ordered[: choose.below(len(ordered) + 1)], False


def outputs_first(
    writes: Sequence[Output], changelog: str, choose: Choices
) -> tuple[Sequence[Output], bool]:
    """Without transactions, the outputs are written before the table."""
    ordered = sorted(writes, key=lambda write: write.topic == changelog)
    return ordered[: choose.below(len(ordered) + 1)], False


class Lane:
    """A lane: one partition of a stage in a process."""

    def __init__(self, cluster: Cluster, context: StageContext, partition: int) -> None:
        self.context = context
        self.partition = partition
        self._cluster = cluster
        self._logs = {topic: cluster.log(topic, partition) for topic in context.inputs}
        self.start()

    def start(self) -> None:
        """Start as a new process, with only the cluster's data."""
        self.rows = Rows()
        for record in self._cluster.log(self.context.changelog, self.partition):
            self.rows.load(record.key, record.value)
        self.positions = {
            topic: self._cluster.offsets.get((self.context.stage.name, topic, self.partition), 0)
            for topic in self.context.inputs
        }
        self.handler = KeyedPartition(self.context, self.partition, self.rows)

    @property
    def waiting(self) -> dict[str, int]:
        """Number of unread records of each input that has some."""
        return {
            topic: len(log) - self.positions[topic]
            for topic, log in self._logs.items()
            if len(log) > self.positions[topic]
        }

    @property
    def has_work(self) -> bool:
        """Whether there are unread records or unfinished cascades."""
        return bool(self.waiting) or self.handler.unfinished > 0

    def work(self, choose: Choices, crash: CrashEffect | None) -> None:
        """Process arbitrary chunks in one transaction, or crash in it."""
        chunks = []
        positions = dict(self.positions)
        waiting = sorted(self.waiting.items())
        for _ in range(1 + choose.below(3)):
            if not waiting:
                break
            topic, unread = waiting.pop(choose.below(len(waiting)))
            count = 1 + choose.below(min(unread, 256))
            begin = positions[topic]
            records = self._logs[topic][begin : begin + count]
            chunks.append(Chunk(topic, self.partition, begin, begin + count, list(records), 0))
            positions[topic] = begin + count
        outputs = MemoryOutputs()
        result = self.handler.process(chunks, outputs)
        writes, is_committed = (
            (outputs, True) if crash is None else crash(outputs, self.context.changelog, choose)
        )
        self._cluster.write(writes)
        if is_committed:
            self._cluster.offsets |= {
                (self.context.stage.name, topic, self.partition): position
                for topic, position in positions.items()
            }
        if crash is None:
            self.positions = positions
            result.on_committed(0.0)
        else:
            self.start()


class Cluster:
    """Topics, committed offsets, and a lane for each stage and partition."""

    def __init__(
        self,
        *,
        partitions: int = 2,
        shard: int | None = None,
        cascade_rows: int = 2,
        all_stages: Sequence[Stage] | None = None,
    ) -> None:
        self.offsets: dict[tuple[str, str, int], int] = {}
        self.rejected: list[tuple[str, str]] = []
        """Topic of each record that a stage could not use, and the reason."""
        self._topics: dict[tuple[str, int], list[Stored]] = {}
        self._partition_of = partitioner(partitions)
        self._pipeline = _pipeline(shard)
        self.lanes = [
            Lane(self, self._context(stage, cascade_rows), partition)
            for stage in (stages(shard) if all_stages is None else all_stages)
            for partition in range(partitions)
        ]

    def _context(self, stage: Stage, cascade_rows: int) -> StageContext:
        def reject(chunk: Chunk, _record: Any, error: UnusableError, _outputs: Outputs) -> str:
            self.rejected.append((chunk.topic, error.reason))
            return "not_applicable"

        return StageContext(
            stage=stage,
            inputs=dict(stage.inputs),
            outputs={topic: topic for topic in stage.outputs},
            changelog=f"{stage.name}-changelog",
            partition_of=self._partition_of,
            reject=reject,
            accepted=lambda: (0, 2**63),
            new_breaker=lambda: Breaker(BreakerPolicy(0, 1)),
            observer=Silent(),
            cascade_rows=cascade_rows,
        )

    def log(self, topic: str, partition: int) -> list[Stored]:
        """The records of a partition, in order of their offsets."""
        return self._topics.setdefault((topic, partition), [])

    def write(self, writes: Iterable[Output]) -> None:
        """Append records."""
        for write in writes:
            log = self.log(write.topic, write.partition)
            log.append(Stored(len(log), None, write.key, write.value, []))

    def send(self, events: Iterable[TypedEvent]) -> None:
        """Write typed events like the router."""
        for name, value in events:
            routed = self._pipeline(value)
            assert isinstance(routed, Routed), (name, routed)
            partition = 0 if routed.key is None else self._partition_of(routed.key)
            log = self.log(f"events.{name}", partition)
            log.append(Stored(len(log), None, routed.key, value, routed.headers))

    def settle(
        self, choose: Choices, *, crashes: int = 0, crash: CrashEffect = nothing_remains
    ) -> None:
        """Process all records.

        Args:
            choose: decides on lanes, chunks and crashes.
            crashes: percentage of transactions that crash, up to 20 crashes.
            crash: effect of a crash.
        """
        remaining_crashes = 20
        while working := [lane for lane in self.lanes if lane.has_work]:
            lane = working[choose.below(len(working))]
            crashes_now = remaining_crashes > 0 and choose.below(100) < crashes
            remaining_crashes -= crashes_now
            lane.work(choose, crash if crashes_now else None)

    def rosters(self) -> Rosters:
        """The rosters: the last rows on the roster topics."""
        return {relation: self.compacted(f"rosters.{relation}") for relation in RELATIONS}

    def compacted(self, topic: str) -> dict[str, dict[str, Any]]:
        """The last row of each key on a topic."""
        last = {record.key: record.value for log in self._logs(topic).values() for record in log}
        return {
            key.decode(): orjson.loads(value)
            for key, value in last.items()
            if key is not None and value is not None
        }

    def repetitions(self) -> list[tuple[str, bytes | None]]:
        """Roster records that repeat the value of the previous record of their key."""
        repetitions = []
        for relation in RELATIONS:
            for log in self._logs(f"rosters.{relation}").values():
                last: dict[bytes | None, bytes | None] = {}
                for record in log:
                    if last.get(record.key) == record.value:
                        repetitions.append((relation, record.key))
                    last[record.key] = record.value
        return repetitions

    def sizes(self) -> dict[tuple[str, int], int]:
        """Number of records of each partition that stages write."""
        return {
            place: len(log)
            for place, log in self._topics.items()
            if not place[0].startswith("events.")
        }

    def _logs(self, topic: str) -> Mapping[tuple[str, int], list[Stored]]:
        return {place: log for place, log in self._topics.items() if place[0] == topic}
