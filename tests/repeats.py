"""pytest plugin: late tests run once more, alone, after all others.

A test is late if :class:`tests.waiting.NotInTimeError` is its only failure. If it passes then, the
run is green, and lists it in its last lines. A wrong datum never runs again. Nothing runs again if
too many tests were late for a slow moment to explain it.

The second run is a separate pytest process with the same arguments, so that it is alone even if the
first one used xdist.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from tests.waiting import is_late

MAX_LATE = 20
"""With more late tests than this, they all fail."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that lists the tests of the second run."""
    parser.addoption(
        "--again",
        type=Path,
        metavar="FOLDER",
        help="(internal) run the tests named in FOLDER/tests.json, and write their reports there",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin. A worker of xdist only marks late tests; its controller does the
    rest.
    """
    folder = config.getoption("again")
    if folder is not None:
        config.pluginmanager.register(SecondRun(config, folder))
    elif not hasattr(config, "workerinput"):
        config.pluginmanager.register(FirstRun(config))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark a failed report as late if lateness is its only failure."""
    report = yield
    report.late = report.failed and call.excinfo is not None and is_late(call.excinfo.value)  # type: ignore[attr-defined]
    return report


class SecondRun:
    """Runs the listed tests, and writes their reports."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        self._wanted: set[str] = set(json.loads((folder / "tests.json").read_text()))
        self._reports = folder / "reports.jsonl"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect all other tests."""
        items[:] = [item for item in items if item.nodeid in self._wanted]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a report to the file."""
        written = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        with self._reports.open("a") as file:
            file.write(json.dumps(written) + "\n")


class FirstRun:
    """Collects late tests, runs them again, and replaces their reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._late: dict[str, list[pytest.TestReport]] = defaultdict(list)
        self._wrong: set[str] = set()
        self._passed: dict[str, str] = {}
        """Late reports, by test."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure."""
        if report.failed and not getattr(report, "late", False):
            self._wrong.add(report.nodeid)
        elif report.failed:
            self._late[report.nodeid].append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """L for a test that will run again."""
        return ("late", "L", "LATE") if report.failed and getattr(report, "late", False) else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Run after all tests, and before the exit status is decided."""
        result = yield
        late = {name: reports for name, reports in self._late.items() if name not in self._wrong}
        again = self._run_again(list(late)) if len(late) <= MAX_LATE else {}
        for name, reports in self._late.items():
            second = again.get(name, [])
            if second:
                self._forget(name, list(self._stats()))
            else:
                self._forget(name, ("late",))
            session.testsfailed -= len(reports)
            for report in second or reports:
                report.late = False  # type: ignore[attr-defined]
                self._config.hook.pytest_runtest_logreport(report=report)
            if second and not any(report.failed for report in second):
                self._passed[name] = _first_line(reports[0])
        self._stats().pop("late", None)
        return result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the tests that passed only in the second run."""
        if self._passed:
            terminalreporter.section(
                "did not get there in time at first, passed when run again alone: look at these "
                "first",
                yellow=True,
            )
            for name, what in self._passed.items():
                terminalreporter.line(f"{name}: {what}")

    def _run_again(self, names: list[str]) -> dict[str, list[pytest.TestReport]]:
        if not names:
            return {}
        self._reporter().write_line(
            f"\nrun again, alone, for what did not get there in time: {', '.join(names)}"
        )
        again: dict[str, list[pytest.TestReport]] = defaultdict(list)
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "tests.json").write_text(json.dumps(names))
            alone = ["--numprocesses=0"] if self._config.pluginmanager.hasplugin("xdist") else []
            command = [
                sys.executable,
                "-m",
                "pytest",
                *map(str, self._config.invocation_params.args),
                *alone,
                f"--again={folder}",
            ]
            place = self._config.invocation_params.dir
            done = subprocess.run(
                command,
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                self._reporter().write_line(
                    f"the second run ended with exit code {done.returncode}:\n{done.stdout}"
                )
            reports = folder / "reports.jsonl"
            for line in reports.read_text().splitlines() if reports.exists() else []:
                report = self._config.hook.pytest_report_from_serializable(
                    config=self._config, data=json.loads(line)
                )
                again[report.nodeid].append(report)
        return {
            name: reports
            for name, reports in again.items()
            if any(report.when == "teardown" for report in reports)
        }  # the others were cut off

    def _forget(self, name: str, categories: Sequence[str]) -> None:
        """A test's first reports."""
        stats = self._stats()
        for category in categories:
            stats[category] = [
                report
                for report in stats[category]
                if not (isinstance(report, pytest.TestReport) and report.nodeid == name)
            ]

    def _reporter(self) -> pytest.TerminalReporter:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(reporter, pytest.TerminalReporter)
        return reporter

    def _stats(self) -> dict[str, list[object]]:
        return self._reporter().stats


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", report.longrepr)).splitlines()[0]
