"""Rollcall's processes, as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.forks import Fork, common_forks
from tests.healthy import complaints
from tests.waiting import DEADLINE_SECONDS, answer_of, wait_for_exit
from tests.waiting import wait_until as wait_until  # most tests of processes have it from here

PROGRAM = (sys.executable, "-m", "rollcall")
"""Runs ``rollcall``."""


EVENTS = (
    "account,account_notification,course,course_section,enrollment,enrollment_state,group,"
    "group_category,group_membership,user,user_account_association"
)
"""The event types of most tests' installations. To create a topic takes a broker and a process as
much CPU time as to route thousands of events.
"""


def exit_code(number: signal.Signals) -> int:
    """Exit code of a process ended by a signal: 0 for SIGTERM, which it handles."""
    return 0 if number is signal.SIGTERM else -number


class RollcallProcess:
    """A process of Rollcall on a free port, with its log in a file. After its end the log is
    checked: see :mod:`tests.healthy`.

    Args:
        command: of ``rollcall``.
        program: takes the command, with its own arguments; by default a fork of ``rollcall``, which
            loads nothing.
        variables: of the environment, besides the settings, for a program.
        settings: by name, without ``ROLLCALL_``. Default of ``events``: :data:`EVENTS`.
    """

    def __init__(
        self,
        command: str,
        directory: Path,
        bootstrap: str,
        prefix: str,
        *,
        program: Sequence[str] | None = None,
        variables: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        self.command = command
        self._expected: tuple[str, ...] = ()
        self.log_file = directory / f"{command.replace(' ', '-')}-{time.monotonic_ns()}.log"
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("ROLLCALL_")
        }
        environment |= {
            "ROLLCALL_KAFKA": bootstrap,
            "ROLLCALL_TOPIC_PREFIX": prefix,
            "ROLLCALL_GROUP_PREFIX": prefix,
            "ROLLCALL_PORT": "0",
            "ROLLCALL_PARTITIONS": "2",
            "ROLLCALL_EVENTS": EVENTS,
            "ROLLCALL_SESSION_TIMEOUT_SECONDS": "6",
            "ROLLCALL_LOG_FORMAT": "json",
        }
        environment |= {
            f"ROLLCALL_{key.upper()}": str(value) for key, value in settings.items()
        } | dict(variables or {})
        self.process: subprocess.Popen[bytes] | Fork
        if program is None:
            assert variables is None, (
                "the libraries of a fork have seen the environment of their process"
            )
            self.log_file.touch()
            self.process = common_forks().start(
                *command.split(), environment=environment, out=self.log_file, err=self.log_file
            )
        else:
            with self.log_file.open("wb") as log:
                self.process = subprocess.Popen(
                    [*program, *command.split()], env=environment, stderr=log, stdout=log
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.kill()
        if error is None and self.complaints:
            raise AssertionError(
                f"{self.log_file.name} is not the log of a healthy process:\n"
                + "\n".join(self.complaints)
            )

    def kill(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def expecting(self, *parts: str) -> Self:
        """Allow errors that the test provokes: log lines that contain one of these parts."""
        self._expected += parts
        return self

    @property
    def complaints(self) -> list[str]:
        """Log lines that a healthy process does not write."""
        return complaints(self.log_file.read_text(errors="replace"), self._expected)

    @property
    def log(self) -> list[dict[str, object]]:
        """Complete lines of its log."""
        complete = self.log_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines() if line.startswith("{")]

    @cached_property
    def url(self) -> str:
        """URL of its HTTP server; waits for it."""
        wait_until(
            lambda: any("http" in line for line in self.log) or self.process.poll() is not None,
            what=f"the start of {self.command}",
        )
        return next(str(line["http"]) for line in self.log if "http" in line)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET."""
        url = self.url + path

        def ask(seconds: float) -> tuple[int, str]:
            try:
                # our own process
                with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return answer_of(ask, what=f"an answer to GET {path}")

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """All samples by name and labels."""
        _, text = self.get("/metrics")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples with this name and these labels."""
        _, text = self.get("/metrics")
        # parsing all would take longer than making them
        lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(name))
        samples = (
            sample for family in text_string_to_metric_families(lines) for sample in family.samples
        )
        return sum(
            sample.value
            for sample in samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def wait_ready(self, deadline: float = DEADLINE_SECONDS) -> Self:
        """Wait until /readyz answers 200."""
        wait_until(lambda: self.get("/readyz")[0] == 200, deadline, what="readiness")
        return self

    @property
    def idle(self) -> bool:
        """Whether it is ready and has no work left."""
        left = [
            value
            for (name, _), value in self.metrics().items()
            if name in ("rollcall_consumer_lag_records", "rollcall_rows_to_follow")
        ]
        return self.get("/readyz")[0] == 200 and not any(left)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait_exit(self, deadline: float = DEADLINE_SECONDS) -> int:
        """Wait until it ends by itself; return the exit code."""
        return wait_for_exit(self.process, deadline, what=f"the end of {self.command}")

    def end(
        self, number: signal.Signals = signal.SIGTERM, deadline: float = DEADLINE_SECONDS
    ) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.wait_exit(deadline)


class RouterProcess(RollcallProcess):
    """``rollcall router``."""

    def __init__(self, directory: Path, bootstrap: str, prefix: str, **settings: object) -> None:
        super().__init__(
            "router", directory, bootstrap, prefix, program=None, variables=None, **settings
        )


class RostersProcess(RollcallProcess):
    """``rollcall rosters``."""

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        prefix: str,
        *,
        program: Sequence[str] | None = None,
        **settings: object,
    ) -> None:
        super().__init__(
            "rosters", directory, bootstrap, prefix, program=program, variables=None, **settings
        )
