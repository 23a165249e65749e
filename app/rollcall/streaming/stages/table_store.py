"""Tables of a process: one per agent that keeps one, loaded partition by partition."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

import faust
from faust.types import TP

from rollcall.errors import RollcallError
from rollcall.streaming.chunks import ChunkAgent
from rollcall.streaming.faust.tables import LaneTable
from rollcall.streaming.offsets import Bounds
from rollcall.streaming.rows import ChangelogError, Rows
from rollcall.streaming.stages.changelog import load_changelog

log = logging.getLogger(__name__)


class ChangelogLostError(RollcallError):
    """A changelog has lost committed records."""


class TableStore:
    """Implements :class:`rollcall.streaming.lane.RowStore`.

    Args:
        bounds: reads bounds of partitions. Only the beginnings are used; an outdated one lies
            before the true one.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        bounds: Callable[[Collection[TP]], Awaitable[dict[TP, Bounds]]],
    ) -> None:
        self._client_options = client_options
        self._bounds = bounds
        self._tables: dict[str, LaneTable] = {}

    def declare(self, app: faust.App, agent: ChunkAgent, partitions: int) -> None:
        """Create an agent's table, if it keeps one."""
        if agent.table is not None:
            table = self._tables[agent.name] = LaneTable(
                app, name=agent.table, partitions=partitions
            )
            app.tables.add(table)

    def items(self) -> Iterable[tuple[str, LaneTable]]:
        """Tables by agent."""
        return self._tables.items()

    def changelog(self, agent: ChunkAgent, partition: int) -> TP | None:
        """Changelog partition of an agent's table, if it keeps one."""
        table = self._tables.get(agent.name)
        return None if table is None else TP(table.changelog_topic.get_topic_name(), partition)

    async def restore(
        self,
        agent: ChunkAgent,
        partition: int,
        end: int,
        committed_end: int,
        on_remaining: Callable[[int], None],
    ) -> Rows:
        """Load the rows of a partition, after all other writers are fenced.

        Args:
            end: of the changelog, from the lane's barrier.
            committed_end: lower bound of the changelog's end, from the committed notes.

        Raises:
            ChangelogLostError: the changelog ends before its lower bound.
            aiokafka.errors.KafkaError: the cluster does not answer.
            ChangelogError: the changelog holds a record that Rollcall did not write.
        """
        table = self._tables.get(agent.name)
        if table is None:
            return Rows()
        tp = TP(table.changelog_topic.get_topic_name(), partition)
        started = time.monotonic()
        rows = table.open(partition)
        if end < committed_end:
            raise ChangelogLostError(
                f"the changelog {tp.topic}, partition {partition}, ends at {end}, was at "
                f"{committed_end} and was deleted or cut, so there is nothing "
                "to go on with; rebuild the rosters (docs/operations.md)"
            )
        try:
            beginning = (await self._bounds([tp]))[tp].beginning
            count = await load_changelog(
                self._client_options, tp, beginning, end, rows.load, on_remaining
            )
        except ChangelogError as error:
            raise ChangelogError(f"{tp.topic}, partition {partition}: {error}") from error
        log.info(
            "table loaded",
            extra={
                **tp._asdict(),
                "records": count,
                "rows": len(rows),
                "seconds": round(time.monotonic() - started, 3),
            },
        )
        return rows

    def drop(self, agent: ChunkAgent, partition: int) -> None:
        """Forget the rows of a partition."""
        if (table := self._tables.get(agent.name)) is not None:
            table.drop(partition)
