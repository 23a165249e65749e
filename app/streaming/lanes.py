"""The lanes of a process: opened and closed as the consumer group gives and takes partitions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

from faust.types import TP

from app.errors import RollcallError
from app.streaming.chunks import Chunk, ChunkAgent
from app.streaming.lane import Lane, LaneKit


class PartitionsError(RollcallError):
    """Topics that are consumed together are not partitioned alike."""


class Lanes:
    """Implements :class:`app.streaming.transport.LaneDirectory`. Lives in the main loop."""

    def __init__(self, agents: Sequence[ChunkAgent]) -> None:
        self._agents = {topic: agent for agent in agents for topic in agent.topics}
        """By topic: no two agents have one in common."""
        self._lanes: tuple[Lane, ...] = ()
        self._by_input: dict[TP, Lane] = {}
        self._kit: LaneKit | None = None
        self._on_wanting: Callable[[], None] = lambda: None
        self.assigned_once = False

    def equip(self, kit: LaneKit) -> None:
        """Give what the lanes need. To be called once, before the consumer starts."""
        self._kit = kit

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def on_wanting(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever a lane gets room for a chunk."""
        self._on_wanting = callback

    def announce(self) -> None:
        """A lane has room."""
        self._on_wanting()

    def wanting(self, partitions: Collection[TP]) -> set[TP]:
        """Those of the partitions whose lanes have room for a chunk."""
        return {tp for tp in partitions if (lane := self._by_input.get(tp)) is not None and lane.wants}

    def deliver(self, chunk: Chunk) -> None:
        """Hand a chunk to its lane. One that has no lane any more is dropped: the partition's next owner reads it."""
        lane = self._by_input.get(TP(chunk.topic, chunk.partition))
        if lane is not None:
            lane.deliver(chunk)

    def assign(self, partitions: Collection[TP]) -> None:
        """Open a lane for each agent and partition number. Returns at once: what is read meanwhile is measured against the position that the lane finds.

        Raises:
            PartitionsError: the topics of an agent do not have equally many partitions.
        """
        assert self._kit is not None
        assert not self._lanes, "lanes are closed before new ones are opened"
        inputs: dict[tuple[str, int], set[TP]] = defaultdict(set)
        for tp in partitions:
            if (agent := self._agents.get(tp.topic)) is not None:
                inputs[agent.name, tp.partition].add(tp)
        lanes = []
        for (_name, partition), tps in sorted(inputs.items()):
            agent = self._agents[next(iter(tps)).topic]
            if len(tps) < len(agent.topics):
                raise PartitionsError(f"of the topics {', '.join(agent.topics)}, only {', '.join(sorted(tp.topic for tp in tps))} have a partition {partition}")
            lanes.append(Lane(agent, partition, tps, self._kit))
        self._lanes = tuple(lanes)
        self._by_input = {tp: lane for lane in lanes for tp in lane.inputs}
        self.assigned_once = True

    async def revoke(self) -> None:
        """Close all lanes, side by side. When this returns, none can write any more."""
        lanes, self._lanes, self._by_input = self._lanes, (), {}
        await asyncio.gather(*(lane.close() for lane in lanes))
