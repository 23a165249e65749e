"""Runs the borders on made-up inputs, in two processes. Each input has a number, and comes from
that and the seed alone, so that it can be made again.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

from tests.fuzz.commands import CommandBorder
from tests.fuzz.pipeline import PipelineBorder
from tests.fuzz.serving import ServeBorder, faults_in_log, serving
from tests.fuzz.stages import ReplicaBorder, StagesBorder

PROCESSES = 2
MOST_SHOWN = 10
_SHOWN_CHARACTERS = 4_000
_PROGRESS_SECONDS = 10.0


class Border(Protocol):
    """Where something comes in from outside."""

    def make(self, random: Random) -> Any:
        """An input."""

    def check(self, given: Any, random: Random) -> str:
        """Let it in, and look at what comes of it. Raises, by an assertion or because something
        failed, when that is not right; else a word for it.
        """


BORDERS: Mapping[str, tuple[Callable[..., Border], float, int]] = {
    "pipeline": (PipelineBorder, 1, 4_000),
    "stages": (StagesBorder, 0.25, 4_000),
    "replica": (ReplicaBorder, 0.25, 10_000),
    "serve": (ServeBorder, 0.02, 500),
    "commands": (CommandBorder, 0.002, 50),
}
"""How each is made, how many inputs it gets for one of the pipeline's, and how many at once."""


class Fault(NamedTuple):
    """What should not have happened."""

    border: str
    number: int
    given: str
    error: str


def shown(fault: Fault, seed: int) -> str:
    """What happened, and how to have it happen again."""
    return (
        f"{fault.border}: {fault.error}\nagain: python -m tests.fuzz --seed {seed} --border "
        f"{fault.border} --number {fault.number}\ninput: {fault.given}"
    )


@dataclass
class Report:
    """What came of it."""

    seed: int
    announce: Callable[[str], object]
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add(self, faults: Iterable[Fault]) -> None:
        """Take note of faults, and tell of the first of them at once."""
        for fault in faults:
            self.faults.append(fault)
            if len(self.faults) <= MOST_SHOWN:
                self.announce(shown(fault, self.seed))

    def lines(self) -> Iterator[str]:
        """A table."""
        yield f"{'border':10} {'outcome':26} {'inputs':>11}"
        for name, counts in self.outcomes.items():
            for outcome, count in counts.most_common():
                yield f"{name:10} {outcome:26} {count:11,}"
            yield (
                f"{name:10} {'in all':26} {counts.total():11,} "
                f"{counts.total() / self.seconds[name]:9,.0f}/s"
            )
        yield (
            f"{sum(counts.total() for counts in self.outcomes.values()):,} inputs, "
            f"{len(self.faults)} faults"
        )


def count_of(name: str, count: int) -> int:
    """How many inputs a border gets when the pipeline gets so many."""
    return max(1, int(count * BORDERS[name][1]))


def fuzz(count: int, seed: int, names: list[str], announce: Callable[[str], object]) -> Report:
    """Run borders, one after the other.

    Args:
        count: inputs of the pipeline; the others get their shares.
    """
    report = Report(seed, announce)
    with ProcessPoolExecutor(PROCESSES, initializer=_be_quiet) as pool:
        for name in names:
            inputs, counts = count_of(name, count), report.outcomes.setdefault(name, Counter())
            step = min(BORDERS[name][2], -(-inputs // PROCESSES))
            began = told = time.monotonic()
            with _arguments(name, report) as arguments:
                chunks = [
                    pool.submit(run_chunk, name, arguments, seed, start, min(start + step, inputs))
                    for start in range(0, inputs, step)
                ]
                for chunk in as_completed(chunks):
                    found, faults = chunk.result()
                    counts.update(found)
                    report.add(faults)
                    if time.monotonic() - told > _PROGRESS_SECONDS:
                        told = time.monotonic()
                        announce(
                            f"{name}: {counts.total():,} of {inputs:,}, "
                            f"{counts.total() / (told - began):,.0f}/s, {len(report.faults)} "
                            "faults"
                        )
            report.seconds[name] = time.monotonic() - began
    return report


def run_chunk(
    name: str, arguments: tuple[Any, ...], seed: int, start: int, stop: int
) -> tuple[Counter[str], list[Fault]]:
    """The inputs of these numbers."""
    border = _border(name, arguments)
    counts: Counter[str] = Counter()
    faults = []
    for number in range(start, stop):
        random = Random(f"{name}-{seed}-{number}")
        given = border.make(random)
        try:
            counts[border.check(given, random)] += 1
        except Exception as error:
            counts["fault"] += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            faults.append(
                Fault(
                    name,
                    number,
                    repr(given)[:_SHOWN_CHARACTERS],
                    f"{error!r:.500} at {Path(place.filename).name}:{place.lineno}: {place.line}",
                )
            )
    return counts, faults


def _border(name: str, arguments: tuple[Any, ...]) -> Border:
    """One for each process: they take long to make."""
    if (name, arguments) not in _BORDERS:
        _BORDERS[name, arguments] = BORDERS[name][0](*arguments)
    return _BORDERS[name, arguments]


_BORDERS: dict[tuple[str, tuple[Any, ...]], Border] = {}


@contextmanager
def _arguments(name: str, report: Report) -> Iterator[tuple[Any, ...]]:
    """What a border needs to be made. serve needs its process, which is asked in the end how it
    is.
    """
    if name != "serve":
        yield ()
        return
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as served:
        yield (served.port, served.ids)
        said = (
            []
            if served.process.process.poll() is None
            else [f"ended with code {served.process.process.returncode}"]
        )
        if not said and served.process.get("/livez")[0] != 200:
            said.append("it does not answer any more")
        report.add(
            Fault(name, -1, "the process as a whole", line)
            for line in said + faults_in_log(served.process)
        )


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)  # what is wrong with a made-up record is no news
    sys.setrecursionlimit(20_000)  # for the standard library's JSON, which is asked for comparison
