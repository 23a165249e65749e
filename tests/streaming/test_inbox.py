"""Rule 2 of a lane: every record is taken once and in order, with any chunks of the driver."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.record import Record
from rollcall.streaming.chunks import OUT_OF_RANGE, Chunk, ChunkPolicy
from rollcall.streaming.inbox import Batch, Inbox, PositionLostError
from tests.examples import examples

INPUT = TP("raw", 0)


@dataclass(frozen=True)
class FakeRecord:
    """A record with an offset only."""

    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b"x"
    headers: tuple[tuple[str, bytes | None], ...] = ()


def chunk(position: int, next_position: int, offsets: list[int]) -> Chunk:
    """The chunk between two positions of a log with records at these offsets."""
    records: list[Record] = [
        FakeRecord(offset) for offset in offsets if position <= offset < next_position
    ]
    return Chunk(INPUT.topic, INPUT.partition, position, next_position, records, len(records))


def policy(records: int = 1000) -> ChunkPolicy:
    """A policy without delays."""
    return ChunkPolicy(
        max_records=records,
        max_bytes=1_000_000,
        gather=0.0,
        drain=1.0,
        transaction=10.0,
        reopen=1.0,
    )


class Driver:
    """Driver that reads a log from its position. Sometimes an old chunk arrives late, or positions
    are skipped.
    """

    def __init__(self, offsets: list[int], end: int) -> None:
        self.offsets = offsets
        self.end = end
        self.position = 0

    async def seek(self, _tp: TP, offset: int) -> None:
        """Continue at an offset."""
        self.position = offset

    def read(self, count: int) -> Chunk:
        """The next chunk."""
        before, self.position = self.position, min(self.position + count, self.end)
        return chunk(before, self.position, self.offsets)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.sets(st.integers(0, 60)),
    st.lists(st.tuples(st.integers(1, 15), st.none() | st.integers(0, 60)), max_size=25),
    st.integers(1, 20),
)
def test_every_record_is_taken_once_and_in_order(
    stored: set[int], moves: list[tuple[int, int | None]], max_records: int
) -> None:
    offsets, end = sorted(stored), 61
    driver = Driver(offsets, end)
    taken: list[int] = []

    async def run() -> None:
        inbox = Inbox(
            policy(max_records), seek=driver.seek, on_room=lambda: None, closing=asyncio.Event()
        )
        inbox.begin({INPUT: 0})
        taken_to = 0
        undisturbed = [(10, None)] * 12
        for count, jump in [*moves, *undisturbed]:
            if jump is not None:
                driver.position = jump
            inbox.put(driver.read(count))
            gathering = asyncio.ensure_future(inbox.gather(None))
            for _ in range(10):
                await asyncio.sleep(0)
            if gathering.done():
                batch = gathering.result()
                assert isinstance(batch, Batch)
                taken.extend(record.offset for part in batch.chunks for record in part.records)
                assert batch.positions[INPUT] >= taken_to
                taken_to = batch.positions[INPUT]
            else:
                gathering.cancel()
        assert taken_to == end

    asyncio.run(run())
    assert taken == offsets


async def test_a_lost_position_is_reported() -> None:
    inbox = Inbox(policy(), seek=Driver([], 0).seek, on_room=lambda: None, closing=asyncio.Event())
    inbox.begin({INPUT: 5})
    inbox.put(Chunk(INPUT.topic, INPUT.partition, OUT_OF_RANGE, OUT_OF_RANGE, [], 0))
    with pytest.raises(PositionLostError):
        await inbox.gather(None)


async def test_chunks_are_gathered_up_to_the_limit() -> None:
    inbox = Inbox(
        policy(10), seek=Driver([], 0).seek, on_room=lambda: None, closing=asyncio.Event()
    )
    inbox.begin({INPUT: 0})
    offsets = list(range(40))
    for start, stop in ((0, 6), (6, 12), (12, 40)):
        inbox.put(chunk(start, stop, offsets))
    sizes = []
    for _ in range(3):
        batch = await inbox.gather(None)
        assert batch is not None
        sizes.append(batch.records)
    assert sizes == [6, 6, 28], "a single chunk may exceed the limit"


async def test_closing_and_failing_transactions_end_the_wait() -> None:
    closing = asyncio.Event()
    inbox = Inbox(policy(), seek=Driver([], 0).seek, on_room=lambda: None, closing=closing)
    inbox.begin({INPUT: 0})

    async def fail() -> None:
        raise RuntimeError("the transaction failed")

    with pytest.raises(RuntimeError, match="the transaction failed"):
        await inbox.gather(asyncio.create_task(fail()))
    closing.set()
    assert await inbox.gather(None) is None


def test_the_position_after_a_part_of_a_batch_is_its_next_record() -> None:
    first, second = chunk(0, 5, [0, 2, 4]), chunk(5, 9, [6, 8])
    batch = Batch([first, second], {INPUT: 9})
    assert [batch.positions_after(count)[INPUT] for count in range(6)] == [0, 2, 4, 6, 8, 9]
