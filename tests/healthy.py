"""What the log of a healthy process does not have: errors, tracebacks, and what asyncio and
aiokafka say of things that were left lying about.

The processes that tests start are looked at by :class:`tests.processes.RollcallProcess` and by
whoever starts others; what happens within pytest itself, by a fixture for all tests.
"""

from __future__ import annotations

import gc
import logging
import re
from collections.abc import Collection, Iterator

import pytest

TRACEBACK = "Traceback (most recent call last)"

LEFT_LYING = re.compile(
    r"exception was never retrieved|Task was destroyed but it is pending|Unclosed "
    r"(AIOKafka|client|connector)|was never awaited|ResourceWarning"
    rf"|{re.escape(TRACEBACK)}|Exception ignored in|Unhandled exception|Fatal error on "
    rf"transport|Fatal Python error"
)
"""Of whatever level."""

ERRORS = re.compile(r'"level":"(error|critical)"|^\d\d:\d\d:\d\d (error|critical) ')
"""As JSON, and for a terminal."""

TRACEBACK_LINES = 40


def complaints(log: str, expected: Collection[str] = ()) -> list[str]:
    """The lines of a log that a healthy process does not write, but for those with a part that is
    ``expected``. A traceback is one of them.
    """
    found: list[str] = []
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if ERRORS.search(line) or LEFT_LYING.search(line):
            whole = "\n".join(_traceback(lines[number:])) if line.startswith("Traceback") else line
            if not any(text in whole for text in expected):
                found.append(whole)
    return found


def _traceback(lines: list[str]) -> list[str]:
    """The lines of the traceback that these begin with: all that are indented, and the error."""
    end = next(
        (number for number, line in enumerate(lines[1:], 1) if not line.startswith(" ")),
        len(lines) - 1,
    )
    return lines[: min(end + 1, TRACEBACK_LINES)]


class _Overheard(logging.Handler):
    """Keeps what asyncio calls an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.said.append(self.format(record))


@pytest.fixture(autouse=True)
def overheard() -> Iterator[list[str]]:
    """What asyncio says of tasks and errors that nobody has waited for: a fault, unless the test
    takes it out of this list.
    """
    handler, logger = _Overheard(), logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield handler.said
    # what a test has made is young; to look at all there is would take longer than most tests
    gc.collect(1)
    logger.removeHandler(handler)
    assert handler.said == []
