"""Runs one partition of a stage: chunks into rows, rows into outputs.

Outputs, changelog and input offset are one transaction (lane.py), so a row's list of published
records is always true. The outputs of a chunk are the differences between the records derived from
its rows and the records published before. A repeated or stale event writes nothing. An output key
that is no longer derived gets a tombstone.

A change of a lead row cascades to all rows of its key, at most :data:`CASCADE_ROWS` in one
transaction. The lead row's record marks the cascade as unfinished, so the next owner of the
partition continues it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple, Protocol

import orjson

from rollcall.record import NO_HEADERS, Headers, Record, encode_headers
from rollcall.streaming.chunks import Chunk, Halt, Outputs
from rollcall.streaming.rows import LEAD, Rows, StoredRow, encode_json, encode_row
from rollcall.streaming.stages.stage import Derive, Input, Kind, Row, Stage, UnusableError

CASCADE_ROWS = 2_000
"""Maximum of cascaded rows in one transaction: tens of milliseconds of work, one or two megabytes
of output.
"""


_MISPLACED = (
    "the record's key is not its id in normal form, or its partition is not that of its key: its "
    "producer has another ROLLCALL_SHARD, or another number of partitions (ROLLCALL_PARTITIONS)"
)


class Breaker(Protocol):
    """Halts a partition with too many rejected records. See
    :class:`rollcall.process.breaker.Breaker`.
    """

    def passed(self) -> object: ...
    def failed(self) -> bool: ...
    def halt(self) -> Halt: ...
    def resume(self, note: str) -> Halt | None: ...


class StageObserver(Protocol):
    """Observes the committed work of a stage."""

    def chunk_committed(self, stage: Stage, result: StageResult, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class StageContext:
    """Shared by all partitions of a stage."""

    stage: Stage
    inputs: dict[str, Input]
    """By the topics' full names."""
    outputs: dict[str, str]
    """Full topic names by the names in the declaration."""
    changelog: str
    """Full name of the changelog topic."""
    partition_of: Callable[[bytes], int]
    reject: Callable[[Chunk, Record, UnusableError, Outputs], str]
    """Writes a record that the stage cannot use to the dead-letter topic. Returns the error code
    under which to count it.
    """
    accepted: Callable[[], tuple[int, int]]
    """Earliest and latest timestamp (ms) that the output topics accept now. An output record keeps
    the timestamp of its input record if that is accepted, else it gets the time of writing.
    """
    new_breaker: Callable[[], Breaker]
    """Makes the breaker for a partition's untrusted input."""
    observer: StageObserver
    cascade_rows: int = CASCADE_ROWS
    carried: frozenset[str] = frozenset()
    """Headers copied from an input record to its outputs: those of its trace. Cascaded rows get
    none, because there may be very many.
    """


@dataclass(slots=True)
class StageResult:
    """Implements :class:`rollcall.streaming.chunks.Result` with the counts of one call."""

    context: StageContext
    consumed: int = 0
    halt: Halt | None = None
    stale: int = 0
    """Number of records that changed nothing."""
    rejected: list[tuple[str, str]] = field(default_factory=list)
    """Input topic and error code of each record that the stage cannot use."""
    published: int = 0
    withdrawn: int = 0
    """Number of tombstones written."""
    event_times: list[float] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    """Timestamps of the input records, milliseconds."""

    def on_committed(self, now: float) -> None:
        """Report the counts to the observer."""
        self.context.observer.chunk_committed(self.context.stage, self, now)


class _Entry:
    """A row that the current chunks touch."""

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

    def __init__(self, known: StoredRow[Row] | None) -> None:
        if known is None:
            self.published: dict[str, int] = {}
            self.row: Row | None = None
            self.pending = False
        else:
            self.published, self.row, self.pending = known.published, known.row, bool(known.pending)
        self.before = self.row
        self.changed = False
        self.timestamp: int | None = None
        self.headers: Headers = []
        self.encoded: orjson.Fragment | None = None
        """The row as JSON, if it is encoded already."""

    def encode(self) -> bytes | None:
        """The stored form; None if the row can be forgotten."""
        if self.row is None and not self.published and not self.pending:
            return None
        return encode_row(
            self.published, self.row if self.encoded is None else self.encoded, self.pending
        )


class _Output(NamedTuple):
    """An output of a kind of rows."""

    prefix: str
    """Prefix of the record keys in a stored row. Empty for the first output."""
    topic: str
    """Full name."""
    derive: Derive


def _outputs(kind: Kind, topics: Mapping[str, str]) -> tuple[_Output, ...]:
    return tuple(
        _Output(f"{name} " if place else "", topics[name], derive)
        for place, (name, derive) in enumerate(kind.outputs.items())
    )


class KeyedPartition:
    """Implements :class:`rollcall.streaming.chunks.ChunkHandler` for one partition of a stage."""

    def __init__(self, context: StageContext, partition: int, rows: Rows) -> None:
        self._context = context
        self._partition = partition
        self._rows = rows
        self._breaker = context.new_breaker()
        kinds = context.stage.kinds.items()
        self._outputs = {name: _outputs(kind, context.outputs) for name, kind in kinds}
        self._decoders = {name: kind.decode for name, kind in kinds}
        self._cascades: dict[str, tuple[deque[str], int | None]] = {}
        """By key: the row ids that the cascade has not reached, and the timestamp of the lead row's
        change.
        """
        for key in rows.pending_keys():  # the partition's last owner did not finish these
            self._begin_cascade(key, None)

    def resume(self, note: str) -> Halt | None:
        """A halt from an earlier run stays in force: see
        :meth:`rollcall.process.breaker.Breaker.resume`.
        """
        return self._breaker.resume(note)

    @property
    def unfinished(self) -> int:
        """Number of rows that cascades have not reached. A cascade without rows counts as one: the
        lead row is still marked as unfinished.
        """
        return sum(len(row_ids) or 1 for row_ids, _ in self._cascades.values())

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> StageResult:
        """Merge the chunks' records into the rows, and write the differences."""
        result = StageResult(self._context)
        self._earliest, self._latest = self._context.accepted()
        touched: dict[str, dict[str, _Entry]] = {}
        for chunk in chunks:
            self._merge(chunk, touched, outputs, result)
            if result.halt is not None:
                break
        for key, entries in touched.items():
            lead = entries.get(LEAD)
            if lead is None:
                lead = self._entry(key, LEAD)
                changed = False
            else:
                changed = lead.changed and self._context.stage.lead_fingerprint(
                    lead.before
                ) != self._context.stage.lead_fingerprint(lead.row)
            for row_id, entry in entries.items():
                if entry.changed and row_id != LEAD:
                    self._publish(key, row_id, entry, lead.row, outputs, result)
                    self._store(key, row_id, entry, outputs, result)
            if changed and self._rows.has_other_rows(key):
                self._begin_cascade(key, lead.timestamp)
        self._cascade(touched, outputs, result)
        for key, entries in touched.items():
            lead = entries.get(LEAD)
            if lead is None:
                continue
            pending = key in self._cascades
            if lead.changed:
                self._publish(key, LEAD, lead, lead.row, outputs, result)
            if lead.changed or lead.pending != pending:
                lead.pending = pending
                self._store(key, LEAD, lead, outputs, result)
        return result

    def _merge(
        self,
        chunk: Chunk,
        touched: dict[str, dict[str, _Entry]],
        outputs: Outputs,
        result: StageResult,
    ) -> None:
        context = self._context
        spec = context.inputs[chunk.topic]
        read, merge, trusted, passed, carried = (
            spec.read,
            spec.merge,
            spec.trusted,
            self._breaker.passed,
            context.carried,
        )
        for index, record in enumerate(chunk.records):
            timestamp = record.timestamp
            try:
                key, row_id, update, time = read(record)
                entries = touched.get(key)
                if not trusted:
                    encoded = key.encode()
                    if record.key != encoded:
                        raise UnusableError(_MISPLACED)
                    # The partition of a key with rows was checked when its first row came.
                    if (
                        entries is None
                        and not self._rows.has_key(key)
                        and context.partition_of(encoded) != self._partition
                    ):
                        raise UnusableError(_MISPLACED)
                if entries is None:
                    entries = touched[key] = {}
                entry = entries.get(row_id)
                if entry is None:
                    entry = entries[row_id] = self._entry(key, row_id)
                row = merge(entry.row, update)
            except UnusableError as error:
                result.rejected.append((chunk.topic, context.reject(chunk, record, error, outputs)))
                if not trusted and self._breaker.failed():
                    result.halt = self._breaker.halt()
                    result.consumed += index + 1
                    return
                continue
            if not trusted:
                passed()
            if row is entry.row:
                result.stale += 1
            else:
                entry.row = row
                entry.changed = True
                entry.timestamp = timestamp
                if carried:
                    entry.headers = [header for header in record.headers if header[0] in carried]
            if timestamp is not None and timestamp >= 0:
                result.timestamps.append(timestamp)
            if time is not None:
                result.event_times.append(time)
        result.consumed += len(chunk.records)

    def _begin_cascade(self, key: str, timestamp: int | None) -> None:
        """Start a cascade to all rows of a key.

        Rows left over from an earlier cascade come first. Otherwise a lead row that changes all the
        time would starve the others.
        """
        left, _ = self._cascades.pop(key, (deque[str](), None))
        waiting = set(left)
        left.extend(row_id for row_id in self._rows.row_ids(key) if row_id not in waiting)
        self._cascades[key] = (left, timestamp)

    def _cascade(
        self, touched: dict[str, dict[str, _Entry]], outputs: Outputs, result: StageResult
    ) -> None:
        """Derive rows again whose lead row has changed, as many as go into one transaction."""
        room = self._context.cascade_rows
        while self._cascades and room > 0:
            key, (row_ids, timestamp) = next(iter(self._cascades.items()))
            entries = touched.setdefault(key, {})
            lead = entries.get(LEAD)
            if lead is None:
                lead = entries[LEAD] = self._entry(key, LEAD)
            while row_ids and room > 0:
                row_id = row_ids.popleft()
                room -= 1
                known = entries.get(row_id)
                if known is None or not known.changed:
                    entry = self._entry(key, row_id)
                    entry.timestamp = timestamp
                    if entry.row is not None and self._publish(
                        key, row_id, entry, lead.row, outputs, result
                    ):
                        self._store(key, row_id, entry, outputs, result)
            del self._cascades[key]
            if row_ids:  # after the other keys
                self._cascades[key] = (row_ids, timestamp)

    def _entry(self, key: str, row_id: str) -> _Entry:
        stored = self._rows.get(key, row_id)
        return _Entry(None if stored is None else self._decoders[row_id.partition("/")[0]](stored))

    def _publish(
        self,
        key: str,
        row_id: str,
        entry: _Entry,
        lead: Row | None,
        outputs: Outputs,
        result: StageResult,
    ) -> bool:
        """Write the difference between a row's derived records and its published ones. Returns
        whether there is one.
        """
        kind, _, identity = row_id.partition("/")
        published = entry.published
        remembered: dict[str, int] = {}
        differs = False
        timestamp = entry.timestamp
        if timestamp is not None and not self._earliest <= timestamp <= self._latest:
            timestamp = None
        for prefix, topic, derive in self._outputs[kind]:
            if entry.row is None:
                break
            for output_key, value in derive(key, identity, entry.row, lead).items():
                encoded = encode_json(value)
                if value is entry.row:
                    entry.encoded = orjson.Fragment(encoded)
                digest = int.from_bytes(blake2b(encoded, digest_size=8).digest())
                name = prefix + output_key
                remembered[name] = digest
                if published.get(name) != digest:
                    differs = True
                    result.published += 1
                    self._write(topic, output_key, encoded, timestamp, entry.headers, outputs)
        for name in published:
            if name not in remembered:
                differs = True
                result.withdrawn += 1
                topic, output_key = self._destination(kind, name)
                self._write(topic, output_key, None, timestamp, entry.headers, outputs)
        entry.published = remembered
        return differs

    def _destination(self, kind: str, name: str) -> tuple[str, str]:
        """Topic and record key of an output key in a stored row."""
        first, *others = self._outputs[kind]
        for output in others:
            if name.startswith(output.prefix):
                return output.topic, name.removeprefix(output.prefix)
        return first.topic, name

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
            self._context.partition_of(encoded.partition(b"/")[0]),
            encoded,
            value,
            timestamp,
            encode_headers(headers),
        )

    def _store(
        self, key: str, row_id: str, entry: _Entry, outputs: Outputs, result: StageResult
    ) -> None:
        value = entry.encode()
        self._rows.put(key, row_id, value)
        outputs.append(
            self._context.changelog,
            self._partition,
            Rows.record_key(key, row_id),
            value,
            None,
            NO_HEADERS,
        )
