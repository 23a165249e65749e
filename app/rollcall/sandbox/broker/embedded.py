"""Starts, finds and stops the embedded broker."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rollcall.errors import BrokerUnavailableError
from rollcall.resources import resource_path
from rollcall.sandbox import processes
from rollcall.sandbox.broker import libraries, node
from rollcall.sandbox.broker.files import locked
from rollcall.sandbox.broker.java import find_java
from rollcall.sandbox.broker.probe import describe_cluster

START_SECONDS = 60.0
"""A start takes two to three seconds on two idle cores; a busy machine needs more."""

STOP_SECONDS = 30.0
"""A stop takes less than one second. After this time the process is killed; Kafka's storage
survives that.
"""

COLLECTOR = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")
"""The options of Kafka's start script. On a small machine Java's default is another collector."""

_ANSWER_SECONDS = 1.0
_POLL_SECONDS = 0.05
_QUOTED_LINES = 5


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """State of a broker's process."""

    directory: Path
    version: str
    bootstrap: str | None
    pid: int | None
    """None if the process does not run."""
    answers: bool
    """The broker answers, and has the expected cluster id."""

    @property
    def running(self) -> bool:
        """Whether the process runs and clients can use it."""
        return self.pid is not None and self.answers


class EmbeddedBroker:
    """A Kafka broker with all its state in ``directory``. Several objects, even in several
    processes, may use the same directory.

    A context manager starts an owned broker: it ends with the block, and at any end of this
    process. If a broker already runs in the directory, the context manager uses that one and leaves
    it running.

    Every method blocks (in an event loop: ``asyncio.to_thread``). All are thread-safe.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        heap: str = "1g",
        jars: Path | None = None,
        properties: Mapping[str, str] | None = None,
        options: Sequence[str] = COLLECTOR,
    ) -> None:
        """Does not start or write anything yet.

        Args:
            directory: folder of the broker's state. Its absolute path must not change.
            port: port to listen on; 0: that of the last start, at first any free port.
            host: address to listen on. Use a loopback address: there is no authentication.
            heap: maximum heap of the Java process, as for Java's ``-Xmx``.
            jars: folder of the libraries of all versions; by default ``kafka-libs`` beside
                ``directory``.
            properties: extra entries of Kafka's server.properties. They replace the broker's own
                ones; listeners are appended instead.
            options: options of the Java process, besides the heap.
        """
        self.directory = directory.absolute()
        self._port = port
        self._host = host
        self._heap = heap
        self._jars = jars.absolute() if jars is not None else self.directory.parent / "kafka-libs"
        self._properties = properties or {}
        self._options = options
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._started = False

    @property
    def log(self) -> Path:
        """The broker's log since its last start. The log before that has the suffix ``.1``."""
        return self.directory / "server.log"

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients, after the first start.

        Raises:
            BrokerUnavailableError: the broker was never started, or its state is damaged.
        """
        known = node.load_node(self.directory)
        if known is None:
            raise BrokerUnavailableError(
                f"there is no embedded broker in {self.directory} yet: start it with `rollcall "
                "broker start`"
            )
        return known.bootstrap

    @property
    def pid(self) -> int | None:
        """The id of the broker's process, or None."""
        return processes.find_process(self._pid_file, self._mark)

    def ensure_libraries(self, *, announce: Callable[[str], object] = lambda line: None) -> Path:
        """Fetch Kafka's libraries unless they exist, and return their folder. ``announce`` gets one
        line before a fetch.

        Raises:
            BrokerUnavailableError: Java or Maven is missing, or Maven failed.
        """
        return libraries.ensure_libraries(self._jars, announce=announce)

    def start(self, timeout: float = START_SECONDS, *, owned: bool = True) -> bool:
        """Start the broker and wait until clients can use it. False if it already runs; then only
        wait.

        Args:
            timeout: seconds until the broker must be ready.
            owned: end the broker at the end of this process. Otherwise it runs until it is stopped.

        Raises:
            BrokerUnavailableError: the broker did not become ready, and was ended. The message
                quotes its log.
        """
        # a class archive is valid for one class path, which Java compares as text
        jars = self.ensure_libraries().resolve()
        java = find_java()
        with self._locked(timeout):
            if self.pid is not None:
                self._await_ready(timeout)
                return False
            self._forget_supervisor()
            here = node.prepare_node(
                self.directory, host=self._host, port=self._port, extra=self._properties
            )
            (self.directory / "tmp").mkdir(exist_ok=True)
            node.format_storage(
                self.directory,
                here,
                self._java(java, jars, "-Xmx256m", "-XX:TieredStopAtLevel=1"),
                extra=self._properties,
            )
            if self.log.exists():
                self.log.replace(self.log.with_suffix(".log.1"))
            command = [
                *self._java(java, jars, f"-Xmx{self._heap}", *self._options),
                *self._mark.split(" ", 1),
            ]
            try:
                self._supervisor = self._launch(command, owned=owned)
                self._await_ready(timeout)
            except BaseException:  # Ctrl-C too
                self._end(signal.SIGKILL, timeout=STOP_SECONDS)
                raise
        return True

    def _launch(self, command: Sequence[str], *, owned: bool) -> subprocess.Popen[bytes]:
        try:
            return processes.launch(
                "broker", command, pid_file=self._pid_file, log_file=self.log, owned=owned
            )
        except processes.LaunchError as error:
            raise BrokerUnavailableError(str(error)) from None

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """Stop the broker of any starter and wait for its end. False if it did not run. After
        ``timeout`` seconds it is killed.
        """
        if not self.directory.exists():
            return False
        with self._locked(START_SECONDS):
            ran = self.pid is not None
            if not self._end(signal.SIGTERM, timeout=timeout):
                self._end(signal.SIGKILL, timeout=timeout)
            return ran

    def kill(self) -> bool:
        """Kill the broker (SIGKILL), as a crash in tests. False if it did not run."""
        ran = self.pid is not None
        self._end(signal.SIGKILL, timeout=STOP_SECONDS)
        return ran

    def status(self) -> BrokerStatus:
        """The broker's status. Changes nothing.

        Raises:
            BrokerUnavailableError: the state is damaged.
        """
        known = node.load_node(self.directory)
        pid = self.pid
        answers = pid is not None and known is not None and self._is_ready(known)
        return BrokerStatus(
            self.directory,
            libraries.kafka_version(),
            known.bootstrap if known else None,
            pid,
            answers,
        )

    def __enter__(self) -> Self:
        self._started = self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._started:
            self.stop()

    @property
    def _pid_file(self) -> Path:
        return self.directory / "broker.pid"

    @property
    def _mark(self) -> str:
        """The end of the Java command, which identifies this directory's broker."""
        return f"kafka.Kafka {self.directory / 'server.properties'}"

    def _locked(self, timeout: float) -> AbstractContextManager[None]:
        return locked(
            self.directory / "lock",
            timeout=timeout,
            purpose="starting or stopping the embedded broker",
        )

    def _java(self, java: Path, jars: Path, *options: str) -> list[str]:
        return [
            str(java),
            *options,
            "-XX:-UsePerfData",  # writes to the system's temporary folder
            f"-XX:ErrorFile={self.directory / 'java-crash-%p.log'}",
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={resource_path('deploy', 'kafka', 'log4j2.xml')}",
            "-cp",
            f"{jars}/*",
        ]

    def _is_ready(self, known: node.Node) -> bool:
        """Whether the broker answers, has our cluster id, and is not fenced, as it is after a
        start.
        """
        cluster = describe_cluster(known.host, known.port, timeout=_ANSWER_SECONDS)
        return (
            cluster is not None
            and cluster.cluster_id == known.cluster_id
            and (known.host, known.port) in cluster.brokers
        )

    def _await_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        known = node.load_node(self.directory)
        assert known is not None, "a running broker has a node"
        while not self._is_ready(known):
            if self.pid is None:
                raise BrokerUnavailableError(
                    f"the embedded broker ended while it started; its log {self.log} "
                    f"ends:\n{self._end_of_log()}"
                )
            if time.monotonic() >= deadline:
                raise BrokerUnavailableError(
                    f"the embedded broker was not ready within {timeout:.0f} s; its log "
                    f"{self.log} ends:\n{self._end_of_log()}"
                )
            time.sleep(_POLL_SECONDS)

    def _end_of_log(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return "  (there is none)"
        messages = [
            line for line in lines if line.strip() and not line.lstrip().startswith(("at ", "..."))
        ]
        quoted = messages[-_QUOTED_LINES:]
        return "\n".join(f"  {line[:300]}" for line in quoted) or "  (it is empty)"

    def _end(self, signal_number: signal.Signals, *, timeout: float) -> bool:
        ended = processes.end_process(self._pid_file, self._mark, signal_number, timeout=timeout)
        if ended:
            self._pid_file.unlink(missing_ok=True)
            shutil.rmtree(self.directory / "tmp", ignore_errors=True)
            self._forget_supervisor()
        return ended

    def _forget_supervisor(self) -> None:
        if self._supervisor is not None:
            processes.release(self._supervisor)
            self._supervisor = None
