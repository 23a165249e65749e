"""The flow: metrics of router and rosters processes, and the replica's progress, each second."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from rollcall.serve.page.rates import (
    CONSUMED,
    DEAD,
    DEAD_EVENTS,
    EXPIRED,
    FAILED,
    PUBLISHED,
    RECEIVED,
    ROUTED,
    UNKNOWN,
    WITHDRAWN,
    CountKey,
    Reading,
    rates,
    read_metrics,
)
from rollcall.serve.replica.progress import Progress

ROUND_SECONDS = 1.0
PATIENCE_SECONDS = 2.0

WINDOW = 4
"""Readings that a rate is computed from. Transactions come in bursts, and people cannot read a rate
that jumps.
"""

HISTORY = 180
"""Seconds of the curve."""

MOST_BYTES = 4 * 1024**2
"""Limit of a page of metrics. A router's has some 60 KB; a larger one is from another program."""


class ProcessView:
    """The last readings of one process's metrics."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.display_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        """Without a password or a query, which may be a secret."""
        self.problem: str | None = "not read yet"
        """Why there is no reading now."""
        self._readings: deque[Reading] = deque(maxlen=WINDOW)

    @property
    def reading(self) -> Reading | None:
        """The last reading; None: there is none, or the process does not answer now."""
        return self._readings[-1] if self._readings and self.problem is None else None

    @property
    def rates(self) -> Mapping[CountKey, float] | None:
        """Rates per second; None: unknown."""
        return (
            rates(self._readings[0], self._readings[-1])
            if self.reading is not None and len(self._readings) > 1
            else None
        )

    def add_reading(self, reading: Reading) -> None:
        """Add a reading."""
        if self._readings and self._readings[-1].started != reading.started:
            self._readings.clear()  # the process was started again
        self._readings.append(reading)
        self.problem = None

    def set_problem(self, problem: str) -> None:
        """Forget all readings, since there is no new one."""
        self._readings.clear()
        self.problem = problem


class Flow:
    """Reads the metrics of processes while :meth:`run` runs, and has their summary for the page.

    Args:
        progress: of the replica.
    """

    def __init__(self, urls: Sequence[str], progress: Callable[[], Progress]) -> None:
        self._processes = [ProcessView(url) for url in urls]
        self._progress = progress
        self._history: deque[float | None] = deque(maxlen=HISTORY)
        self._content = b""
        self._rendered_at = float("-inf")

    @property
    def content(self) -> bytes:
        """The summary as JSON, at most one round old."""
        if time.monotonic() - self._rendered_at > ROUND_SECONDS * 1.5:
            self._render()
        return self._content

    async def run(self) -> None:
        """Read all metrics each second, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=True) as session:
            while True:
                began = time.monotonic()
                await asyncio.gather(*(self._read(session, process) for process in self._processes))
                self._history.append(total_rate(self._processes, RECEIVED))
                self._render()
                await asyncio.sleep(max(ROUND_SECONDS - (time.monotonic() - began), 0.1))

    def _render(self) -> None:
        self._content = orjson.dumps(
            summary(self._processes, self._progress(), self._history, time.time())
        )
        self._rendered_at = time.monotonic()

    async def _read(self, session: aiohttp.ClientSession, process: ProcessView) -> None:
        try:
            async with session.get(process.url, allow_redirects=False) as response:
                if response.status != 200:
                    process.set_problem(f"answers with status {response.status}")
                    return
                page = bytearray()
                async for part in response.content.iter_any():
                    page += part
                    if len(page) > MOST_BYTES:
                        raise ValueError("too large")
            process.add_reading(read_metrics(page.decode(), time.monotonic()))
        except TimeoutError:
            process.set_problem(f"does not answer within {PATIENCE_SECONDS:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            process.set_problem(f"cannot be reached ({_reason(error)})")
        except ValueError:
            process.set_problem("does not answer with metrics")


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return type(error).__name__ if number is None or number < 0 else os.strerror(number)


def total_rate(processes: Iterable[ProcessView], what: str) -> float | None:
    """Sum of the rates of all processes that have one, per second; None: no process has."""
    known = [
        sum(rate for (name, _), rate in found.items() if name == what)
        for process in processes
        if (found := process.rates) is not None and _has_count(process, what)
    ]
    return sum(known) if known else None


def summary(
    processes: Sequence[ProcessView],
    progress: Progress,
    history: Iterable[float | None],
    now: float,
) -> dict[str, Any]:
    """The flow for the page. Rates are per second, null if unknown; totals count from the start of
    each process.
    """
    kinds = {
        kind
        for process in processes
        if (reading := process.reading) is not None and (kind := reading.kind)
    }
    return {
        "at": now,
        "totals": {
            what: {"rate": total_rate(processes, what), "total": _total(processes, what)}
            for what in (RECEIVED, ROUTED, UNKNOWN, DEAD)
        },
        "lag": {
            kind: sum(
                sum(r.lag.values())
                for process in processes
                if (r := process.reading) is not None and r.kind == kind
            )
            for kind in sorted(kinds)
        },
        "oldest_seconds": {
            kind: max(
                (
                    r.oldest
                    for process in processes
                    if (r := process.reading) is not None and r.kind == kind
                ),
                default=0.0,
            )
            for kind in sorted(kinds)
        },
        "event_types": _event_types(processes),
        "dead_letters": [
            {"code": label, "rate": rate, "total": total}
            for label, rate, total in _by_label(processes, DEAD)
            if total
        ],
        "processes": [_process(process) for process in processes],
        "stages": _stages(processes),
        "replica": {
            "complete": progress.complete,
            "problem": progress.problem,
            "freshness_seconds": progress.freshness(now),
            "lag": sum(progress.lag.values()),
            "rows": dict(progress.rows),
            "records": progress.records,
            "unusable": progress.unusable,
            "rebuilds": progress.rebuilds,
        },
        "history": list(history),
    }


def _has_count(process: ProcessView, what: str) -> bool:
    """Whether a process has a count. Without it, a total is unknown and not 0: for example routed
    events while only the rosters answer.
    """
    return process.reading is not None and any(name == what for name, _ in process.reading.counts)


def _total(processes: Iterable[ProcessView], what: str) -> float | None:
    known = [
        process.reading.total(what)
        for process in processes
        if process.reading is not None and _has_count(process, what)
    ]
    return sum(known) if known else None


def _by_label(processes: Iterable[ProcessView], what: str) -> list[tuple[str, float | None, float]]:
    """Label, rate and total, summed over processes, in descending order of totals."""
    totals: dict[str, float] = {}
    moving: dict[str, float] = {}
    for process in processes:
        reading, found = process.reading, process.rates or {}
        for (name, label), count in (reading.counts if reading is not None else {}).items():
            if name == what:
                totals[label] = totals.get(label, 0.0) + count
                if (name, label) in found:
                    moving[label] = moving.get(label, 0.0) + found[name, label]
    return [
        (label, moving.get(label), total)
        for label, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    ]


def _event_types(processes: Sequence[ProcessView]) -> list[dict[str, Any]]:
    dead = {label: total for label, _, total in _by_label(processes, DEAD_EVENTS)}
    routed = [
        (label, rate, total)
        for label, rate, total in _by_label(processes, ROUTED)
        if total or dead.get(label)
    ]
    return [
        {"name": label, "rate": rate, "total": total, "dead": dead.get(label, 0.0)}
        for label, rate, total in routed
    ]


def _process(process: ProcessView) -> dict[str, Any]:
    reading = process.reading
    if reading is None:
        return {"url": process.display_url, "reachable": False, "problem": process.problem}
    taken = RECEIVED if reading.kind == "router" else CONSUMED
    return {
        "url": process.display_url,
        "reachable": True,
        "problem": None,
        "kind": reading.kind,
        "version": reading.version,
        "rate": total_rate([process], taken),
        "total": reading.total(taken),
        "lag": sum(reading.lag.values()),
        "oldest_seconds": reading.oldest,
        "breakers": reading.breakers,
        "expired": reading.total(EXPIRED),
        "failures": reading.total(FAILED),
    }


def _stages(processes: Sequence[ProcessView]) -> list[dict[str, Any]]:
    """Figures of each stage of the rosters, summed over processes."""
    gauges: dict[str, dict[str, float]] = {}
    for process in processes:
        for stage, found in (process.reading.stages if process.reading is not None else {}).items():
            known = gauges.setdefault(stage, {})
            for what, value in found.items():
                known[what] = known.get(what, 0.0) + value
    moving = {
        what: {label: rate for label, rate, _ in _by_label(processes, what)}
        for what in (CONSUMED, PUBLISHED, WITHDRAWN)
    }
    return [
        {"name": stage, **{f"{what}_rate": of.get(stage) for what, of in moving.items()}, **found}
        for stage, found in gauges.items()
    ]
