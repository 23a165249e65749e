"""The line with the progress of a long command, by a clock of the test."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator

import pytest

from rollcall.cli.long_work import ProgressLine

CONTROL = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
BARS = re.compile(f"[{BAR}\N{BOX DRAWINGS HEAVY LEFT}\N{BOX DRAWINGS HEAVY RIGHT}]+")
WIDTH = 100


class Terminal(io.StringIO):
    """What takes the standard error.

    Args:
        is_terminal: whether it is a terminal.
    """

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def lines(self) -> list[str]:
        """All that was shown, with each state of the line that changes. A bar is one character."""
        text = BARS.sub(BAR, CONTROL.sub("", self.getvalue()))
        return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


class Work:
    """Sends events of ten bytes on a clock of its own, and shows its progress."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.line = ProgressLine(lambda: self.now)

    def done(self, count: int, *, of_part: int | None = None, seconds: float = 0) -> None:
        """Show what is done some seconds later.

        Args:
            count: events in all.
            of_part: events of this part; None: all.
        """
        self.now += seconds
        completed = 10 * (count if of_part is None else of_part)
        self.line.show(f"{count:,} events, {self.line.rate(count):,.0f}/s", completed)


@contextlib.contextmanager
def working(terminal: Terminal) -> Iterator[Work]:
    """Shows the progress during the block. At its end, the last state is shown once more."""
    with contextlib.redirect_stderr(terminal):
        work = Work()
        with work.line:
            yield work


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(WIDTH))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    shown = terminal.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0, "the cursor is back"


def test_there_is_neither_rate_nor_remaining_time_at_first(terminal: Terminal) -> None:
    with working(terminal) as work:
        work.line.begin("events.json", 10_000)
        work.done(100)
    assert terminal.lines[-1] == f"events.json {BAR} 100 events, 0/s -:--:--"


def test_rate_and_remaining_time(terminal: Terminal) -> None:
    with working(terminal) as work:
        work.line.begin("events.json", 100_000)
        work.done(0)
        work.done(1_000, seconds=1)
        work.done(2_000, seconds=1)
    assert terminal.lines[-1] == f"events.json {BAR} 2,000 events, 1,000/s 0:00:08"


def test_at_the_end_no_time_remains(terminal: Terminal) -> None:
    with working(terminal) as work:
        work.line.begin("events.json", 10_000)
        work.done(0)
        work.done(1_000, seconds=10)
    assert terminal.lines[-1] == f"events.json {BAR} 1,000 events, 0/s 0:00:00"


def test_without_a_total_there_is_no_remaining_time(terminal: Terminal) -> None:
    """Also after a part with a total: a file, and then standard input."""
    with working(terminal) as work:
        work.line.begin("events.json", 100_000)
        work.done(0)
        work.done(100, seconds=1)
        work.line.begin("(standard input)", None)
        work.done(200, of_part=100, seconds=1)
        work.done(300, of_part=200, seconds=1)
    assert terminal.lines[-1] == f"(standard input) {BAR} 300 events, 100/s"


def test_each_part_has_a_remaining_time_of_its_own(terminal: Terminal) -> None:
    with working(terminal) as work:
        work.line.begin("first.json", 100_000)
        work.done(0)
        work.done(100, seconds=1)
        work.done(200, seconds=1)
        work.line.begin("second.json", 20_000)
        work.done(201, of_part=1)
    assert terminal.lines[-1] == f"second.json {BAR} 201 events, 100/s -:--:--"


def test_a_total_that_becomes_known(terminal: Terminal) -> None:
    """As for the courses of ``rollcall reconcile``."""
    with working(terminal) as work:
        work.line.show("0 courses", 0, description="list of courses", total=None)
        work.line.show("0 courses", 0, description="courses", total=100)
        for courses in (10, 20):
            work.now += 1
            work.line.show(f"{courses} courses", courses, description="courses", total=100)
    assert terminal.lines[-1] == f"courses {BAR} 20 courses 0:00:08"


def test_lines_stand_above_the_progress_and_are_whole(terminal: Terminal) -> None:
    fault = "events.json:7:1: " + "x" * WIDTH
    with working(terminal) as work:
        work.line.begin("events.json", 10_000)
        work.line.print(fault)
        work.done(1)
    assert terminal.lines.count(fault) == 1
    assert terminal.lines[-1].startswith(f"events.json {BAR} 1 events")


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_elsewhere_only_lines_are_printed(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal without control sequences, and in a file."""
    monkeypatch.setenv("TERM", term)
    output = Terminal(is_terminal=term == "dumb")
    with working(output) as work:
        work.line.begin("events.json", 10_000)
        work.done(1)
        work.line.print("events.json:7:1: no JSON")
        work.done(2)
    assert output.getvalue() == "events.json:7:1: no JSON\n"
