"""Runs one partition of a stage: chunks into rows, rows into outputs, each chunk's changes as one
set.

Because outputs, changelog and input offset are one transaction (lane.py), what a row remembers as
published is published. So the outputs of a chunk are the differences between what follows from its
rows now and what they remember, and nothing else is ever needed: a repeated or stale event writes
nothing, an output key that no longer follows from its row gets a tombstone.

A change of a lead row touches all rows of its key. A key may have very many, so no more than
:data:`CASCADE_ROWS` of them go into one transaction; that there are more is remembered in the lead
row's record, so that whoever takes over the partition goes on with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from rollcall.record import Headers, Record
from rollcall.streaming.chunks import Chunk, Halt, Outputs
from rollcall.streaming.rows import LEAD, Rows, decode_row, encode_row
from rollcall.streaming.stages.stage import Input, Row, Stage, UnusableError

CASCADE_ROWS = 2_000
"""Rows that follow a change of their lead row within one transaction: tens of milliseconds of work,
a megabyte or two of output.
"""


_MISPLACED = (
    "the record's key is not its id in normal form, or its partition not that of its key: whoever "
    "wrote it makes ids normal in another way (ROLLCALL_SHARD), "
    "or has another number of partitions (ROLLCALL_PARTITIONS)"
)


class Breaker(Protocol):
    """Decides when too many records were set aside. See
    :class:`rollcall.process.breaker.Breaker`.
    """

    def passed(self) -> object: ...
    def failed(self) -> bool: ...
    def halt(self) -> Halt: ...
    def resume(self, note: str) -> Halt | None: ...


class StageObserver(Protocol):
    """Told of what a stage did with a chunk, once that is committed."""

    def chunk_committed(self, stage: Stage, tally: Tally, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class StageKit:
    """What the partitions of a stage share."""

    stage: Stage
    inputs: dict[str, Input]
    """By the topics' full names."""
    outputs: dict[str, str]
    """From the names in the declaration to the topics' full names."""
    changelog: str
    """The changelog topic's full name."""
    partition_of: Callable[[bytes], int]
    reject: Callable[[Chunk, Record, UnusableError, Outputs], str]
    """Writes a record that the stage cannot use where such records go, and says under which name to
    count it.
    """
    accepted: Callable[[], tuple[int, int]]
    """The earliest and the latest timestamp (ms) that the topics accept now. Outputs bear that of
    the record that they follow from, else that of writing.
    """
    new_breaker: Callable[[], Breaker]
    """For what a partition reads that is not trusted."""
    observer: StageObserver
    cascade_rows: int = CASCADE_ROWS
    carried: frozenset[str] = frozenset()
    """Headers that a record hands on to what follows from it: those of its trace. Rows that only
    follow their lead row bear none: there may be very many.
    """


@dataclass(slots=True)
class Tally:
    """Implements :class:`rollcall.streaming.chunks.Result`: what a chunk came to."""

    kit: StageKit
    consumed: int = 0
    halt: Halt | None = None
    stale: int = 0
    """Records that changed nothing."""
    rejected: list[tuple[str, str]] = field(default_factory=list)
    """The input topic of each record that the stage cannot use, and what ``reject`` called it."""
    published: int = 0
    withdrawn: int = 0
    """Tombstones."""
    event_times: list[float] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    """Of the input records, milliseconds."""

    def on_committed(self, now: float) -> None:
        """Pass it on."""
        self.kit.observer.chunk_committed(self.kit.stage, self, now)


class _Entry:
    """A row while a chunk is worked on."""

    __slots__ = (
        "before",
        "changed",
        "encoded",
        "headers",
        "pending",
        "published",
        "row",
        "timestamp",
    )

    def __init__(self, stored: bytes | None) -> None:
        self.published: dict[str, int] = {}
        self.row: Row | None = None
        self.pending = False
        if stored is not None:
            self.published, self.row, self.pending = decode_row(stored)
        self.before = self.row
        self.changed = False
        self.timestamp: int | None = None
        self.headers: Headers = []
        self.encoded: orjson.Fragment | None = None
        """The row as JSON, if it was written already."""

    def encode(self) -> bytes | None:
        """What is stored; None when nothing is left to be remembered."""
        if self.row is None and not self.published and not self.pending:
            return None
        return encode_row(
            self.published, self.row if self.encoded is None else self.encoded, self.pending
        )


class KeyedPartition:
    """Implements :class:`rollcall.streaming.chunks.ChunkHandler` for one partition of a stage, on
    the rows that were there when it was opened.
    """

    def __init__(self, kit: StageKit, partition: int, rows: Rows) -> None:
        self._kit = kit
        self._partition = partition
        self._rows = rows
        self._breaker = kit.new_breaker()
        self._cascades: dict[str, tuple[deque[str], int | None]] = {}
        """Keys whose rows have yet to follow their lead row: those that are left, and the timestamp
        of what changed it.
        """
        for key in rows.pending_keys():  # what the partition's last owner left unfinished
            self._begin_cascade(key, None)

    def resume(self, note: str) -> Halt | None:
        """A breaker that opened in another life stays open."""
        return self._breaker.resume(note)

    @property
    def unfinished(self) -> int:
        """How many rows have still to follow a change of their lead row. Where none is left of
        them, the lead row has still to be told so.
        """
        return sum(len(units) or 1 for units, _ in self._cascades.values())

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> Tally:
        """Merge the chunks' records into the rows, and write what has changed by that."""
        tally = Tally(self._kit)
        self._earliest, self._latest = self._kit.accepted()
        touched: dict[str, dict[str, _Entry]] = {}
        for chunk in chunks:
            self._merge(chunk, touched, outputs, tally)
            if tally.halt is not None:
                break
        for key, entries in touched.items():
            lead = entries.get(LEAD)
            if lead is None:
                lead = self._entry(key, LEAD)
                changed = False
            else:
                changed = lead.changed and self._kit.stage.influence(
                    lead.before
                ) != self._kit.stage.influence(lead.row)
            for unit, entry in entries.items():
                if entry.changed and unit != LEAD:
                    self._publish(key, unit, entry, lead.row, outputs, tally)
                    self._store(key, unit, entry, outputs, tally)
            if changed and self._rows.has_units(key):
                self._begin_cascade(key, lead.timestamp)
        self._cascade(touched, outputs, tally)
        for key, entries in touched.items():
            lead = entries.get(LEAD)
            if lead is None:
                continue
            pending = key in self._cascades
            if lead.changed:
                self._publish(key, LEAD, lead, lead.row, outputs, tally)
            if lead.changed or lead.pending != pending:
                lead.pending = pending
                self._store(key, LEAD, lead, outputs, tally)
        return tally

    def _merge(
        self, chunk: Chunk, touched: dict[str, dict[str, _Entry]], outputs: Outputs, tally: Tally
    ) -> None:
        kit = self._kit
        given = kit.inputs[chunk.topic]
        read, merge, trusted, passed, carried = (
            given.read,
            given.merge,
            given.trusted,
            self._breaker.passed,
            kit.carried,
        )
        for index, record in enumerate(chunk.records):
            timestamp = record.timestamp
            try:
                key, unit, said, time = read(record)
                entries = touched.get(key)
                if not trusted:
                    encoded = key.encode()
                    if record.key != encoded:
                        raise UnusableError(_MISPLACED)
                    # A key that has rows here was looked at when the first of them came.
                    if (
                        entries is None
                        and not self._rows.knows(key)
                        and kit.partition_of(encoded) != self._partition
                    ):
                        raise UnusableError(_MISPLACED)
                if entries is None:
                    entries = touched[key] = {}
                entry = entries.get(unit)
                if entry is None:
                    entry = entries[unit] = self._entry(key, unit)
                row = merge(entry.row, said)
            except UnusableError as error:
                tally.rejected.append((chunk.topic, kit.reject(chunk, record, error, outputs)))
                if not trusted and self._breaker.failed():
                    tally.halt = self._breaker.halt()
                    tally.consumed += index + 1
                    return
                continue
            if not trusted:
                passed()
            if row is entry.row:
                tally.stale += 1
            else:
                entry.row = row
                entry.changed = True
                entry.timestamp = timestamp
                if carried:
                    entry.headers = [header for header in record.headers if header[0] in carried]
            if timestamp is not None and timestamp >= 0:
                tally.timestamps.append(timestamp)
            if time is not None:
                tally.event_times.append(time)
        tally.consumed += len(chunk.records)

    def _begin_cascade(self, key: str, timestamp: int | None) -> None:
        """Let all rows of a key follow its lead row.

        Those that still have to follow an older change come first: a lead row that never rests
        would otherwise keep the others waiting for ever.
        """
        left, _ = self._cascades.pop(key, (deque[str](), None))
        waiting = set(left)
        left.extend(unit for unit in self._rows.units(key) if unit not in waiting)
        self._cascades[key] = (left, timestamp)

    def _cascade(
        self, touched: dict[str, dict[str, _Entry]], outputs: Outputs, tally: Tally
    ) -> None:
        """Let rows follow their lead rows, as many as go into one transaction."""
        room = self._kit.cascade_rows
        while self._cascades and room > 0:
            key, (units, timestamp) = next(iter(self._cascades.items()))
            entries = touched.setdefault(key, {})
            lead = entries.get(LEAD)
            if lead is None:
                lead = entries[LEAD] = self._entry(key, LEAD)
            while units and room > 0:
                unit = units.popleft()
                room -= 1
                known = entries.get(unit)
                if known is None or not known.changed:
                    entry = self._entry(key, unit)
                    entry.timestamp = timestamp
                    if entry.row is not None and self._publish(
                        key, unit, entry, lead.row, outputs, tally
                    ):
                        self._store(key, unit, entry, outputs, tally)
            del self._cascades[key]
            if units:  # the other keys have their turn before it
                self._cascades[key] = (units, timestamp)

    def _entry(self, key: str, unit: str) -> _Entry:
        return _Entry(self._rows.get(key, unit))

    def _publish(
        self, key: str, unit: str, entry: _Entry, lead: Row | None, outputs: Outputs, tally: Tally
    ) -> bool:
        """Write the difference between what follows from a row and what it remembers; whether there
        is one.
        """
        kit = self._kit
        kind_name, _, identity = unit.partition("/")
        kind = kit.stage.kinds[kind_name]
        derived: Any = {} if entry.row is None else kind.derive(key, identity, entry.row, lead)
        topic = kit.outputs[kind.output]
        published = entry.published
        remembered: dict[str, int] = {}
        differs = False
        timestamp = entry.timestamp
        if timestamp is not None and not self._earliest <= timestamp <= self._latest:
            timestamp = None
        for output_key, value in derived.items():
            encoded = orjson.dumps(value)
            if value is entry.row:
                entry.encoded = orjson.Fragment(encoded)
            digest = int.from_bytes(blake2b(encoded, digest_size=8).digest())
            remembered[output_key] = digest
            if published.get(output_key) != digest:
                differs = True
                tally.published += 1
                self._write(topic, output_key, encoded, timestamp, entry.headers, outputs)
        for output_key in published:
            if output_key not in remembered:
                differs = True
                tally.withdrawn += 1
                self._write(topic, output_key, None, timestamp, entry.headers, outputs)
        entry.published = remembered
        return differs

    def _write(
        self,
        topic: str,
        key: str,
        value: bytes | None,
        timestamp: int | None,
        headers: Headers,
        outputs: Outputs,
    ) -> None:
        encoded = key.encode()
        outputs.append(
            topic,
            self._kit.partition_of(encoded.partition(b"/")[0]),
            encoded,
            value,
            timestamp,
            headers,
        )

    def _store(self, key: str, unit: str, entry: _Entry, outputs: Outputs, tally: Tally) -> None:
        value = entry.encode()
        self._rows.put(key, unit, value)
        outputs.append(
            self._kit.changelog, self._partition, Rows.record_key(key, unit), value, None, []
        )
