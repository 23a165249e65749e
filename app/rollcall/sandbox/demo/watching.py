"""Waits for the router and the rosters as long as they make progress."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Set

from rollcall.rosters.registry import stages
from rollcall.rosters.topics import roster_topics
from rollcall.sandbox.canvas.simulation.truth import Rosters
from rollcall.sandbox.demo.metrics import RostersReading, read_rosters, read_router
from rollcall.sandbox.demo.rosters import rows_of_courses
from rollcall.sandbox.demo.screen import Progress
from rollcall.sandbox.demo.view import RosterView
from rollcall.sandbox.managed import ManagedProcess
from rollcall.settings import Settings

STILL_SECONDS = 45.0
"""Maximum time without a commit, with the time to join the group."""

QUIET_SECONDS = 2.5
"""Time with a lag of 0 that proves it. Lag is measured and exposed every second, so this covers two
measurements.
"""

PATIENCE_SECONDS = 10.0
"""Maximum time without a change of rosters that are not yet as expected after an event."""

_SCRAPE_SECONDS = 0.1


def roster_inputs(settings: Settings) -> frozenset[tuple[str, int]]:
    """Input topics and partitions of the rosters."""
    names = roster_topics(settings)
    topics = {names.full(topic) for stage in stages(settings.shard) for topic in stage.inputs}
    return frozenset(itertools.product(topics, range(settings.partitions)))


async def wait_for_router(
    router: ManagedProcess, total: int, progress: Progress, *others: ManagedProcess
) -> None:
    """Wait until the router has processed ``total`` records.

    Raises:
        ProcessEndedError: it ended or makes no progress, or one of the others ended.
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
                f"processed {done:,} of {total:,} records, and none for {STILL_SECONDS:.0f} s"
            )


async def wait_for_rosters(
    rosters: ManagedProcess, inputs: Set[tuple[str, int]], progress: Progress | None = None
) -> RostersReading:
    """Wait until the rosters have read all of their inputs. All input events must be written
    before.

    Raises:
        ProcessEndedError: they ended, or make no progress.
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
                f"processed no record for {STILL_SECONDS:.0f} s, with a lag of {reading.lag:,}"
            )
        if reading.consumed != before or reading.lag or not inputs <= reading.lags.keys():
            busy = time.monotonic()
    return reading


async def wait_for_rows(
    view: RosterView, truth: Rosters, courses: Set[str], *processes: ManagedProcess
) -> None:
    """Read until the rows of some courses are as expected, or do not change for
    :data:`PATIENCE_SECONDS`.

    Raises:
        ProcessEndedError: one of the processes ended.
        ReadingError: the cluster does not answer.
    """
    wanted = rows_of_courses(truth, courses)
    await wait_for_view(view, lambda: rows_of_courses(view.rosters, courses) == wanted, *processes)


async def wait_for_view(
    view: RosterView, is_right: Callable[[], bool], *processes: ManagedProcess
) -> None:
    """Read until the rows are right, or do not change for :data:`PATIENCE_SECONDS`. Raises like
    :func:`wait_for_rows`.
    """
    moved = time.monotonic()
    while not is_right() and time.monotonic() - moved < PATIENCE_SECONDS:
        if await view.poll():
            moved = time.monotonic()
        for process in processes:
            process.check()
