"""Input of a lane: chunks, checked against the lane's position and gathered into batches."""

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
    """The broker has no records at a lane's position."""


class Batch(NamedTuple):
    """Input of one transaction."""

    chunks: list[Chunk]
    positions: dict[TP, int]
    """Position in each input after these chunks."""

    @property
    def records(self) -> int:
        """Number of records."""
        return sum(len(chunk.records) for chunk in self.chunks)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return sum(chunk.size for chunk in self.chunks)

    @property
    def oldest(self) -> int | None:
        """Timestamp (ms) of the first record."""
        return next((chunk.records[0].timestamp for chunk in self.chunks if chunk.records), None)

    def positions_after(self, count: int) -> dict[TP, int]:
        """Positions in the inputs after the first ``count`` records."""
        positions = dict(self.positions)
        remaining = [
            (TP(chunk.topic, chunk.partition), record.offset)
            for chunk in self.chunks
            for record in chunk.records
        ][count:]
        positions.update(reversed(remaining))
        return positions


class Inbox:
    """Chunks that a lane has received and not yet processed, and the position of the next record:
    rule 2 of :mod:`rollcall.streaming.lane`.

    Args:
        seek: makes the driver continue at an offset.
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
        """Drop all chunks, and accept records from these positions on."""
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
        """The input of the next transaction, or None when the lane closes.

        Args:
            commit: the transaction in flight.
            wait: for a chunk, and for more chunks as the policy says. Otherwise the batch holds
                only waiting chunks, and may be empty.

        Raises:
            PositionLostError: there are no records at the lane's position.
            Exception: any error of ``commit``.
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
            seconds_left = None if deadline is None else deadline - time.monotonic()
            if (
                not wait
                or self._chunks
                or (seconds_left is not None and seconds_left <= 0)
                or batch.records >= policy.max_records
                or batch.size >= policy.max_bytes
            ):
                return batch
            await self._wait(commit, seconds_left)

    def _fits(self, chunk: Chunk, batch: Batch) -> bool:
        """Whether a chunk fits into the batch. Any chunk fits into an empty one."""
        policy = self._policy
        return not batch.chunks or (
            batch.records + len(chunk.records) <= policy.max_records
            and batch.size + chunk.size <= policy.max_bytes
        )

    async def _accept(self, chunk: Chunk) -> Chunk | None:
        """The chunk from the next expected record on; None if it does not adjoin the last accepted
        one.
        """
        tp = TP(chunk.topic, chunk.partition)
        expected = self._accepted[tp]
        if chunk.position == OUT_OF_RANGE:
            raise PositionLostError
        if chunk.position > expected:
            log.debug(
                "a chunk starts at %d, expected %d; seeking back",
                chunk.position,
                expected,
                extra=tp._asdict(),
            )
            await self._seek(tp, expected)
            return None
        if chunk.next_position <= expected:
            return None
        self._accepted[tp] = chunk.next_position
        return (
            chunk
            if chunk.position >= expected
            else chunk._replace(
                records=[record for record in chunk.records if record.offset >= expected]
            )
        )

    async def _wait(self, commit: asyncio.Task[None] | None, seconds: float | None) -> None:
        """Wait until a chunk arrives, the lane closes, the transaction in flight ends, or time is
        up.
        """
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
