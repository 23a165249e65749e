"""A process that was stopped, has lost its partitions and goes on: it writes nothing more.

Stopping is exact: tests/rosters/interrupted.py stops the process within one transaction. That the
fence is what protects the rosters is shown by taking it away: then a stopped process does harm.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rollcall.kafka.partitioner import partitioner
from tests.processes import RostersProcess, wait_until
from tests.rosters import reference
from tests.rosters.cluster import (
    PARTITIONS,
    SHARD,
    RosterCluster,
    Rosters,
    TypedRecord,
    differences,
    simulated,
    typed,
)
from tests.rosters.scenarios import course, global_id

pytestmark = pytest.mark.slow

PROGRAM = (sys.executable, str(Path(__file__).with_name("interrupted.py")))
COURSES = 40
EVENTS = 3_000


class Scenario(NamedTuple):
    """What is sent before one process is stopped, what while it is, and the rosters that follow."""

    before: list[TypedRecord]
    meanwhile: list[TypedRecord]
    truth: Rosters


def courses() -> Scenario:
    """Courses of one partition that get other names: one lane has all the work, so no other holds
    anything up when the process is stopped.
    """
    ids = [
        identity
        for number in range(1, 1_000)
        if partitioner(PARTITIONS)((identity := global_id(number)).encode()) == 0
    ][:COURSES]
    before = [course(1, kind="created", course_id=identity) for identity in ids]
    meanwhile = [course(2, course_id=identity, name="Dynamics") for identity in ids]
    truth = reference.rosters([*before, *meanwhile], SHARD)
    return Scenario(
        [typed(event.value) for event in before], [typed(event.value) for event in meanwhile], truth
    )


def institution() -> Scenario:
    """Everything, all lanes at work."""
    records, truth = simulated(EVENTS, seed=7)
    return Scenario(records[: EVENTS // 2], records[EVENTS // 2 :], truth)


def process(directory: Path, cluster: RosterCluster, *options: str) -> RostersProcess:
    """The roster application as tests/rosters/interrupted.py runs it."""
    return RostersProcess(
        directory,
        cluster.bootstrap,
        cluster.prefix,
        program=(*PROGRAM, *options),
        shard=SHARD,
        partitions=PARTITIONS,
        chunk_records=200,
    )


def share(process: RostersProcess) -> int:
    """How many partitions a process has."""
    return sum(name == "rollcall_consumer_lag_records" for name, _ in process.metrics())


class Sleep:
    """What two processes do, of which one is stopped and goes on when the other has done all its
    work.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        directory: Path,
        scenario: Scenario,
        moment: str,
        *without: str,
    ) -> None:
        self.cluster = RosterCluster(bootstrap, prefix)
        self._scenario = scenario
        self._directory = directory
        self._without = [word for name in without for word in ("--without", name)]
        self._moment = moment

    def play(self) -> None:
        """From the first event until nothing is left to do, all processes ended."""
        cluster = self.cluster
        cluster.send(self._scenario.before)
        mark = self._directory / "stopped"
        interruption = ("--moment", self._moment, "--mark", str(mark))
        everything = len(cluster.inputs) * PARTITIONS
        with process(self._directory, cluster, *interruption, *self._without) as sleeper:
            wait_until(mark.exists, what="the moment")
            with process(self._directory, cluster, *self._without) as other:
                wait_until(lambda: share(other) == everything, what="the take-over")
                cluster.send(self._scenario.meanwhile)
                before = cluster.wait_settled(other)
                sleeper.send_signal(signal.SIGCONT)
                wait_until(
                    lambda: (
                        0 < share(sleeper) < everything
                        and share(sleeper) + share(other) == everything
                    ),
                    what="the return",
                )
                sleeper.wait_ready()
                other.wait_ready()
                after = cluster.wait_settled(sleeper, other)
                self.written = cluster.grown(before, after)
                """Of partitions that grew while the sleeper woke up: the ends before and after,
                open and aborted transactions counted.
                """
                found = cluster.read()
                self.harm = [
                    *differences(self._scenario.truth, found.rosters),
                    *found.repetitions(),
                ]
                """What is wrong then: rows, and records that were published twice."""
                cluster.send([*self._scenario.meanwhile, *self._scenario.before])
                again = cluster.wait_settled(sleeper, other)
                self.repeated = {
                    place: (after[place], end)
                    for place, end in again.items()
                    if end != after[place] and place[0] not in cluster.typed
                }
                """The same, when all events come once more."""
                assert sleeper.end() == 0
                assert other.end() == 0


@pytest.mark.parametrize(
    ("make", "moment"), [(courses, "computed"), (courses, "written"), (institution, "written")]
)
def test_whoever_was_stopped_writes_nothing_more(
    bootstrap: str, prefix: str, tmp_path: Path, make: Callable[[], Scenario], moment: str
) -> None:
    """What it had computed, or what it had written and not committed, is as if it had never been;
    and the tables with which it returns are the right ones.
    """
    scenario = make()
    sleep = Sleep(bootstrap, prefix, tmp_path, scenario, moment)
    sleep.play()
    assert sleep.written == {}
    assert sleep.harm == []
    assert sleep.repeated == {}
    sleep.cluster.assert_exactly(scenario.truth)


def plays(
    bootstrap: str, prefix: str, directory: Path, moment: str, *without: str
) -> Iterator[Sleep]:
    """Up to three times the same, until harm is done.

    Whoever reads the partition after that, from an offset that was set back, may put the rosters
    right again, or be stopped before there is anything to repeat; not every time.
    """
    for number in range(3):
        place = directory / str(number)
        place.mkdir()
        sleep = Sleep(bootstrap, f"{prefix}{number}", place, courses(), moment, *without)
        sleep.play()
        yield sleep
        if sleep.harm:
            break


def test_without_the_fence_it_writes_what_it_had_computed(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    harm = []
    for sleep in plays(bootstrap, prefix, tmp_path, "computed", "fence"):
        assert sleep.written != {}
        harm += sleep.harm
    assert harm


def test_without_transactions_what_it_had_written_is_published_twice(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    assert [
        harm
        for sleep in plays(bootstrap, prefix, tmp_path, "committed", "fence", "transactions")
        for harm in sleep.harm
    ]
