"""Waiting for the router and the rosters, each as long as it takes, and no longer than it makes
sense.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set

from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.demo.metrics import RostersReading, read_rosters, read_router
from rollcall.sandbox.demo.rosters import of_courses
from rollcall.sandbox.demo.screen import Progress
from rollcall.sandbox.demo.view import RosterView
from rollcall.sandbox.managed import ManagedProcess

STILL_SECONDS = 45.0
"""So long a process may go without committing anything, the first time too: it joins its group
first.
"""

QUIET_SECONDS = 2.5
"""Lag is measured every second, and told every second: what was nothing for so long was nothing
twice.
"""

PATIENCE_SECONDS = 10.0
"""So long may rosters go without any change that are not yet what they must be after an event."""

_SCRAPE_SECONDS = 0.1


async def routed(
    router: ManagedProcess, total: int, progress: Progress, *others: ManagedProcess
) -> None:
    """Wait until the router has taken in so many records.

    Raises:
        ProcessEndedError: it ended, or does not go on, or one of the others ended.
    """
    done, moved = 0, time.monotonic()
    while done < total:
        await asyncio.sleep(_SCRAPE_SECONDS)
        before, (done, ledger) = done, read_router(await router.metrics())
        for process in others:
            process.check()
        progress.show(
            done,
            total,
            {"routed": ledger.total_routed, "unknown": ledger.unknown, "dead": ledger.total_dead},
        )
        if done != before:
            moved = time.monotonic()
        elif time.monotonic() - moved > STILL_SECONDS:
            raise router.failure(
                f"took in {done:,} of {total:,} records, and none for {STILL_SECONDS:.0f} s"
            )


async def caught_up(
    rosters: ManagedProcess, inputs: Set[tuple[str, int]], progress: Progress | None = None
) -> RostersReading:
    """Wait until the rosters have nothing left to do in any partition of their inputs. What they
    read must have been written before.

    Raises:
        ProcessEndedError: they ended, or do not go on.
    """
    reading = RostersReading(0, 0, {})
    moved = busy = time.monotonic()
    while (now := time.monotonic()) - busy < QUIET_SECONDS:
        await asyncio.sleep(_SCRAPE_SECONDS)
        before, reading = reading.consumed, read_rosters(await rosters.metrics())
        if progress is not None:
            progress.show(
                reading.consumed, reading.consumed + reading.lag, {"rows written": reading.written}
            )
        if reading.consumed != before:
            moved = now
        elif now - moved > STILL_SECONDS:
            raise rosters.failure(
                f"took in nothing for {STILL_SECONDS:.0f} s, with {reading.lag:,} records left to "
                "read"
            )
        if reading.consumed != before or reading.lag or not inputs <= reading.lags.keys():
            busy = time.monotonic()
    return reading


async def settled(
    view: RosterView, truth: Rosters, courses: Set[str], *processes: ManagedProcess
) -> None:
    """Look until the rosters of some courses are what they must be, or, if they never are, until
    nothing has come for :data:`PATIENCE_SECONDS`.

    Raises:
        ProcessEndedError: one of the processes ended.
        ReadingError: the cluster does not answer.
    """
    wanted = of_courses(truth, courses)
    moved = time.monotonic()
    while (
        of_courses(view.rosters, courses) != wanted and time.monotonic() - moved < PATIENCE_SECONDS
    ):
        if await view.look():
            moved = time.monotonic()
        for process in processes:
            process.check()
