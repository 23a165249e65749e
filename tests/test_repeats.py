"""A late test runs once more; a test with a wrong datum or any other failure does not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.repeats import MAX_LATE

pytest_plugins = ["pytester"]

BEGINNING = """
import asyncio, sys
from pathlib import Path
import pytest
from tests.waiting import *

def turn(name):
    file = Path(__file__).parent / f"{name}.turns"  # each process adds to it
    with file.open("a") as written:
        written.write("x")
    return len(file.read_text())
"""

LATE_ONCE = """
def test_late_once():
    wait_until(lambda: turn("late") > 1, 0, what="the second turn")
"""

LATE_TWICE = """
def test_late_twice():
    turn("late_twice")
    wait_until(lambda: False, 0, what="the impossible")
"""

WRONG = """
def test_wrong():
    turn("wrong")
    assert 1 == 2
"""

GOOD = """
def test_good():
    turn("good")
"""

SKIPPED = """
from tests.tools import needs

@needs("a-program-of-nobody", package="nobodys")
def test_skipped():
    pass
"""

WRONG_IN_ANY_CASE = """
def test_covered_by_lateness():
    turn("covered_by_lateness")
    try:
        assert 1 == 2, "the datum"
    finally:
        wait_until(lambda: False, 0, what="the end")

@pytest.fixture
def late_at_the_end():
    yield
    wait_until(lambda: False, 0, what="the end")

def test_late_teardown(late_at_the_end):
    turn("late_teardown")
    assert 1 == 2, "the datum"

@pytest.fixture
def wrong_at_the_end():
    yield
    assert 1 == 2, "the datum"

def test_wrong_teardown(wrong_at_the_end):
    turn("wrong_teardown")
    wait_until(lambda: False, 0, what="the end")

def test_other_timeout():
    turn("other_timeout")
    raise TimeoutError

def test_group():
    turn("group")
    raise ExceptionGroup("several", [NotInTimeError("something", 0), ValueError("the datum")])

def test_too_many():
    turn("too_many")
    counts = iter([1, 3])
    wait_for_count(lambda: next(counts), 2, what="records")

def test_wrong_datum_waited_for():
    turn("wrong_datum_waited_for")
    wait_for_datum(lambda: 1, 2, 0, is_through=lambda: True)

def test_timeout_of_its_own():
    turn("timeout_of_its_own")
    async def work():
        raise TimeoutError("its own")
    asyncio.run(in_time(work(), what="work"))
"""

LATE_IN_ANY_CASE = """
@pytest.fixture
def late_setup():
    wait_until(lambda: turn("setup") > 1, 0, what="the fixture")

def test_setup(late_setup):
    pass

@pytest.fixture
def late_teardown():
    yield
    wait_until(lambda: turn("teardown") > 1, 0, what="the end")

def test_teardown(late_teardown):
    pass

def test_awaitable():
    seconds = 0 if turn("awaitable") > 1 else 600
    asyncio.run(in_time(asyncio.sleep(seconds), 60 if seconds == 0 else 0.01, what="work"))

def test_command():
    first = turn("command") == 1
    program = "import time; time.sleep(600)" if first else ""
    run([sys.executable, "-c", program], 0.01 if first else 60)

def test_datum():
    first = turn("datum") == 1
    wait_for_datum(lambda: first, False, 0, is_through=lambda: False)

def test_group():
    if turn("group") == 1:
        several = [NotInTimeError("not within 0 s: one", 0), NotInTimeError("other", 0)]
        raise ExceptionGroup("several", several)
"""


class Suite:
    """Runs tests in a separate folder, with their results."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        # else it would be the project's, where the folder lies within that
        pytester.makeini("[pytest]")
        for name in [
            name for name in os.environ if name.startswith("PYTEST_")
        ]:  # this process may be a worker
            monkeypatch.delenv(name)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        # which take longer than the tests
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(self, *tests: str, arguments: Sequence[str] = ()) -> pytest.RunResult:
        self._pytester.makepyfile(BEGINNING + "".join(tests))
        return self._pytester.runpytest_subprocess(
            "-q", "-p", "tests.repeats", "-p", "tests.tools", "-p", "no:cacheprovider", *arguments
        )

    def turns(self) -> dict[str, int]:
        """Number of runs, by test."""
        return {file.stem: len(file.read_text()) for file in self._pytester.path.glob("*.turns")}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    return Suite(pytester, monkeypatch)


DISTRIBUTIONS = pytest.mark.parametrize(
    "arguments", [(), ("-p", "xdist", "-n2", "--dist=worksteal")], ids=["alone", "xdist"]
)


@DISTRIBUTIONS
def test_a_run_with_only_such_passes_is_green_and_lists_them(
    suite: Suite, arguments: Sequence[str]
) -> None:
    done = suite.run(LATE_ONCE, GOOD, SKIPPED, arguments=arguments)
    assert done.ret == 0
    assert suite.turns() == {"late": 2, "good": 1}
    done.stdout.fnmatch_lines(
        ["*passed when run again alone*", "*::test_late_once: *not within 0 s: the second turn"]
    )
    done.stdout.fnmatch_lines(
        [
            "1 test was skipped, for this machine lacks a-program-of-nobody. To run all: apt "
            "install nobodys"
        ]
    )
    assert done.outlines[-1].startswith("2 passed, 1 skipped in ")
    assert "Traceback" not in done.stdout.str()
    assert "FAILURES" not in done.stdout.str(), "it is listed, not shown as a failure"


@DISTRIBUTIONS
def test_a_wrong_datum_is_never_run_again_and_what_is_late_twice_fails(
    suite: Suite, arguments: Sequence[str]
) -> None:
    done = suite.run(LATE_ONCE, LATE_TWICE, WRONG, GOOD, arguments=arguments)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert suite.turns() == {"late": 2, "late_twice": 2, "wrong": 1, "good": 1}
    done.stdout.fnmatch_lines(["*1 == 2*"])
    done.stdout.fnmatch_lines(["*the impossible*"])
    done.stdout.fnmatch_lines(["*passed when run again alone*", "*::test_late_once: *"])
    done.stdout.fnmatch_lines(["FAILED *::test_wrong*"])
    done.stdout.fnmatch_lines(["FAILED *::test_late_twice*"])
    assert done.outlines[-1].startswith("2 failed, 2 passed in ")


def test_a_wrong_datum_beside_lateness_is_never_run_again(suite: Suite) -> None:
    done = suite.run(WRONG_IN_ANY_CASE)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    names = [
        "covered_by_lateness",
        "late_teardown",
        "wrong_teardown",
        "other_timeout",
        "group",
        "too_many",
        "wrong_datum_waited_for",
        "timeout_of_its_own",
    ]
    assert suite.turns() == dict.fromkeys(names, 1)
    assert done.outlines[-1].startswith("8 failed, 2 errors in ")
    assert "alone" not in done.stdout.str()


def test_lateness_of_any_kind_is_run_again(suite: Suite) -> None:
    done = suite.run(LATE_IN_ANY_CASE)
    assert done.ret == 0
    assert suite.turns() == dict.fromkeys(
        ["setup", "teardown", "awaitable", "command", "datum", "group"], 2
    )
    assert done.outlines[-1].startswith("6 passed in ")
    done.stdout.fnmatch_lines(
        [
            f"*::test_{name}: *"
            for name in ("setup", "teardown", "awaitable", "command", "datum", "group")
        ]
    )


def test_when_very_much_is_late_it_fails_at_once(suite: Suite) -> None:
    done = suite.run(
        f"@pytest.mark.parametrize('number', range({MAX_LATE + 1}))"
        + LATE_TWICE.replace("()", "(number)", 1)
    )
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert suite.turns() == {"late_twice": MAX_LATE + 1}
    assert done.outlines[-1].startswith(f"{MAX_LATE + 1} failed in ")
