"""Output of commands: tables of full width in a pipe, and a clean end when the reader closes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

from rollcall.errors import ConfigurationError
from rollcall.printable import printable

_WIDEST = 1_000_000
"""Width of a line in a pipe, where tables are not cut."""


@contextmanager
def until_output_closes() -> Iterator[None]:
    """End the block without an error when the reader closes standard output."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output again at exit, and must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(table: Table, *, width: int) -> None:
    """Print a table as wide as the terminal, or with at most ``width`` characters elsewhere."""
    Console(width=None if Console().is_terminal else width).print(table)


def print_parts(*parts: RenderableType) -> None:
    """Print parts one below the other."""
    # An encoding that lacks a character must not stop the output.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        for part in parts:
            console.print(part)
        return
    # Full width, without the spaces that rich pads lines with.
    options = console.options.update(width=_WIDEST)
    lines: list[str] = []
    for part in parts:
        console.width = max(Measurement.get(console, options, part).maximum, 1)
        with console.capture() as captured:
            console.print(part)
        lines += map(str.rstrip, captured.get().splitlines())
    print("\n".join(lines), flush=True)


def print_value(value: bytes) -> None:
    """Print the value of a record: the exact bytes, or on a terminal, text without control
    characters.
    """
    if sys.stdout.isatty():
        text = "\n".join(
            printable(line.expandtabs())
            for line in value.decode(errors="backslashreplace").split("\n")
        )
        value = text.encode(sys.stdout.encoding, "replace")
    sys.stdout.buffer.write(value + b"\n")


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Create a file for its owner only; remove it again if the block fails.

    Raises:
        ConfigurationError: the file exists, or cannot be created or written.
    """
    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as file:
            try:
                yield file
                file.flush()
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        raise ConfigurationError(
            f"{str(path)!a} cannot be written ({error.strerror}); name a file that does not "
            "exist, in a folder that does"
        ) from None
