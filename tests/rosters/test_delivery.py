"""Processes of the roster application on a real broker, killed, suspended, started and stopped
while events arrive.

Half of the events are sent before; the others are sent in portions, one for each disturbance. At
the end, all rows must be those of the simulation, no record may repeat its predecessor, and the
tables must have the digests of all published records.

``--roster-events`` sets the number of events.
"""

from __future__ import annotations

import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from tests.processes import RostersProcess, exit_code, wait_until
from tests.rosters.cluster import PARTITIONS, SHARD, RosterCluster, TypedRecord, simulated

pytestmark = pytest.mark.slow

DISTURBANCES = 4
ENDS = (signal.SIGKILL, signal.SIGTERM) * (DISTURBANCES // 2)
"""Signals that end the processes, in turn."""

PARTS = 5
"""Parts of a portion, sent one after the other, so that events arrive continually."""

DOWN_SECONDS = 12
"""Longer than clients wait for a response."""

CHUNK_RECORDS = 500
"""Small, so that there are many transactions."""


class Load:
    """Sends half of the events at once, and the others in the background, portion by portion."""

    def __init__(self, cluster: RosterCluster, count: int, seed: int) -> None:
        self._cluster = cluster
        records, self.truth = simulated(count, seed)
        half = count // 2
        cluster.send(records[:half])
        self._portions = iter(parts(records[half:], DISTURBANCES))
        self._thread = Thread()

    def begin_portion(self) -> None:
        """Start to send the next portion."""
        self._join()
        self._thread = Thread(target=self._send, args=(next(self._portions),))
        self._thread.start()

    def _send(self, portion: list[TypedRecord]) -> None:
        for part in parts(portion, PARTS):
            self._cluster.send(part)

    def _join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def finish(self) -> None:
        """Send the remaining events, and wait until all are sent."""
        self._join()
        for portion in self._portions:
            self._cluster.send(portion)


def parts(records: list[TypedRecord], count: int) -> list[list[TypedRecord]]:
    """Split a list into parts."""
    return [
        records[len(records) * number // count : len(records) * (number + 1) // count]
        for number in range(count)
    ]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """The number of events."""
    number: int = request.config.getoption("--roster-events")
    return number


@pytest.fixture
def deadline(count: int) -> float:
    """Time limit for all events on a loaded machine, seconds."""
    return 120 + count / 100


@pytest.fixture
def cluster(bootstrap: str, prefix: str) -> RosterCluster:
    return RosterCluster(bootstrap, prefix)


@pytest.fixture
def load(cluster: RosterCluster, count: int, request: pytest.FixtureRequest) -> Iterator[Load]:
    running = Load(cluster, count, seed=zlib.crc32(request.node.name.encode()))
    yield running
    running.finish()


def rosters_process(directory: Path, cluster: RosterCluster) -> RostersProcess:
    """A process of the roster application."""
    return RostersProcess(
        directory,
        cluster.bootstrap,
        cluster.prefix,
        shard=SHARD,
        partitions=PARTITIONS,
        chunk_records=CHUNK_RECORDS,
    )


def processed(process: RostersProcess) -> float:
    """Number of records that the stages of a process have committed."""
    return process.metric("rollcall_stage_records_total")


def wait_progress(process: RostersProcess, before: float, *, deadline: float = 60) -> None:
    """Wait until a process commits something."""
    wait_until(lambda: processed(process) > before, deadline, what="progress")


def partitions(process: RostersProcess) -> int:
    """Number of a process's partitions, by its metrics."""
    return sum(name == "rollcall_consumer_lag_records" for name, _ in process.metrics())


def test_restarts(cluster: RosterCluster, tmp_path: Path, load: Load, deadline: float) -> None:
    codes = []
    for number in ENDS:
        load.begin_portion()
        with rosters_process(tmp_path, cluster) as rosters:
            wait_progress(rosters, 0)
            codes.append(rosters.end(number))
    with rosters_process(tmp_path, cluster) as rosters:
        load.finish()
        cluster.wait_settled(rosters, deadline=deadline)
        assert rosters.end() == 0
    assert codes == [exit_code(number) for number in ENDS]
    cluster.assert_exactly(load.truth)


def test_a_second_process_joins_and_leaves(
    cluster: RosterCluster, tmp_path: Path, load: Load, deadline: float
) -> None:
    with rosters_process(tmp_path, cluster) as first:
        first.wait_ready()
        for number in ENDS:
            with rosters_process(tmp_path, cluster) as second:
                wait_until(
                    lambda second=second: partitions(second) > 0,  # type: ignore[misc]
                    what="partitions of the second process",
                )
                load.begin_portion()
                wait_progress(second, 0)
                assert second.end(number) == exit_code(number)
        load.finish()
        cluster.wait_settled(first, deadline=deadline)
        assert first.end() == 0
    cluster.assert_exactly(load.truth)


def test_suspended_past_the_session_and_resumed(
    cluster: RosterCluster, tmp_path: Path, load: Load, deadline: float
) -> None:
    all_partitions = len(cluster.inputs) * PARTITIONS
    with rosters_process(tmp_path, cluster) as first, rosters_process(tmp_path, cluster) as second:
        for suspended, other in ((first, second), (second, first)) * (DISTURBANCES // 2):
            wait_until(
                lambda: (
                    0 < partitions(first) < all_partitions
                    and partitions(first) + partitions(second) == all_partitions
                ),
                what="partitions for each process",
            )
            done = processed(suspended)
            load.begin_portion()
            wait_progress(suspended, done)
            suspended.send_signal(signal.SIGSTOP)
            done = processed(other)
            wait_until(
                lambda other=other: partitions(other) == all_partitions,  # type: ignore[misc]
                what="the take-over",
            )
            other.wait_ready()
            wait_progress(other, done)
            suspended.send_signal(signal.SIGCONT)
        load.finish()
        cluster.wait_settled(first, second, deadline=deadline)
        assert first.end() == 0
        assert second.end() == 0
    cluster.assert_exactly(load.truth)


@pytest.fixture
def own_cluster(
    tmp_path: Path, jars: Path, prefix: str
) -> Iterator[tuple[EmbeddedBroker, RosterCluster]]:
    """Topics on a broker that the test may stop."""
    with EmbeddedBroker(tmp_path / "kafka", jars=jars, heap="512m") as broker:
        yield broker, RosterCluster(broker.bootstrap, prefix)


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_an_outage_of_the_broker(
    own_cluster: tuple[EmbeddedBroker, RosterCluster],
    tmp_path: Path,
    count: int,
    deadline: float,
    end: str,
) -> None:
    broker, cluster = own_cluster
    load = Load(cluster, count, seed=zlib.crc32(end.encode()))
    with rosters_process(tmp_path, cluster) as rosters:
        wait_progress(rosters, 0)
        if end == "killed":
            broker.kill()
        else:
            broker.stop()
        down_until = time.monotonic() + DOWN_SECONDS
        wait_until(lambda: rosters.get("/readyz")[0] == 503, what="unreadiness")
        wait_until(lambda: time.monotonic() > down_until, what="the end of the outage")
        assert rosters.process.poll() is None, "the process must not end"
        broker.start()
        load.finish()
        cluster.wait_settled(rosters, deadline=deadline)
        rosters.wait_ready()
        assert rosters.end() == 0
    cluster.assert_exactly(load.truth)
