"""Waiting for a condition, and the one error of a late test.

All waiting in tests uses these functions: only a test that fails by :class:`NotInTimeError` runs
once more (:mod:`tests.repeats`).
"""

from __future__ import annotations

import asyncio
import subprocess
import time
import urllib.error
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, AnyStr, Protocol, TypeVar

Result = TypeVar("Result")

DEADLINE_SECONDS = 60.0
"""Default deadline. It costs time only on failure: no test has a shorter one."""

RUN_SECONDS = 120.0
"""Deadline of a command, including the start of Python."""

POLL_SECONDS = 0.05
"""First pause between two checks of a condition."""

MAX_POLL_SECONDS = 0.2
"""Longest pause between two checks. A check scrapes a process or asks a broker: without growing
pauses, waiting tests take a quarter of a core each.
"""


class NotInTimeError(Exception):
    """A condition did not hold before the deadline. Raised only in this module, never within an
    ``except``.

    It says nothing about data: a wrong datum is an ``AssertionError``, or any other error.
    """

    def __init__(self, what: str, deadline: float) -> None:
        super().__init__(f"not within {deadline:g} s: {what}")


def is_late(error: BaseException) -> bool:
    """Whether lateness is the only failure: no other failure came before it, and all errors of a
    group are late.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_late, error.exceptions))
    return isinstance(error, NotInTimeError) and (
        error.__context__ is None or is_late(error.__context__)
    )


def wait_until(
    condition: Callable[[], object],
    deadline: float = DEADLINE_SECONDS,
    *,
    what: str | Callable[[], str] = "the condition",
) -> None:
    """Return as soon as a condition holds. ``what``: the condition, or a function that describes
    the progress.

    Raises:
        NotInTimeError: it does not hold before the deadline.
    """
    until = time.monotonic() + deadline
    pause = POLL_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise NotInTimeError(what if isinstance(what, str) else what(), deadline)
        time.sleep(pause)
        pause = min(pause * 1.1, MAX_POLL_SECONDS)


def wait_for_count(
    count: Callable[[], float], wanted: float, deadline: float = DEADLINE_SECONDS, *, what: str
) -> None:
    """Return as soon as a count is reached.

    Raises:
        NotInTimeError: it is not reached before the deadline.
        AssertionError: it is exceeded: waiting does not help.
    """

    def is_reached() -> bool:
        found = count()
        assert found <= wanted, f"{what}: {found:g}, more than {wanted:g}"
        return found == wanted

    wait_until(is_reached, deadline, what=f"{what}: {wanted:g}")


def wait_for_datum(
    read: Callable[[], object],
    wanted: object,
    deadline: float = DEADLINE_SECONDS,
    *,
    is_through: Callable[[], object],
    what: str = "the datum",
) -> None:
    """Return as soon as a datum has the wanted value.

    Args:
        is_through: whether all work is done, according to the workers.

    Raises:
        NotInTimeError: the datum is wrong at the deadline, and the work is not done.
        AssertionError: the work is done, and the datum is wrong.
    """
    until = time.monotonic() + deadline
    while read() != wanted:
        if time.monotonic() > until:
            if is_through():
                assert read() == wanted, f"{what}, though all work is done"
                return
            raise NotInTimeError(what, deadline)
        time.sleep(POLL_SECONDS)


async def eventually(
    condition: Callable[[], object], deadline: float = DEADLINE_SECONDS, *, what: str
) -> None:
    """:func:`wait_until` for a condition in the same event loop."""
    until = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > until:
            raise NotInTimeError(what, deadline)
        await asyncio.sleep(0.01)


async def in_time(
    work: Awaitable[Result], deadline: float = DEADLINE_SECONDS, *, what: str
) -> Result:
    """Result of an awaitable.

    Raises:
        NotInTimeError: it does not end before the deadline, and is cancelled.
    """
    limit = asyncio.timeout(deadline)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
    raise NotInTimeError(what, deadline)


def result_of(future: Future[Result], deadline: float = DEADLINE_SECONDS, *, what: str) -> Result:
    """Result of another thread's future."""
    wait_until(future.done, deadline, what=what)
    return future.result()


def answer_of(
    ask: Callable[[float], Result],
    deadline: float = DEADLINE_SECONDS,
    *,
    what: str,
    timeouts: tuple[type[Exception], ...] = (TimeoutError,),
) -> Result:
    """Result of a call with its own timeout in seconds, such as a client's request. ``timeouts``:
    its timeout errors.
    """
    try:
        return ask(deadline)
    except timeouts:
        pass
    except urllib.error.URLError as error:
        if not isinstance(error.reason, TimeoutError):
            raise
    raise NotInTimeError(what, deadline)


class Ending(Protocol):
    """A process that may have ended."""

    def poll(self) -> int | None:
        """The exit code, if it has ended."""


def wait_for_exit(
    process: Ending, deadline: float = DEADLINE_SECONDS, *, what: str = "the end of the process"
) -> int:
    """The exit code of a process that ends."""
    wait_until(lambda: process.poll() is not None, deadline, what=what)
    code = process.poll()
    assert code is not None
    return code


def communicate(
    process: subprocess.Popen[AnyStr],
    deadline: float = DEADLINE_SECONDS,
    *,
    what: str = "the end of the process",
) -> tuple[AnyStr, AnyStr]:
    """Output of a process that ends."""
    try:
        return process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        pass
    raise NotInTimeError(what, deadline)


def run_bytes(
    command: Sequence[str | Path], deadline: float = RUN_SECONDS, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """:func:`subprocess.run` of a command, with its output. It is killed at the deadline."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            timeout=deadline,
            check=options.pop("check", False),
            **options,
        )
    except subprocess.TimeoutExpired:
        pass
    raise NotInTimeError(f"the end of {' '.join(map(str, command))[:200]}", deadline)


def run(
    command: Sequence[str | Path],
    deadline: float = RUN_SECONDS,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: str | None = None,  # noqa: A002
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """:func:`run_bytes`, in text."""
    done: subprocess.CompletedProcess[Any] = run_bytes(
        command, deadline, env=env, cwd=cwd, input=input, text=True, check=check
    )
    return done
