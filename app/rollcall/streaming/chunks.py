"""Contract between the streaming machinery and its handlers: chunks in, outputs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rollcall.record import EncodedHeaders, Record
from rollcall.streaming.rows import Rows

OUT_OF_RANGE = -1
"""Position of an empty chunk that reports: the broker has no record at the lane's position.
Retention deleted it, or the topic was truncated or created again.
"""


class Chunk(NamedTuple):
    """Contiguous records of one input partition: all committed records between two fetch positions.

    ``position`` is the start of the fetch, ``next_position`` the start of the next one. Two chunks
    adjoin if these agree. Offsets do not show it: transaction markers and compaction leave gaps.
    ``records`` is empty if the fetch held only markers.
    """

    topic: str
    partition: int
    position: int
    next_position: int
    records: list[Record]
    size: int
    """Bytes of keys, values and headers."""


class Outputs(Protocol):
    """Collects the output records of a handler."""

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: EncodedHeaders,
    ) -> None:
        """Add one record. Records of one topic and partition keep their order.

        ``timestamp`` is in milliseconds since the epoch; None: now.
        """


@dataclass(frozen=True, slots=True)
class Halt:
    """A handler's request to stop consuming its partition.

    ``note`` is stored beside the committed offset, so the halt survives the process (see
    :meth:`ChunkHandler.resume`). ``reason`` is for people.
    """

    reason: str
    note: str


class Result(Protocol):
    """A handler's result for the chunks of one call."""

    consumed: int
    """Number of leading records, over all chunks, that the outputs cover. Less than all only if
    ``halt`` is set.
    """
    halt: Halt | None

    def on_committed(self, now: float) -> None:
        """Called once, after outputs and offset are committed. The place for counters. Must not
        raise or block. ``now``: seconds since the epoch.
        """


class ChunkHandler(Protocol):
    """Turns the chunks of one partition into outputs. One object per partition and assignment; the
    lane calls it from one task.
    """

    @property
    def unfinished(self) -> int:
        """Amount of work left that needs no further input. While it is not 0, the lane calls
        ``process`` again, with the chunks that have arrived by then.
        """

    def resume(self, note: str) -> Halt | None:
        """Called once, before the first chunk, with the note beside the committed offset ("" if
        none). If it returns a halt, the partition is not consumed.
        """

    def process(self, chunks: Sequence[Chunk], outputs: Outputs) -> Result:
        """Process the records of chunks, in order. Synchronous; must not block.

        An exception is a bug: the process stops, and nothing is committed.
        """


@dataclass(frozen=True, slots=True)
class ChunkAgent:
    """Consumer of some topics. A process has one agent or several; each of their partitions has a
    lane.

    The topics of one agent have equally many partitions. One lane consumes the partitions with the
    same number.
    """

    name: str
    topics: tuple[str, ...]
    producer_prefix: str
    """A lane's transactional id is this prefix, ``-`` and the partition number."""
    new_handler: Callable[[int, Rows], ChunkHandler]
    """Makes the handler of a partition from its number and the rows of the agent's table. An agent
    without a table gets empty rows.
    """
    table: str | None = None
    """Name of the agent's table, which is partitioned like its topics."""


@dataclass(frozen=True, slots=True)
class ChunkPolicy:
    """Limits of one transaction, and time limits (seconds)."""

    max_records: int
    max_bytes: int
    gather: float
    """How long a chunk that is not full waits for more records. Keeps transactions few at low
    rates.
    """
    drain: float
    """Time limit for a transaction in flight when the partition is revoked."""
    transaction: float
    """Time limit for any transaction. The broker aborts one that stays open longer."""
    reopen: float
    """Delay before a lane reopens that was fenced although its partition was not revoked.

    At least the group's session timeout: after that, a process that was suspended knows whether the
    group has given its partition to another process.
    """
