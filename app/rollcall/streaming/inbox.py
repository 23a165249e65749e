"""What comes in to a lane: chunks, measured against the lane's own position and gathered for a
transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from faust.types import TP

from rollcall.streaming.chunks import OUT_OF_RANGE, Chunk, ChunkPolicy

log = logging.getLogger(__name__)


class PositionLostError(Exception):
    """The broker has no records where a lane would go on."""


class Batch(NamedTuple):
    """What goes into one transaction."""

    chunks: list[Chunk]
    positions: dict[TP, int]
    """Where each input stands after these chunks."""

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(len(chunk.records) for chunk in self.chunks)

    @property
    def size(self) -> int:
        """How many bytes they have."""
        return sum(chunk.size for chunk in self.chunks)

    @property
    def oldest(self) -> int | None:
        """Timestamp (ms) of the first record."""
        return next((chunk.records[0].timestamp for chunk in self.chunks if chunk.records), None)

    def cut(self, count: int) -> dict[TP, int]:
        """Where the inputs stand when only so many records, from the first on, count."""
        positions = dict(self.positions)
        left = [
            (TP(chunk.topic, chunk.partition), record.offset)
            for chunk in self.chunks
            for record in chunk.records
        ][count:]
        positions.update(reversed(left))
        return positions


class Inbox:
    """The chunks that a lane was given and has not taken yet, and the position from which it takes
    them: rule 2 of :mod:`rollcall.streaming.lane`.

    Args:
        seek: has the driver go on reading at an offset.
        on_room: called when there is room for a chunk.
        closing: set when the lane closes.
    """

    def __init__(
        self,
        policy: ChunkPolicy,
        *,
        seek: Callable[[TP, int], Awaitable[None]],
        on_room: Callable[[], None],
        closing: asyncio.Event,
    ) -> None:
        self._policy = policy
        self._seek = seek
        self._on_room = on_room
        self._closing = closing
        self._chunks: deque[Chunk] = deque()
        self._arrived = asyncio.Event()
        self._accepted: dict[TP, int] = {}

    def begin(self, positions: Mapping[TP, int]) -> None:
        """Forget all chunks, and take records from these positions on."""
        self._chunks.clear()
        self._accepted = dict(positions)

    @property
    def is_empty(self) -> bool:
        """Whether there is no chunk."""
        return not self._chunks

    def put(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self._chunks.append(chunk)
        self._arrived.set()

    async def gather(self, commit: asyncio.Task[None] | None, *, wait: bool = True) -> Batch | None:
        """What goes into the next transaction, or None when the lane closes.

        Args:
            commit: the transaction in flight.
            wait: for a chunk, and for more of them as long as the policy says. Otherwise what is
                there is taken, if only nothing.

        Raises:
            PositionLostError: there are no records where the lane would go on.
            Exception: whatever the transaction in flight, ``commit``, raises.
        """
        policy = self._policy
        batch = Batch([], {})
        deadline: float | None = None
        while True:
            while self._chunks and self._fits(self._chunks[0], batch):
                chunk = await self._accept(self._chunks.popleft())
                self._on_room()
                if chunk is None:
                    continue
                batch.chunks.append(chunk)
                batch.positions[TP(chunk.topic, chunk.partition)] = chunk.next_position
                deadline = deadline or time.monotonic() + policy.gather
            if self._closing.is_set():
                return None
            left = None if deadline is None else deadline - time.monotonic()
            if (
                not wait
                or self._chunks
                or (left is not None and left <= 0)
                or batch.records >= policy.max_records
                or batch.size >= policy.max_bytes
            ):
                return batch
            await self._wait(commit, left)

    def _fits(self, chunk: Chunk, batch: Batch) -> bool:
        """Whether a chunk can still go into the transaction; one by itself always can."""
        policy = self._policy
        return not batch.chunks or (
            batch.records + len(chunk.records) <= policy.max_records
            and batch.size + chunk.size <= policy.max_bytes
        )

    async def _accept(self, chunk: Chunk) -> Chunk | None:
        """The chunk, from the record on that comes next; None when it does not adjoin what was
        accepted before.
        """
        tp = TP(chunk.topic, chunk.partition)
        here = self._accepted[tp]
        if chunk.position == OUT_OF_RANGE:
            raise PositionLostError
        if chunk.position > here:
            log.debug(
                "a chunk begins at %d and %d comes next; seeking back",
                chunk.position,
                here,
                extra=tp._asdict(),
            )
            await self._seek(tp, here)
            return None
        if chunk.next_position <= here:
            return None
        self._accepted[tp] = chunk.next_position
        return (
            chunk
            if chunk.position >= here
            else chunk._replace(
                records=[record for record in chunk.records if record.offset >= here]
            )
        )

    async def _wait(self, commit: asyncio.Task[None] | None, seconds: float | None) -> None:
        """Until a chunk arrives, the lane closes, the transaction in flight ends, or time is up."""
        self._arrived.clear()
        waits: set[asyncio.Future[object]] = {
            asyncio.ensure_future(self._arrived.wait()),
            asyncio.ensure_future(self._closing.wait()),
        }
        in_flight = set() if commit is None or commit.done() else {commit}
        try:
            if commit is not None and commit.done():
                commit.result()
            await asyncio.wait(
                waits | in_flight, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for future in waits:
                future.cancel()
        if commit is not None and commit.done():
            commit.result()
