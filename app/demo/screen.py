"""The terminal of the demo, or whatever standard output is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.demo.ledger import Ledger

LINE_SECONDS = 1.0
"""Without a terminal: from line to line."""

RATE_SECONDS = 2.0
"""The rate that is shown is that of the last so many seconds."""

_LABEL = 9


class Progress(Protocol):
    """Shows how far the router is."""

    def show(self, received: int, ledger: Ledger) -> None:
        """What the router counts now."""


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
    def progress(self, total: int) -> Iterator[Progress]:
        """Show the router's progress while the context is open."""
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield _Lines(self._print, total)
            return
        with Live(console=self.console, refresh_per_second=10, transient=True) as live:
            yield _Bar(live, total)

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
        self._points = [point for point in self._points if now - point[0] <= RATE_SECONDS] + [(now, count)]
        (first, start), (last, end) = self._points[0], self._points[-1]
        return (end - start) / (last - first) if last > first else 0.0


class _Bar:
    """On a terminal: a bar and the counts, drawn anew several times a second."""

    def __init__(self, live: Live, total: int) -> None:
        self._live = live
        self._total = total
        self._rate = Rate()

    def show(self, received: int, ledger: Ledger) -> None:
        rate = self._rate.at(time.monotonic(), received)
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=self._total, completed=received, width=28), Text(f"{received:,} of {self._total:,}"), Text(f"{rate:,.0f}/s", style="cyan")
        )
        self._live.update(Group(_labelled("routing", head), _labelled("", _counts(ledger))))


class _Lines:
    """Elsewhere: a line every second."""

    def __init__(self, print_: Callable[[RenderableType], None], total: int) -> None:
        self._print = print_
        self._total = total
        self._rate = Rate()
        self._next = 0.0

    def show(self, received: int, ledger: Ledger) -> None:
        now = time.monotonic()
        rate = self._rate.at(now, received)
        if received and (now >= self._next or received == self._total):
            self._next = now + LINE_SECONDS
            counts = f"{ledger.total_routed:,} routed, {ledger.unknown:,} unknown, {ledger.total_dead:,} dead"
            self._print(_labelled("routing", Text(f"{received:,} of {self._total:,}, {rate:,.0f}/s: {counts}")))


def _labelled(label: str, what: RenderableType) -> RenderableType:
    grid = Table.grid(padding=0)
    grid.add_column(width=_LABEL, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row(label, what)
    return grid


def _counts(ledger: Ledger) -> Text:
    return Text(f"routed {ledger.total_routed:,}   unknown {ledger.unknown:,}   dead letters {ledger.total_dead:,}")
