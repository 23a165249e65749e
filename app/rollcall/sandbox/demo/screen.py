"""The demo's output, on a terminal or elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINE_SECONDS = 1.0
"""Interval of progress lines without a terminal."""

RATE_SECONDS = 2.0
"""Period of the displayed rate."""

_LABEL = 9

Counts = Mapping[str, int]
"""Counts by label."""


class Progress(Protocol):
    """Shows the progress of a process."""

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Show the number of processed records, of all records, and further counts."""


class Screen:
    """Prints the demo's steps and results."""

    def __init__(self) -> None:
        # An encoding that lacks a character must not end the demo.
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="replace")
        self.console = Console(highlight=False, emoji=False, markup=False)

    def print(self, *parts: RenderableType) -> None:
        """Print parts one below the other."""
        for part in parts:
            self._print(part)

    def step(self, label: str, text: str) -> None:
        """Print a finished step."""
        self._print(_labelled(label, Text(text)))

    @contextmanager
    def doing(self, activity: str) -> Iterator[None]:
        """Show an activity during the block, on a terminal."""
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield
            return
        with self.console.status(Text(activity, style="dim"), spinner="dots"):
            yield

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Show the progress of a process during the block."""
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield _Lines(self._print, label)
            return
        with Live(console=self.console, refresh_per_second=10, transient=True) as live:
            yield _Bar(live, label)

    def _print(self, part: RenderableType) -> None:
        if self.console.is_terminal:
            self.console.print(part)
            return
        # without the spaces that rich pads lines with
        with self.console.capture() as captured:
            self.console.print(part)
        for line in captured.get().splitlines():
            self.console.out(line.rstrip(), highlight=False)


class Rate:
    """Records per second in the last :data:`RATE_SECONDS`."""

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def at(self, now: float, count: int) -> float:
        """Add a count, and return the rate."""
        self._points = [point for point in self._points if now - point[0] <= RATE_SECONDS] + [
            (now, count)
        ]
        (first, start), (last, end) = self._points[0], self._points[-1]
        return (end - start) / (last - first) if last > first else 0.0


class _Bar:
    """Progress on a terminal: a bar and the counts, updated several times a second."""

    def __init__(self, live: Live, label: str) -> None:
        self._live = live
        self._label = label
        self._rate = Rate()

    def show(self, done: int, total: int, counts: Counts) -> None:
        rate = self._rate.at(time.monotonic(), done)
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=total, completed=done, width=28),
            Text(f"{done:,} of {total:,}"),
            Text(f"{rate:,.0f}/s", style="cyan"),
        )
        self._live.update(
            Group(
                _labelled(self._label, head),
                _labelled(
                    "", Text("   ".join(f"{label} {count:,}" for label, count in counts.items()))
                ),
            )
        )


class _Lines:
    """Progress elsewhere: a line every second."""

    def __init__(self, print_: Callable[[RenderableType], None], label: str) -> None:
        self._print = print_
        self._label = label
        self._rate = Rate()
        self._done = 0
        self._next = 0.0

    def show(self, done: int, total: int, counts: Counts) -> None:
        now = time.monotonic()
        rate = self._rate.at(now, done)
        if done != self._done and (now >= self._next or done == total):
            self._done, self._next = done, now + LINE_SECONDS
            listed = ", ".join(f"{count:,} {label}" for label, count in counts.items())
            self._print(
                _labelled(self._label, Text(f"{done:,} of {total:,}, {rate:,.0f}/s: {listed}"))
            )


def _labelled(label: str, content: RenderableType) -> RenderableType:
    grid = Table.grid(padding=0)
    grid.add_column(width=_LABEL, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row(label, content)
    return grid


def seconds_since(moment: float) -> str:
    """The time since a value of the monotonic clock, as text."""
    return f"{time.monotonic() - moment:.1f} s"
