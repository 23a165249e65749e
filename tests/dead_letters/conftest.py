"""The commands, run in this process, which is much faster than a new process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from rollcall.cli.main import main
from tests.dead_letters.command import environment


class CommandResult(NamedTuple):
    """Exit code and output of a command."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def lines(self) -> list[str]:
        """Lines of standard output, with single spaces between columns."""
        return [" ".join(line.split()) for line in self.stdout.decode().splitlines()]


DeadLetters = Callable[..., CommandResult]
"""Takes arguments, and optionally another ``bootstrap``."""


@pytest.fixture
def dead_letters(
    bootstrap: str,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> DeadLetters:
    """``rollcall dead-letters``, for the topics of the test's prefix."""
    own_bootstrap = bootstrap

    def run(*arguments: str, bootstrap: str = own_bootstrap) -> CommandResult:
        for name, value in environment(bootstrap, prefix).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["rollcall", "dead-letters", *arguments])
        capfdbinary.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return CommandResult(code, *capfdbinary.readouterr())

    return run
