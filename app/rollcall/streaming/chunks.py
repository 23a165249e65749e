"""The contract between the streaming machinery and what runs on it: a chunk in, outputs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rollcall.record import Headers, Record
from rollcall.streaming.rows import Rows

OUT_OF_RANGE = -1
"""Position of an empty chunk that reports: the broker has no record at the lane's position.
Retention deleted it, or the topic was truncated or created again.
"""


class Chunk(NamedTuple):
    """Records of one input partition, contiguous: everything committed between two fetch positions.

    ``position`` is where the fetch began, ``next_position`` where the next one begins. Offsets have
    gaps (transaction markers, compaction), so only these two tell whether two chunks adjoin;
    ``records`` may be empty when there were only markers.
    """

    topic: str
    partition: int
    position: int
    next_position: int
    records: list[Record]
    size: int
    """Bytes of keys, values and headers."""


class Outputs(Protocol):
    """Where a handler puts its output records."""

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: Headers,
    ) -> None:
        """Add one record. Records of one topic and partition keep their order. ``timestamp`` is in
        milliseconds since the epoch; None: now.
        """


@dataclass(frozen=True, slots=True)
class Halt:
    """The handler wants its partition consumed no further.

    ``note`` is stored beside the committed offset, so that the halt outlives the process (see
    :meth:`ChunkHandler.resume`); ``reason`` is for people.
    """

    reason: str
    note: str


class Result(Protocol):
    """What a handler knows of a chunk that it has processed."""

    consumed: int
    """How many of the records, over all chunks and from the first on, the outputs stand for. Fewer
    than all only with a halt.
    """
    halt: Halt | None

    def on_committed(self, now: float) -> None:
        """Called once, when outputs and offset are committed; the place for counters. Must not
        raise or block. ``now``: seconds since the epoch.
        """


class ChunkHandler(Protocol):
    """Turns the chunks of one partition into outputs. One object per partition and assignment; the
    lane calls it from one task.
    """

    @property
    def unfinished(self) -> int:
        """How much work is left that needs no further input. As long as there is any, the lane
        calls ``process`` again, with what has arrived by then.
        """

    def resume(self, note: str) -> Halt | None:
        """Called once, before the first chunk, with the note stored beside the committed offset (""
        if none). A halt: the partition stays as it is.
        """

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> Result:
        """Process the records of chunks, in order. Synchronous, must not block. An exception is a
        bug: the process stops, and nothing is committed.
        """


@dataclass(frozen=True, slots=True)
class ChunkAgent:
    """Who consumes which topics. A process has one or several; each of their partitions has a lane.

    The topics of one agent are partitioned alike: their partitions of one number are consumed
    together, in one lane.
    """

    name: str
    topics: tuple[str, ...]
    producer_prefix: str
    """The transactional id of a lane's producer is this, ``-`` and the number of the partition."""
    new_handler: Callable[[int, Rows], ChunkHandler]
    """From a partition, and the rows of the agent's table there, to the handler. Without a table
    there are no rows.
    """
    table: str | None = None
    """The name of the table that the agent keeps, partitioned like its topics."""


@dataclass(frozen=True, slots=True)
class ChunkPolicy:
    """Bounds of what goes into one transaction, and of the time that things may take (seconds)."""

    max_records: int
    max_bytes: int
    gather: float
    """How long a chunk that is not full waits for more records, so that transactions stay few at
    low rates.
    """
    drain: float
    """How long a transaction in flight may take to end when the partition is given up."""
    transaction: float
    """How long a transaction may take at all: the broker aborts one that is open for longer."""
    reopen: float
    """How long a lane that was fenced, though its partition was not taken away, waits before it
    opens again. At least the group's session timeout: a process that was stopped has by then heard
    from the group that the partition is another's.
    """
