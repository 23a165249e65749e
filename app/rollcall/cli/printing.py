"""What commands print: tables as wide as they need to be in a pipe, and no complaint when whoever
reads has seen enough.
"""

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
"""Of a line in a pipe, where nothing is cut."""


@contextmanager
def until_output_closes() -> Iterator[None]:
    """Printing that ends, without an error, when standard output is closed at its other end."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(table: Table, *, width: int) -> None:
    """Print a table: as wide as the terminal, and elsewhere so many characters wide at most."""
    Console(width=None if Console().is_terminal else width).print(table)


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


def print_value(value: bytes) -> None:
    """Print the value of a record: as it is, but on a terminal without what would steer it."""
    if sys.stdout.isatty():
        text = "\n".join(
            printable(line.expandtabs())
            for line in value.decode(errors="backslashreplace").split("\n")
        )
        value = text.encode(sys.stdout.encoding, "replace")
    sys.stdout.buffer.write(value + b"\n")


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """A file that did not exist, and that goes again when it cannot be finished.

    Raises:
        ConfigurationError: it cannot be made or written.
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
