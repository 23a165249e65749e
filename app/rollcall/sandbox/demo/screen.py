"""The terminal of the demo, or whatever standard output is."""

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
"""Without a terminal: from line to line."""

RATE_SECONDS = 2.0
"""The rate that is shown is that of the last so many seconds."""

_LABEL = 9

Counts = Mapping[str, int]
"""By what is counted."""


class Progress(Protocol):
    """Shows how far a process is."""

    def show(self, done: int, total: int, counts: Counts) -> None:
        """How many records it has taken in, of how many, and what else it counts now."""


class Screen:
    """What the demo says, in the order in which it happens."""

    def __init__(self) -> None:
        # A stream that cannot write a character should not end the demo.
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="replace")
        self.console = Console(highlight=False, emoji=False, markup=False)

    def say(self, *what: RenderableType) -> None:
        """Print."""
        for part in what:
            self._print(part)

    def step(self, label: str, text: str) -> None:
        """Something is done."""
        self._print(_labelled(label, Text(text)))

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Something takes a while: on a terminal it is shown as long as it does."""
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield
            return
        with self.console.status(Text(what, style="dim"), spinner="dots"):
            yield

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Show the progress of a process while the context is open."""
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield _Lines(self._print, label)
            return
        with Live(console=self.console, refresh_per_second=10, transient=True) as live:
            yield _Bar(live, label)

    def _print(self, what: RenderableType) -> None:
        if self.console.is_terminal:
            self.console.print(what)
            return
        # rich fills lines with blanks up to the width, which nobody wants in a file.
        with self.console.capture() as captured:
            self.console.print(what)
        for line in captured.get().splitlines():
            self.console.out(line.rstrip(), highlight=False)


class Rate:
    """Records per second, of the last seconds."""

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def at(self, now: float, count: int) -> float:
        """Take a count into account and give the rate."""
        self._points = [point for point in self._points if now - point[0] <= RATE_SECONDS] + [
            (now, count)
        ]
        (first, start), (last, end) = self._points[0], self._points[-1]
        return (end - start) / (last - first) if last > first else 0.0


class _Bar:
    """On a terminal: a bar and the counts, drawn anew several times a second."""

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
                    "", Text("   ".join(f"{what} {count:,}" for what, count in counts.items()))
                ),
            )
        )


class _Lines:
    """Elsewhere: a line every second."""

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
            listed = ", ".join(f"{count:,} {what}" for what, count in counts.items())
            self._print(
                _labelled(self._label, Text(f"{done:,} of {total:,}, {rate:,.0f}/s: {listed}"))
            )


def _labelled(label: str, what: RenderableType) -> RenderableType:
    grid = Table.grid(padding=0)
    grid.add_column(width=_LABEL, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row(label, what)
    return grid


def seconds_since(moment: float) -> str:
    """How long ago a moment of the monotonic clock was, for people."""
    return f"{time.monotonic() - moment:.1f} s"
