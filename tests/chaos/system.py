"""Rollcall as in production: brokers behind a network, and processes under a supervisor that
restarts them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rollcall.sandbox.canvas.queue import CREDENTIALS
from tests.chaos.queue import FaultyQueue
from tests.cluster.brokers import BrokerCluster
from tests.processes import PROGRAM, RollcallProcess
from tests.rosters.cluster import PARTITIONS, SHARD
from tests.waiting import NotInTimeError, wait_until

RESTART_SECONDS = 1.0
"""Delay of the supervisor before a restart after a failure. It restarts a process with exit code 0
immediately.
"""

HEAPS = {1: "1g", 3: "384m"}
"""Heap of each broker, by the number of brokers."""

RIGHTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Properties of a single broker, for the faults that refuse rights. Several controllers cannot
elect a leader with these properties, unless they have users.
"""

INGEST = "sqs"
"""The command of ``rollcall ingest``."""

REASON_PREFIX = "rollcall: "
"""Prefix of the log line with the reason of a process's end."""

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
"""Debian's libfaketime, which sets another time for a process."""


@dataclass(frozen=True)
class End:
    """The end of a process."""

    name: str
    code: int
    """Exit code; negative: the signal that ended the process."""
    reason: str
    """The last reason in its log, or empty."""


class Supervised:
    """A process that is restarted at each end."""

    def __init__(self, name: str, start: Callable[[], RollcallProcess]) -> None:
        self.name = name
        self._start = start
        self.process = start()
        self._ended_at: float | None = None

    def look(self) -> End | None:
        """Restart an ended process after its delay. Returns each end once."""
        code = self.process.process.poll()
        if code is None:
            return None
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            reasons = [
                line
                for line in self.process.log_file.read_text(errors="replace").splitlines()
                if line.startswith(REASON_PREFIX)
            ]
            reason = reasons[-1].removeprefix(REASON_PREFIX) if reasons else ""
            return End(self.name, code, reason)
        if code == 0 or time.monotonic() - self._ended_at > RESTART_SECONDS:
            self.process = self._start()
            self._ended_at = None
        return None

    @property
    def unready(self) -> str:
        """The process's own reason for not being ready; empty if it is ready."""
        if self.process.process.poll() is not None:
            return f"{self.name} has ended"
        try:
            status, body = self.process.get("/readyz")
        except (OSError, StopIteration, NotInTimeError) as error:
            return f"{self.name} does not respond ({error!r})"
        return "" if status == 200 else f"{self.name}: {body}"


class System:
    """Two routers, two rosters processes and serve, with their own brokers. With a queue, two
    processes of ``rollcall ingest sqs``, too.

    Args:
        folder: folder for all files.
        settings: further settings of all processes.
        static: use static group membership.
        brokers: number of brokers, 1 or 3.
        clock: give a router and a rosters process a clock that can be set, if libfaketime is
            installed. They are slower then.
        queue: of Canvas.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        jars: Path,
        settings: Mapping[str, object] | None = None,
        *,
        brokers: int = 1,
        static: bool = False,
        clock: bool = False,
        queue: FaultyQueue | None = None,
    ) -> None:
        self.folder = folder
        self.prefix = prefix
        self.ends: list[End] = []
        """All ends of processes so far."""
        self.replica = folder / "replica.sqlite"
        self.clock = folder / "clock"
        self.has_clock = clock and FAKETIME.exists()
        self.waited_for: list[str] = []
        self._settings = {
            "shard": SHARD,
            "partitions": PARTITIONS,
            "events": "all",
            "replication_factor": brokers,
            "replica": self.replica,
        } | dict(settings or {})
        self.cluster = BrokerCluster(
            folder,
            jars,
            size=brokers,
            network=True,
            heap=HEAPS[brokers],
            properties=RIGHTS if brokers == 1 else None,
        )
        self._static = static
        self._queue = queue
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.cluster)
            self.clock.write_text("+0")
            stack.callback(self._end_all)
            instances = [
                ("router", "1"),
                ("router", "2"),
                ("rosters", "1"),
                ("rosters", "2"),
                ("serve", "1"),
            ]
            if self._queue is not None:
                instances += [(INGEST, "1"), (INGEST, "2")]
            self.processes = [
                Supervised(f"{command} {number}", self._starter(command, number))
                for command, number in instances
            ]
            self._supervisor.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"processes that had ended by then: {self.ends}")
        self._stack.close()

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers without the proxies, for checks."""
        return self.cluster.bootstrap

    def idle(self) -> bool:
        """Whether all current processes report that they are idle."""
        try:
            return all(process.idle for process in self.named("router", "rosters"))
        except (
            OSError,
            StopIteration,
            NotInTimeError,
        ):
            # a process has just ended; the supervisor restarts it
            return False

    def named(self, *commands: str) -> list[RollcallProcess]:
        """The current processes of these commands."""
        return [each.process for each in self.processes if each.process.command in commands]

    def wait_ready(self, deadline: float) -> float:
        """Wait until every process is ready, and return the seconds. ``waited_for`` has the last
        reasons for not being ready.
        """
        begun = time.monotonic()

        def is_ready() -> bool:
            if unready := [reason for each in self.processes if (reason := each.unready)]:
                self.waited_for = unready
            return not unready

        wait_until(is_ready, deadline, what=lambda: f"readiness: {self.waited_for}")
        return time.monotonic() - begun

    def stop(self) -> None:
        """End all processes by SIGTERM."""
        self._stop_supervising()
        for each in self.processes:
            each.process.end()

    def _starter(self, command: str, number: str) -> Callable[[], RollcallProcess]:
        bootstrap = self.cluster.network_bootstrap
        program: Sequence[str] = PROGRAM
        variables: Mapping[str, str] = {}
        if self.has_clock and number == "2":
            variables = {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_CACHE_DURATION": "1",
            }

        settings = self._settings | (
            {"group_instance_id": f"{command}-{number}"} if self._static else {}
        )
        if command == INGEST and self._queue is not None:
            program = (*PROGRAM, "ingest")
            variables = {**variables, **CREDENTIALS}
            settings |= self._queue.settings
        return lambda: RollcallProcess(
            command,
            self.folder,
            bootstrap,
            self.prefix,
            program=program,
            variables=variables,
            **settings,
        )

    def _supervise(self) -> None:
        while not self._stopping.wait(0.2):
            self.ends += [end for each in self.processes if (end := each.look()) is not None]

    def _stop_supervising(self) -> None:
        self._stopping.set()
        if self._supervisor.ident is not None:
            self._supervisor.join()

    def _end_all(self) -> None:
        self._stop_supervising()
        for each in self.processes:
            each.process.kill()
