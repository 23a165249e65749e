"""Lane: takes the chunks of one input partition through a handler into Kafka, exactly once.

Four rules, found by breaking prototypes and clusters:
1. A lane first opens its transactional producer, which fences the partition's previous owner and
   waits for the end of its last transaction. Only then does it read the committed offset.
2. From then on it tracks its own position and accepts records only there, in whichever order the
   driver delivers chunks. Earlier records are dropped; after a gap the driver is sought back.
3. It closes, with its transaction finished or abandoned, before its partition is revoked.
4. The state from which it starts is proven to be current: it accepts only answers that show the
   barrier that it wrote when it opened (barrier.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from rollcall.kafka.batches import BatchedOutputs
from rollcall.kafka.bounded import abandon, is_cancelled, promptly
from rollcall.kafka.leaders import UnprovenError
from rollcall.streaming.barrier import Barrier, write_barrier
from rollcall.streaming.chunks import Chunk, ChunkAgent, ChunkHandler, ChunkPolicy, Halt, Result
from rollcall.streaming.failures import (
    TransactionTimeoutError,
    reopening_after,
    root_cause,
    terminate,
)
from rollcall.streaming.inbox import Inbox, PositionLostError
from rollcall.streaming.position import OffsetReader, Positions, Start, changelog_note
from rollcall.streaming.rows import Rows

log = logging.getLogger(__name__)

_T = TypeVar("_T")

MAX_FENCINGS = 10
"""Give up after this many fencings in a row without a commit: retrying will not help."""

RETRY_SECONDS = 0.5


class LaneState(Enum):
    """State of a lane, in words for people."""

    OPENING = "opening"
    RESTORING = "loading its table"
    OPEN = "open"
    HALTED = "halted"
    REOPENING = "about to be opened again"
    CLOSED = "closed"


class RowStore(Protocol):
    """See :class:`rollcall.streaming.stages.table_store.TableStore`."""

    def changelog(self, agent: ChunkAgent, partition: int) -> TP | None: ...
    async def restore(
        self,
        agent: ChunkAgent,
        partition: int,
        end: int,
        committed_end: int,
        on_remaining: Callable[[int], None],
    ) -> Rows: ...
    def drop(self, agent: ChunkAgent, partition: int) -> None: ...


class LaneObserver(Protocol):
    """Observes lanes, for metrics."""

    def processed(self, agent: str, seconds: float) -> None:
        """The agent's handler has processed a chunk in ``seconds``."""

    def committed(self) -> None:
        """A transaction was committed."""

    def produce_failed(self) -> None:
        """A transaction could not be written; the process stops."""

    def expired(self, records: int) -> None:
        """``records`` offsets were deleted from the input before they were read."""


@dataclass(frozen=True, slots=True)
class LaneContext:
    """Shared by all lanes of a process."""

    group: str
    policy: ChunkPolicy
    new_producer: Callable[[str], AIOKafkaProducer]
    """Makes a producer, not started, for a transactional id."""
    batch_bytes: int
    """Maximum size of one output batch, before compression."""
    offsets: OffsetReader
    barrier_partition: Callable[[ChunkAgent, int], TP]
    """From an agent and a partition to the partition with the lane's nonce."""
    tables: RowStore
    seek: Callable[[TP, int], Awaitable[None]]
    on_room: Callable[[], None]
    """Called when a lane has room for a chunk."""
    fatal: Callable[[BaseException], None]
    """Called when the process must stop."""
    observer: LaneObserver


class Lane:
    """Lane of one partition number of an agent's topics. Starts to open when it is created."""

    def __init__(
        self, agent: ChunkAgent, partition: int, inputs: Collection[TP], context: LaneContext
    ) -> None:
        self.agent = agent
        self.partition = partition
        self.inputs = frozenset(inputs)
        self.state = LaneState.OPENING
        self.halted: Halt | None = None
        self.committed: dict[TP, int] = {}
        """Committed offset of the group in each input, as far as this lane knows."""
        self.oldest_pending: int | None = None
        """Timestamp (ms) of the first record that is read and not committed."""
        self.restoring: int | None = None
        """Maximum number of changelog records left to load, while the table is loading."""
        self._context = context
        self._log_fields = {"agent": agent.name, "partition": partition}
        self._closing = asyncio.Event()
        self._inbox = Inbox(
            context.policy, seek=context.seek, on_room=context.on_room, closing=self._closing
        )
        self._fencings = 0
        self._positions = Positions(self.inputs, context.offsets, context.observer.expired)
        self._changelog_end = 0
        """End of the changelog, without transaction markers."""
        self._changelog = context.tables.changelog(agent, partition)
        self._producer: AIOKafkaProducer | None = None
        self._open_handler: ChunkHandler | None = None
        self._task = asyncio.create_task(self._run(), name=f"lane-{agent.name}-{partition}")

    # --- from outside

    @property
    def has_room(self) -> bool:
        """Whether there is room for a chunk."""
        return self.state is LaneState.OPEN and self._inbox.is_empty and not self._closing.is_set()

    @property
    def unfinished(self) -> int:
        """Amount of the handler's work that needs no further input."""
        return 0 if self._open_handler is None else self._open_handler.unfinished

    def deliver(self, chunk: Chunk) -> None:
        """Take a chunk from the driver. Never blocks. A lane that cannot use the chunk drops it,
        and seeks back later.
        """
        if self.state is LaneState.OPEN:
            self._inbox.put(chunk)

    async def close(self) -> None:
        """Finish the transaction in flight, or abandon it after the policy's time limit. Afterwards
        the lane writes nothing.
        """
        self._closing.set()
        await asyncio.wait({self._task}, timeout=self._context.policy.drain)
        if not self._task.done():
            log.warning("the transaction in flight was abandoned", extra=self._log_fields)
            self._task.cancel()
            await asyncio.wait({self._task})
        self.state = LaneState.CLOSED

    # --- life

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if await self._open():
                    await self._work()
                return
            except PositionLostError:
                log.warning(
                    "the broker has no records at the partition's position; finding a new position",
                    extra=self._log_fields,
                )
                await self._pause(RETRY_SECONDS)
                continue
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                cause = root_cause(self._producer, error)
                reopening = reopening_after(cause)
                if reopening is None or (reopening.fenced and self._fencings >= MAX_FENCINGS):
                    self._fail(cause)
                    return
                self._fencings += reopening.fenced
            finally:
                await self._dispose()
            log.warning("%s", reopening.reason, extra=self._log_fields)
            self.state = LaneState.REOPENING
            await self._pause(self._context.policy.reopen if reopening.fenced else RETRY_SECONDS)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, KafkaError):
            self._context.observer.produce_failed()
        self.state = LaneState.CLOSED
        log.error(
            "the partition cannot be consumed any further: correct the cause of the error; the "
            "process stops, and commits nothing that is not written",
            exc_info=error,
            extra=self._log_fields,
        )
        self._context.fatal(error)

    async def _open(self) -> bool:
        """Get ready to work. Returns False if the lane closes first."""
        self.state = LaneState.OPENING
        while not self._closing.is_set():
            try:
                self._producer = self._context.new_producer(
                    f"{self.agent.producer_prefix}-{self.partition}"
                )
                if await self._until_closing(self._begin(self._producer)) is None:
                    return False
                break
            except (KafkaError, OSError, TimeoutError) as error:
                # A consumer without an answer for a while raises KafkaTimeoutError, which aiokafka
                # does not call retriable.
                if (
                    isinstance(error, KafkaError)
                    and not isinstance(error, KafkaTimeoutError)
                    and not error.retriable
                ):
                    raise
                log.warning(
                    "the lane cannot open yet: %s", type(error).__name__, extra=self._log_fields
                )
                await self._dispose()
                await self._pause(RETRY_SECONDS)
        else:
            return False
        # Records that were read and dropped lie behind the consumer's position. Without this seek
        # they would be noticed only when a later record arrives.
        for tp, position in self.committed.items():
            await self._context.seek(tp, position)
        self.state = LaneState.HALTED if self.halted else LaneState.OPEN
        self._context.on_room()
        return True

    async def _begin(self, producer: AIOKafkaProducer) -> bool:
        """Fence the partition's previous owner, then find the start position."""
        await producer.start()
        return await self._locate()

    async def _locate(self) -> bool:
        """Find the start position and load the rows, now that nobody else can commit."""
        barrier, start = await self._prove()
        self._changelog_end = barrier.changelog_end
        rows = await self._context.tables.restore(
            self.agent,
            self.partition,
            barrier.changelog_end,
            start.changelog_end,
            self._on_restoring,
        )
        handler = self._open_handler = self.agent.new_handler(self.partition, rows)
        self.restoring = None
        self.committed = start.positions
        self._inbox.begin(self.committed)
        self.halted = next((halt for note in start.notes if (halt := handler.resume(note))), None)
        return True

    async def _prove(self) -> tuple[Barrier, Start]:
        """Write a barrier, and find a start position that is not older."""
        while True:
            tp = self._context.barrier_partition(self.agent, self.partition)
            barrier = await self._with_timeout(
                write_barrier(self._opened, self._context.group, tp, self._changelog)
            )
            try:
                return barrier, await self._positions.find(barrier)
            except UnprovenError as error:
                # a deposed broker answers, or another lane has overwritten the nonce
                log.info(
                    "the lane's start position is not proven to be current: %s; writing another "
                    "barrier",
                    error,
                    extra=self._log_fields,
                )
                await self._pause(RETRY_SECONDS)

    def _on_restoring(self, remaining: int) -> None:
        self.state = LaneState.RESTORING
        self.restoring = remaining

    async def _work(self) -> None:
        commit: asyncio.Task[None] | None = None
        try:
            while (
                not self.halted
                and (batch := await self._inbox.gather(commit, wait=not self._handler.unfinished))
                is not None
            ):
                self.oldest_pending = self.oldest_pending or batch.oldest
                outputs = BatchedOutputs(self._opened, batch_bytes=self._context.batch_bytes)
                started = time.perf_counter()
                result = (
                    self._handler.process(batch.chunks, outputs)
                    if batch.records or self._handler.unfinished
                    else None
                )
                self._context.observer.processed(self.agent.name, time.perf_counter() - started)
                halt = result.halt if result is not None else None
                positions = (
                    batch.positions
                    if result is None or halt is None
                    else batch.positions_after(result.consumed)
                )
                oldest = batch.oldest
                # free the records: they are a large part of the process's memory
                del batch
                if commit is not None:
                    # at most one chunk is computed ahead of the transaction in flight
                    await commit
                    self.oldest_pending = oldest
                    if self._closing.is_set():
                        break
                commit = asyncio.create_task(self._commit(positions, halt, outputs, result))
                self.halted = halt
            if commit is not None:
                await commit
        except PositionLostError:
            if commit is not None:
                await commit  # the transaction in flight is still valid
            raise
        finally:
            if commit is not None:
                abandon(commit)
                await asyncio.wait({commit})
        if self.halted:
            self.state = LaneState.HALTED
            log.error(
                "the partition is not consumed any more: %s",
                self.halted.reason,
                extra=self._log_fields,
            )
            await self._closing.wait()

    # --- transactions out

    @property
    def _opened(self) -> AIOKafkaProducer:
        assert self._producer is not None
        return self._producer

    @property
    def _handler(self) -> ChunkHandler:
        assert self._open_handler is not None
        return self._open_handler

    async def _with_timeout(self, transaction: Coroutine[Any, Any, _T]) -> _T:
        """The result of a transaction's step, within the time limit of a transaction."""
        # A client that waits for ever must not block the lane longer than the broker keeps its
        # transaction open.
        deadline = asyncio.timeout(self._context.policy.transaction)
        try:
            async with deadline:
                return await transaction
        except TimeoutError as error:
            if deadline.expired():
                raise TransactionTimeoutError from error
            raise

    async def _commit(
        self,
        positions: dict[TP, int],
        halt: Halt | None,
        outputs: BatchedOutputs,
        result: Result | None,
    ) -> None:
        await self._with_timeout(self._write(positions, halt, outputs))
        self.committed.update(positions)
        self._fencings = 0
        self.oldest_pending = None
        if result is not None:
            result.on_committed(time.time())
        self._context.observer.committed()

    async def _write(
        self, positions: dict[TP, int], halt: Halt | None, outputs: BatchedOutputs
    ) -> None:
        producer = self._opened
        await producer.begin_transaction()
        ends = await outputs.send()
        if self._changelog is not None:
            self._changelog_end = ends.get(self._changelog, self._changelog_end)
        if positions:
            note = halt.note if halt is not None else changelog_note(self._changelog_end)
            offsets = {
                KafkaPartition(*tp): OffsetAndMetadata(position, note)
                for tp, position in positions.items()
            }
            await producer.send_offsets_to_transaction(offsets, self._context.group)
        await producer.commit_transaction()

    async def _dispose(self) -> None:
        """Close the producer and forget the rows. An open transaction is aborted if that is quick;
        otherwise the next owner's producer aborts it.
        """
        self._open_handler = self.restoring = None
        self._context.tables.drop(self.agent, self.partition)
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            with contextlib.suppress(Exception):
                await promptly(producer.abort_transaction(), 1)
            await promptly(producer.stop(), 1)
        except BaseException as error:
            # also if the lane is cancelled: no connection may be left
            log.debug("the producer did not stop cleanly: %r", error, extra=self._log_fields)
            await terminate(producer)
            if not isinstance(error, Exception):
                raise

    async def _until_closing(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """The result of ``work``, or None if the lane closes first."""
        task = asyncio.ensure_future(work)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({task, closing}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            closing.cancel()
            abandon(task)
            await asyncio.wait({task})

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
