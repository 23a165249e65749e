"""Lanes of a process: opened and closed as the consumer group assigns and revokes partitions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

from faust.types import TP

from rollcall.errors import RollcallError
from rollcall.streaming.chunks import Chunk, ChunkAgent
from rollcall.streaming.lane import Lane, LaneContext


class PartitionsError(RollcallError):
    """Topics of one agent differ in their number of partitions."""


class Lanes:
    """Implements :class:`rollcall.streaming.faust.transport.LaneDirectory`. Lives in the main event
    loop.

    Args:
        before_opening: called with the number of lanes that are about to open.
    """

    def __init__(
        self,
        agents: Sequence[ChunkAgent],
        before_opening: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._agents = {topic: agent for agent in agents for topic in agent.topics}
        """By topic: no two agents share a topic."""
        self._lanes: tuple[Lane, ...] = ()
        self._by_input: dict[TP, Lane] = {}
        self._context: LaneContext | None = None
        self._on_room: Callable[[], None] = lambda: None
        self._before_opening = before_opening
        self.assigned = False
        """Whether the group's assignment is in force, even an empty one."""
        self.assigned_once = False
        self._closing: set[Lane] = set()
        self._ended = False

    def configure(self, context: LaneContext) -> None:
        """Set the lanes' context. Call it once, before the consumer starts."""
        self._context = context

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def notify_on_room(self, callback: Callable[[], None]) -> None:
        """Set the callback for a lane that gets room for a chunk."""
        self._on_room = callback

    def notify_room(self) -> None:
        """A lane has room."""
        self._on_room()

    def with_room(self, partitions: Collection[TP]) -> set[TP]:
        """The partitions whose lanes have room for a chunk."""
        return {
            tp
            for tp in partitions
            if (lane := self._by_input.get(tp)) is not None and lane.has_room
        }

    def deliver(self, chunk: Chunk) -> None:
        """Pass a chunk to its lane. A chunk without a lane is dropped: the partition's next owner
        reads it.
        """
        lane = self._by_input.get(TP(chunk.topic, chunk.partition))
        if lane is not None:
            lane.deliver(chunk)

    def assign(self, partitions: Collection[TP]) -> None:
        """Open a lane for each agent and partition number. Returns at once: chunks that arrive
        early are checked against the position that the lane finds.

        Raises:
            PartitionsError: topics of an agent differ in their number of partitions.
        """
        # the consumer is still a member, and may get partitions meanwhile
        if self._ended:
            return
        assert self._context is not None
        assert not self._lanes, "lanes are closed before new ones are opened"
        inputs: dict[tuple[str, int], set[TP]] = defaultdict(set)
        for tp in partitions:
            if (agent := self._agents.get(tp.topic)) is not None:
                inputs[agent.name, tp.partition].add(tp)
        by_agent = {agent.name: agent for agent in self._agents.values()}
        for (name, partition), tps in inputs.items():
            if len(tps) < len(by_agent[name].topics):
                missing = set(by_agent[name].topics) - {tp.topic for tp in tps}
                raise PartitionsError(
                    f"partition {partition} of {', '.join(sorted(missing))} was not assigned with "
                    f"that of the other topics of {name}: they do not have as many "
                    "partitions, or processes of two releases that read different topics are in "
                    "one group; stop all of them, then start"
                )
        self._before_opening(len(inputs))
        self._lanes = tuple(
            Lane(by_agent[name], partition, tps, self._context)
            for (name, partition), tps in sorted(inputs.items())
        )
        self._by_input = {tp: lane for lane in self._lanes for tp in lane.inputs}
        self.assigned = self.assigned_once = True

    def fail(self, error: BaseException) -> None:
        """Stop the process because a rebalance failed: the consumer would continue as if it had
        succeeded. Ignored after :meth:`end`.
        """
        assert self._context is not None
        if not self._ended:
            self._context.fatal(error)

    async def revoke(self) -> None:
        """Close all lanes, concurrently. Afterwards none can write."""
        self.assigned = False
        lanes, self._lanes, self._by_input = self._lanes, (), {}
        self._closing.update(lanes)
        await asyncio.gather(*(lane.close() for lane in lanes))
        self._closing.difference_update(lanes)

    async def end(self) -> None:
        """Close all lanes, including those that a rebalance is closing, and open none again."""
        self._ended = True
        await asyncio.gather(self.revoke(), *(lane.close() for lane in self._closing))
