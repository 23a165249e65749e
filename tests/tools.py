"""pytest plugin for tools that some tests need and a machine may lack: such a test is skipped, and
a last line of the run says what to install.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
from collections.abc import Iterable, Sequence

import pytest

_LACK = re.compile(r"lacks (?P<tool>.+?); to run this test: (?P<remedy>.+)$")
_APT = "apt install "

COMPILER = "apt install gcc python3-dev"


def lack(tool: str, remedy: str) -> str:
    """The reason of a skip.

    Args:
        remedy: a command.
    """
    return f"this machine lacks {tool}; to run this test: {remedy}"


def needs(*programs: str, package: str) -> pytest.MarkDecorator:
    """Skip a test if a program is missing. ``package``: its Debian package."""
    absent = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(absent), reason=lack(" and ".join(absent), f"{_APT}{package}"))


def needs_terminal() -> pytest.MarkDecorator:
    """Skip a test without pseudo-terminals, as in a chroot without ``/dev/pts``."""
    try:
        for descriptor in pty.openpty():
            os.close(descriptor)
    except OSError:
        return pytest.mark.skip(lack("pseudo-terminals", "mount -t devpts devpts /dev/pts"))
    return pytest.mark.skipif(False, reason="")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the line, once for all workers."""
    line = summary(
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    if line is not None:
        terminalreporter.write_line(line, yellow=True)


def summary(reasons: Iterable[str]) -> str | None:
    """One line about all skips for missing tools; None: there are none.

    Args:
        reasons: of all skips, one per test.
    """
    found = [match for reason in reasons if (match := _LACK.search(reason))]
    if not found:
        return None
    tools = list(dict.fromkeys(match["tool"] for match in found))
    tests = "1 test was" if len(found) == 1 else f"{len(found)} tests were"
    return (
        f"{tests} skipped, for this machine lacks {', '.join(tools)}. To run all: "
        f"{' && '.join(_merged([match['remedy'] for match in found]))}"
    )


def _merged(remedies: Sequence[str]) -> list[str]:
    packages = dict.fromkeys(
        name
        for remedy in remedies
        if remedy.startswith(_APT)
        for name in remedy.removeprefix(_APT).split()
    )
    others = list(dict.fromkeys(remedy for remedy in remedies if not remedy.startswith(_APT)))
    return ([_APT + " ".join(packages)] if packages else []) + others
