"""A lane whose client hangs or fails: it reopens, continues at the broker's committed offset, and
writes nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFenced,
    for_code,
)
from faust.types import TP

from rollcall.kafka.batches import BATCH_BYTES
from rollcall.kafka.errors import TransactionAbortableError
from rollcall.streaming.barrier import Barrier
from rollcall.streaming.chunks import Chunk, ChunkAgent, ChunkPolicy, Halt, Outputs
from rollcall.streaming.lane import Lane, LaneContext, LaneState
from rollcall.streaming.offsets import Bounds, Committed
from rollcall.streaming.rows import Rows
from tests.waiting import eventually

INPUT = TP("in", 0)
BARRIER = TP("g-barrier", 0)

TRANSACTION_SECONDS = 3.0
"""Longer than a commit in memory takes on any machine. A commit that never ends takes this long."""


class Broker:
    """Broker with a committed offset. One commit fails, or never ends."""

    def __init__(
        self, fail_at: int, *, lost_response: bool = False, error: BaseException | None = None
    ) -> None:
        self.committed = 0
        self.transactions = 0
        self.nonce = ""
        self.producers: list[str] = []
        self._fail_at = fail_at
        self._lost_response = lost_response
        self._error = error

    async def commit(self, offset: int) -> None:
        """Commit; one commit gets no response."""
        self.transactions += 1
        fails = self.transactions == self._fail_at
        if not fails or self._lost_response:
            self.committed = offset
        if fails and self._error is not None:
            raise self._error
        if fails:
            await asyncio.Event().wait()


class Producer:
    """The part of a transactional producer that a lane needs. Its first commit is the barrier."""

    def __init__(self, broker: Broker, transactional_id: str) -> None:
        broker.producers.append(transactional_id)
        self._broker = broker
        self._offset: int | None = None
        self._sender = SimpleNamespace(sender_task=None)
        self._txn_manager = SimpleNamespace(transactional_id="agent-0", _transaction_waiter=None)
        self._message_accumulator = SimpleNamespace(_pending_batches=(), _batches={})
        self.client = SimpleNamespace()

    async def start(self) -> None:
        """Ignored."""

    async def begin_transaction(self) -> None:
        """Ignored."""

    async def send_offsets_to_transaction(self, offsets: dict[Any, Any], _group: str) -> None:
        """Keep the offset or the barrier's nonce."""
        [(tp, meta)] = offsets.items()
        if TP(*tp) == BARRIER:
            self._broker.nonce = meta.metadata
        else:
            self._offset = meta.offset

    async def commit_transaction(self) -> None:
        """End the transaction."""
        if self._offset is not None:
            await self._broker.commit(self._offset)

    async def abort_transaction(self) -> None:
        """Ignored."""

    async def stop(self) -> None:
        """Ignored."""


class Offsets:
    """Committed offset of the group, from the broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def proven(self, partitions: Collection[TP], barrier: Barrier) -> dict[TP, Committed]:
        """The committed offset."""
        assert barrier.nonce == self._broker.nonce
        return dict.fromkeys(partitions, Committed(self._broker.committed, ""))

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, Bounds]:
        """Bounds of a partition with many records."""
        return dict.fromkeys(partitions, Bounds(0, 1_000, 1_000))

    async def proven_ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        """Not needed."""
        raise AssertionError(partitions)


class NoTables:
    """Implements :class:`rollcall.streaming.lane.RowStore`."""

    def changelog(self, agent: ChunkAgent, partition: int) -> None:
        """No changelog."""

    async def restore(
        self,
        agent: ChunkAgent,
        partition: int,
        end: int,
        committed_end: int,
        on_remaining: Callable[[int], None],
    ) -> Rows:
        """No rows."""
        return Rows()

    def drop(self, agent: ChunkAgent, partition: int) -> None:
        """Ignored."""


class Silent:
    """Implements :class:`rollcall.streaming.lane.LaneObserver`."""

    def processed(self, agent: str, seconds: float) -> None:
        """Ignored."""

    def committed(self) -> None:
        """Ignored."""

    def produce_failed(self) -> None:
        """Ignored."""

    def expired(self, records: int) -> None:
        """Ignored."""


class Handler:
    """Records the offsets of its input."""

    unfinished = 0

    def __init__(self, seen: list[list[int]]) -> None:
        self._seen = seen
        seen.append([])

    def resume(self, _note: str) -> Halt | None:
        """No halt."""
        return None

    def process(self, chunks: Sequence[Chunk], _outputs: Outputs) -> Any:
        """Record the offsets."""
        self._seen[-1] += [record.offset for chunk in chunks for record in chunk.records]
        return SimpleNamespace(consumed=0, halt=None, on_committed=lambda now: None)


def records(first: int, last: int) -> Chunk:
    """A chunk of records with these offsets."""
    content: list[Any] = [
        SimpleNamespace(offset=offset, timestamp=0, key=b"", value=b"", headers=())
        for offset in range(first, last)
    ]
    return Chunk(*INPUT, first, last, content, 0)


async def _run(broker: Broker) -> tuple[list[list[int]], list[BaseException]]:
    seen: list[list[int]] = []
    failures: list[BaseException] = []
    position = 0

    async def seek(_tp: TP, offset: int) -> None:
        nonlocal position
        position = offset

    policy = ChunkPolicy(
        max_records=10,
        max_bytes=1_000,
        gather=0.0,
        drain=0.2,
        transaction=TRANSACTION_SECONDS,
        reopen=0.05,
    )
    context = LaneContext(
        group="g",
        policy=policy,
        new_producer=lambda transactional_id: Producer(broker, transactional_id),
        batch_bytes=BATCH_BYTES,
        offsets=Offsets(broker),
        barrier_partition=lambda _agent, _partition: BARRIER,
        tables=NoTables(),
        seek=seek,
        on_room=lambda: None,
        fatal=failures.append,
        observer=Silent(),
    )
    lane = Lane(
        ChunkAgent("a", (INPUT.topic,), "g-a", lambda _partition, _rows: Handler(seen)),
        0,
        [INPUT],
        context,
    )

    def is_complete() -> bool:
        nonlocal position
        if lane.has_room and position < 60:
            lane.deliver(records(position, position + 10))
            position += 10
        return broker.committed >= 60 or bool(failures)

    await eventually(is_complete, what="the end of the input")
    await lane.close()
    assert lane.state is LaneState.CLOSED
    return seen, failures


async def test_a_commit_that_never_ends_is_repeated_by_a_new_producer() -> None:
    broker = Broker(fail_at=3)
    seen, failures = await _run(broker)
    assert failures == []
    assert broker.producers == ["g-a-0", "g-a-0"], "the second must fence the first"
    assert broker.committed == 60
    assert seen[1] == list(range(20, 60)), "from the committed offset on"


async def test_a_commit_with_a_lost_response_is_not_repeated() -> None:
    broker = Broker(fail_at=3, lost_response=True)
    seen, failures = await _run(broker)
    assert failures == []
    assert broker.committed == 60
    assert seen[1] == list(range(30, 60))


def caused(error: BaseException, cause: BaseException) -> BaseException:
    """An error with its cause."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ProducerFenced(),
        for_code(90)(),  # fenced, by error code
        TransactionAbortableError(),
        caused(KafkaError("Unexpected error during batch delivery"), for_code(89)()),
        caused(
            KafkaError("Unexpected error during batch delivery"),
            caused(KafkaError("lookup"), KafkaConnectionError()),
        ),
        KafkaTimeoutError(),
        asyncio.CancelledError(),  # of a client's task: the lane was not cancelled
    ],
    ids=["fenced", "fenced by code", "given up", "not now", "cut off", "timeout", "cancelled"],
)
async def test_a_lane_opens_again_after_retriable_errors(error: BaseException) -> None:
    broker = Broker(fail_at=3, error=error)
    seen, failures = await _run(broker)
    assert failures == []
    assert broker.committed == 60
    assert seen[1] == list(range(20, 60))


async def test_any_other_error_ends_the_process_and_commits_nothing() -> None:
    broker = Broker(fail_at=3, error=MessageSizeTooLargeError())
    _seen, failures = await _run(broker)
    assert [type(failure) for failure in failures] == [MessageSizeTooLargeError]
    assert broker.committed == 20
