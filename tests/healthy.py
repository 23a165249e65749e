"""Contents that the log of a healthy process does not have: errors, tracebacks, and complaints of
asyncio and aiokafka about leftovers.

:class:`tests.processes.RollcallProcess` checks the processes that it starts; other starters check
their own. A fixture for all tests checks pytest's own process.
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
"""At any level."""

ERRORS = re.compile(r'"level":"(error|critical)"|^\d\d:\d\d:\d\d (error|critical) ')
"""In JSON and text format."""

TRACEBACK_LINES = 40


def complaints(log: str, expected: Collection[str] = ()) -> list[str]:
    """Log lines that a healthy process does not write, without those that contain an ``expected``
    part. A traceback counts as one.
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
    """Lines of the traceback at the start of ``lines``: indented ones, and the error."""
    end = next(
        (number for number, line in enumerate(lines[1:], 1) if not line.startswith(" ")),
        len(lines) - 1,
    )
    return lines[: min(end + 1, TRACEBACK_LINES)]


class _AsyncioErrors(logging.Handler):
    """Collects asyncio's error lines."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def overheard() -> Iterator[list[str]]:
    """asyncio's errors about tasks and exceptions that nobody awaited. They fail the test, unless
    it removes them from this list.
    """
    handler, logger = _AsyncioErrors(), logging.getLogger("asyncio")
    logger.addHandler(handler)
    yield handler.lines
    # what a test has made is young; to look at all there is would take longer than most tests
    gc.collect(1)
    logger.removeHandler(handler)
    assert handler.lines == []
