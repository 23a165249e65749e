"""True rosters, nothing twice: the roster application as processes on a real broker, killed,
stopped, joined and left while events arrive.

Half of the events are there before; the others come in portions, one for each disturbance. In the
end the rosters must be those that the simulation says, whole rows compared, no record may say what
the one before it said, and what the rows of the tables remember as published must be what is on the
topics.

``--roster-events`` tells how many events.
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
"""How processes are ended, one after the other."""

PARTS = 5
"""Of a portion, sent one after the other, so that events arrive all the while."""

DOWN_SECONDS = 12
"""Longer than a client waits for an answer before it gives up."""

CHUNK_RECORDS = 500
"""Small, so that there are many transactions to disturb."""


class Load:
    """Half of the events at once, and the others in the background, portion by portion."""

    def __init__(self, cluster: RosterCluster, count: int, seed: int) -> None:
        self._cluster = cluster
        records, self.truth = simulated(count, seed)
        half = count // 2
        cluster.send(records[:half])
        self._portions = iter(parts(records[half:], DISTURBANCES))
        self._thread = Thread()

    def begin_portion(self) -> None:
        """Begin to send the next portion."""
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
        """Wait until everything is sent."""
        self._join()
        for portion in self._portions:
            self._cluster.send(portion)


def parts(records: list[TypedRecord], count: int) -> list[list[TypedRecord]]:
    """A list in so many parts."""
    return [
        records[len(records) * number // count : len(records) * (number + 1) // count]
        for number in range(count)
    ]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """How many events."""
    number: int = request.config.getoption("--roster-events")
    return number


@pytest.fixture
def deadline(count: int) -> float:
    """Seconds that a machine with other things to do may take for all events."""
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
    """How many records the stages of a process have committed."""
    return process.metric("rollcall_stage_records_total")


def wait_progress(process: RostersProcess, before: float, *, deadline: float = 60) -> None:
    """Wait until a process commits something."""
    wait_until(lambda: processed(process) > before, deadline, what="progress")


def partitions(process: RostersProcess) -> int:
    """How many partitions a process has, by its metrics."""
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
                    what="the second one's share",
                )
                load.begin_portion()
                wait_progress(second, 0)
                assert second.end(number) == exit_code(number)
        load.finish()
        cluster.wait_settled(first, deadline=deadline)
        assert first.end() == 0
    cluster.assert_exactly(load.truth)


def test_stopped_past_the_session_and_continued(
    cluster: RosterCluster, tmp_path: Path, load: Load, deadline: float
) -> None:
    everything = len(cluster.inputs) * PARTITIONS
    with rosters_process(tmp_path, cluster) as first, rosters_process(tmp_path, cluster) as second:
        for sleeper, other in ((first, second), (second, first)) * (DISTURBANCES // 2):
            wait_until(
                lambda: (
                    0 < partitions(first) < everything
                    and partitions(first) + partitions(second) == everything
                ),
                what="a share for each",
            )
            done = processed(sleeper)
            load.begin_portion()
            wait_progress(sleeper, done)
            sleeper.send_signal(signal.SIGSTOP)
            done = processed(other)
            wait_until(lambda other=other: partitions(other) == everything, what="the take-over")  # type: ignore[misc]
            other.wait_ready()
            wait_progress(other, done)
            sleeper.send_signal(signal.SIGCONT)
        load.finish()
        cluster.wait_settled(first, second, deadline=deadline)
        assert first.end() == 0
        assert second.end() == 0
    cluster.assert_exactly(load.truth)


@pytest.fixture
def own_cluster(
    tmp_path: Path, jars: Path, prefix: str
) -> Iterator[tuple[EmbeddedBroker, RosterCluster]]:
    """Topics on a broker that the test may break."""
    with EmbeddedBroker(tmp_path / "kafka", jars=jars, heap="512m") as broker:
        yield broker, RosterCluster(broker.bootstrap, prefix)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_the_broker_goes_and_comes_back(
    own_cluster: tuple[EmbeddedBroker, RosterCluster],
    tmp_path: Path,
    count: int,
    deadline: float,
    how: str,
) -> None:
    broker, cluster = own_cluster
    load = Load(cluster, count, seed=zlib.crc32(how.encode()))
    with rosters_process(tmp_path, cluster) as rosters:
        wait_progress(rosters, 0)
        if how == "killed":
            broker.kill()
        else:
            broker.stop()
        down_until = time.monotonic() + DOWN_SECONDS
        wait_until(lambda: rosters.get("/readyz")[0] == 503, what="the process's noticing")
        wait_until(lambda: time.monotonic() > down_until, what="the end of the outage")
        assert rosters.process.poll() is None, "the process lives on"
        broker.start()
        load.finish()
        cluster.wait_settled(rosters, deadline=deadline)
        rosters.wait_ready()
        assert rosters.end() == 0
    cluster.assert_exactly(load.truth)
