"""Faust tables whose rows the lanes keep.

Faust declares the tables, knows their changelog topics and co-assigns their partitions. The lanes
do the rest. Faust's own recovery cannot serve lanes: it waits for the record before the high
watermark, which after a transaction is a marker that it never sees, and it does not fence. A lane
loads its changelog itself once nobody else can write to it
(:mod:`rollcall.streaming.stages.changelog`), so Faust's recovery is disabled here.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP

from rollcall.streaming.rows import Rows


class LaneTable(faust.Table[bytes, bytes]):
    """Table whose rows are kept by the lanes, one :class:`Rows` per partition."""

    def __init__(self, app: faust.App, *, name: str, partitions: int) -> None:
        super().__init__(app, name=name, key_type=bytes, value_type=bytes, partitions=partitions)
        self._rows: dict[int, Rows] = {}

    def open(self, partition: int) -> Rows:
        """Start a partition without rows."""
        rows = self._rows[partition] = Rows()
        return rows

    def drop(self, partition: int) -> None:
        """Forget a partition's rows: another process owns them now, or they are loaded again."""
        self._rows.pop(partition, None)

    @property
    def row_count(self) -> int:
        """Number of rows in all partitions of this process."""
        return sum(map(len, self._rows.values()))

    @property
    def parked_count(self) -> int:
        """Number of rows that wait for another row."""
        return sum(rows.parked for rows in self._rows.values())


class _NothingToRecover(Recovery):
    async def _build_highwaters(
        self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str
    ) -> None:
        # Replaces faust/tables/recovery.py:680.
        destination.clear()
        destination.update(dict.fromkeys(tps, -1))

    async def _build_offsets(
        self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str
    ) -> None:
        # Replaces faust/tables/recovery.py:728.
        destination.clear()
        destination.update(dict.fromkeys(tps, -1))

    async def _seek_offsets(
        self, consumer: Any, tps: set[TP], offsets: Counter[TP], title: str
    ) -> None:
        # Replaces faust/tables/recovery.py:775. Without a position the consumer reads nothing of a
        # changelog.
        return

    # upstream's signature
    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109
        # Extends faust/tables/recovery.py:606, which takes a time-out for the end of the service:
        # recovery ends without a word, and nothing is read from then on. The steps that are left
        # take no time, but the process may be suspended. The watchdog judges.
        await super()._wait(coro)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        # Extends faust/tables/recovery.py:624. An interruption of this coroutine also interrupts
        # its caller (line 550), which then never retrieves the exception.
        with contextlib.suppress(ServiceStopped, RebalanceAgain):
            await super().on_recovery_completed(generation_id)


class LaneTables(TableManager):
    """Table manager for a Faust application: its setting ``TableManager``."""

    @property
    def recovery(self) -> Recovery:
        """Replaces faust/tables/manager.py:116."""
        if self._recovery is None:
            self._recovery = _NothingToRecover(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        # Replaces faust/tables/manager.py:138, which first sleeps for a second, so that modules may
        # declare further tables. Ours are declared before the start.
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
