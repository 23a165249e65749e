"""The whole of Rollcall as it runs in production: brokers behind a network, and processes that a
supervisor starts again when they end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster.brokers import BrokerCluster
from tests.processes import PROGRAM, RollcallProcess
from tests.rosters.cluster import PARTITIONS, SHARD
from tests.waiting import NotInTimeError, wait_until

RESTART_SECONDS = 1.0
"""What a supervisor waits before it starts a process again that ended by itself, or was killed. One
that ended in good order was told to start anew.
"""

HEAPS = {1: "1g", 3: "384m"}
"""Of each broker, by their number."""

RIGHTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""Of a single broker, whose faults refuse rights. Several controllers do not elect one of them
before they know of rights, unless they have users.
"""

SAYING = "rollcall: "
"""How the line begins in which a process says why it ends."""

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
"""Debian's libfaketime, with which a process can be told another time."""


@dataclass(frozen=True)
class End:
    """A process has ended."""

    name: str
    code: int
    """Its exit code; negative: the signal that ended it."""
    reason: str
    """What it said last about that; empty: nothing."""


class Supervised:
    """A process that is started again whenever it ends."""

    def __init__(self, name: str, start: Callable[[], RollcallProcess]) -> None:
        self.name = name
        self._start = start
        self.process = start()
        self._ended_at: float | None = None

    def look(self) -> End | None:
        """Start it again if it has ended for long enough; tells of an end once."""
        code = self.process.process.poll()
        if code is None:
            return None
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            said = [
                line
                for line in self.process.log_file.read_text(errors="replace").splitlines()
                if line.startswith(SAYING)
            ]
            return End(self.name, code, said[-1].removeprefix(SAYING) if said else "")
        if code == 0 or time.monotonic() - self._ended_at > RESTART_SECONDS:
            self.process = self._start()
            self._ended_at = None
        return None

    @property
    def unready(self) -> str:
        """Why it is not ready, in its own words; empty when it is."""
        if self.process.process.poll() is not None:
            return f"{self.name} has ended"
        try:
            status, body = self.process.get("/readyz")
        except (OSError, StopIteration, NotInTimeError) as error:
            return f"{self.name} does not answer ({error!r})"
        return "" if status == 200 else f"{self.name}: {body}"


class System:
    """Two routers, two roster applications and serve, on brokers of their own.

    Args:
        folder: for everything that they write.
        settings: of all processes, besides those that make them one installation.
        static: the members of the groups are known by name.
        brokers: 1 or 3.
        clock: one of the routers and one of the roster applications have a clock that can be set,
            where libfaketime is installed. It makes them slower.
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
        self._stack = ExitStack()
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.cluster)
            self.clock.write_text("+0")
            stack.callback(self._end_all)
            places = [
                ("router", "1"),
                ("router", "2"),
                ("rosters", "1"),
                ("rosters", "2"),
                ("serve", "1"),
            ]
            self.processes = [
                Supervised(f"{command} {number}", self._starter(command, number))
                for command, number in places
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
        """The brokers without the network in between, for those who judge."""
        return self.cluster.bootstrap

    def idle(self) -> bool:
        """Whether all processes that there are now say that they have nothing left to do."""
        try:
            return all(process.idle for process in self.named("router", "rosters"))
        except (
            OSError,
            StopIteration,
            NotInTimeError,
        ):
            # one has just ended; the supervisor starts another
            return False

    def named(self, *commands: str) -> list[RollcallProcess]:
        """The processes of these commands, as of now."""
        return [each.process for each in self.processes if each.process.command in commands]

    def wait_ready(self, deadline: float) -> float:
        """Wait until every process says that it is ready; returns the seconds that it took. What
        they said last before that is in ``waited_for``.
        """
        begun = time.monotonic()

        def is_ready() -> bool:
            if unready := [why for each in self.processes if (why := each.unready)]:
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
        through = self.cluster.network_bootstrap
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
        return lambda: RollcallProcess(
            command,
            self.folder,
            through,
            self.prefix,
            program=PROGRAM,
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
