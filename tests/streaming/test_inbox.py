"""Rule 2 of a lane: every record is taken once, in order, whatever chunks the driver delivers."""

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

PLACE = TP("raw", 0)


@dataclass(frozen=True)
class FakeRecord:
    """A record with nothing but an offset."""

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
    return Chunk(PLACE.topic, PLACE.partition, position, next_position, records, len(records))


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
    held: set[int], moves: list[tuple[int, int | None]], most: int
) -> None:
    offsets, end = sorted(held), 61
    driver = Driver(offsets, end)
    taken: list[int] = []

    async def run() -> None:
        inbox = Inbox(policy(most), seek=driver.seek, on_room=lambda: None, closing=asyncio.Event())
        inbox.begin({PLACE: 0})
        here = 0
        honest = [(10, None)] * 12  # at the end nothing disturbs any more
        for count, jump in [*moves, *honest]:
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
                assert batch.positions[PLACE] >= here
                here = batch.positions[PLACE]
            else:
                gathering.cancel()
        assert here == end

    asyncio.run(run())
    assert taken == offsets


async def test_a_position_that_is_lost_is_reported() -> None:
    inbox = Inbox(policy(), seek=Driver([], 0).seek, on_room=lambda: None, closing=asyncio.Event())
    inbox.begin({PLACE: 5})
    inbox.put(Chunk(PLACE.topic, PLACE.partition, OUT_OF_RANGE, OUT_OF_RANGE, [], 0))
    with pytest.raises(PositionLostError):
        await inbox.gather(None)


async def test_chunks_are_gathered_up_to_the_bound_and_no_further() -> None:
    inbox = Inbox(
        policy(10), seek=Driver([], 0).seek, on_room=lambda: None, closing=asyncio.Event()
    )
    inbox.begin({PLACE: 0})
    offsets = list(range(40))
    for start, stop in ((0, 6), (6, 12), (12, 40)):
        inbox.put(chunk(start, stop, offsets))
    sizes = []
    for _ in range(3):
        batch = await inbox.gather(None)
        assert batch is not None
        sizes.append(batch.records)
    assert sizes == [6, 6, 28], "a chunk by itself always fits"


async def test_closing_and_failing_transactions_end_the_wait() -> None:
    closing = asyncio.Event()
    inbox = Inbox(policy(), seek=Driver([], 0).seek, on_room=lambda: None, closing=closing)
    inbox.begin({PLACE: 0})

    async def fail() -> None:
        raise RuntimeError("the transaction failed")

    with pytest.raises(RuntimeError, match="the transaction failed"):
        await inbox.gather(asyncio.create_task(fail()))
    closing.set()
    assert await inbox.gather(None) is None


def test_a_batch_that_is_cut_stands_before_its_first_record_left() -> None:
    first, second = chunk(0, 5, [0, 2, 4]), chunk(5, 9, [6, 8])
    batch = Batch([first, second], {PLACE: 9})
    assert [batch.positions_after(count)[PLACE] for count in range(6)] == [0, 2, 4, 6, 8, 9]
