"""What commands print: tables as wide as they need to be in a pipe, and no complaint when whoever reads has seen enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.measure import Measurement

_WIDEST = 1_000_000
"""Of a line in a pipe, where nothing is cut."""


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Printing that ends, without an error, when standard output is closed at its other end."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_parts(*parts: RenderableType) -> None:
    """Print what rich can, one below the other."""
    # A stream that cannot write a character should still show the others.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        for part in parts:
            console.print(part)
        return
    # As wide as it takes, and without the blanks with which rich fills lines.
    options = console.options.update(width=_WIDEST)
    lines: list[str] = []
    for part in parts:
        console.width = max(Measurement.get(console, options, part).maximum, 1)
        with console.capture() as captured:
            console.print(part)
        lines += map(str.rstrip, captured.get().splitlines())
    print("\n".join(lines), flush=True)
