"""The lanes of a process: opened and closed as the consumer group gives and takes partitions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from faust.types import TP

from app.streaming.chunks import Chunk
from app.streaming.lane import Lane, LaneKit


class Lanes:
    """Implements :class:`app.streaming.transport.LaneDirectory`. Lives in the main loop."""

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = frozenset(topics)
        self._lanes: dict[int, Lane] = {}
        self._kit: LaneKit | None = None
        self._on_wanting: Callable[[], None] = lambda: None
        self.assigned_once = False

    def equip(self, kit: LaneKit) -> None:
        """Give what the lanes need. To be called once, before the consumer starts."""
        self._kit = kit

    def __iter__(self) -> Iterator[Lane]:
        return iter(tuple(self._lanes.values()))

    def on_wanting(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever a lane gets room for a chunk."""
        self._on_wanting = callback

    def announce(self) -> None:
        """A lane has room."""
        self._on_wanting()

    def wanting(self, partitions: Collection[TP]) -> set[TP]:
        """Those of the partitions whose lanes have room for a chunk."""
        return {tp for tp in partitions if (lane := self._lanes.get(tp.partition)) is not None and tp in lane.inputs and lane.wants}

    def deliver(self, chunk: Chunk) -> None:
        """Hand a chunk to its lane. One that has no lane any more is dropped: the partition's next owner reads it."""
        lane = self._lanes.get(chunk.partition)
        if lane is not None:
            lane.deliver(chunk)

    def assign(self, partitions: Collection[TP]) -> None:
        """Open a lane for each partition number. Returns at once: what is read meanwhile is measured against the position that the lane finds."""
        assert self._kit is not None
        assert not self._lanes, "lanes are closed before new ones are opened"
        inputs = defaultdict(set)
        for tp in partitions:
            if tp.topic in self._topics:
                inputs[tp.partition].add(tp)
        self._lanes = {partition: Lane(partition, tps, self._kit) for partition, tps in inputs.items()}
        self.assigned_once = True

    async def revoke(self) -> None:
        """Close all lanes, side by side. When this returns, none can write any more."""
        lanes, self._lanes = self._lanes, {}
        await asyncio.gather(*(lane.close() for lane in lanes.values()))
