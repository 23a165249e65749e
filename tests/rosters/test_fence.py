"""A suspended process that has lost its partitions writes nothing after it resumes.

tests/rosters/interrupted.py suspends the process at an exact moment of a transaction. Negative
controls remove fencing and transactions: then the process damages the rosters.
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
    """Events before and during the suspension of a process, and the expected rosters."""

    before: list[TypedRecord]
    during: list[TypedRecord]
    truth: Rosters


def courses() -> Scenario:
    """Renamed courses of one partition: one lane has all the work, so other lanes do not delay the
    suspended process.
    """
    ids = [
        identity
        for number in range(1, 1_000)
        if partitioner(PARTITIONS)((identity := global_id(number)).encode()) == 0
    ][:COURSES]
    before = [course(1, kind="created", course_id=identity) for identity in ids]
    during = [course(2, course_id=identity, name="Dynamics") for identity in ids]
    truth = reference.rosters([*before, *during], SHARD)
    return Scenario(
        [typed(event.value) for event in before], [typed(event.value) for event in during], truth
    )


def institution() -> Scenario:
    """Events of all types, for all lanes."""
    records, truth = simulated(EVENTS, seed=7)
    return Scenario(records[: EVENTS // 2], records[EVENTS // 2 :], truth)


def process(directory: Path, cluster: RosterCluster, *options: str) -> RostersProcess:
    """The roster application in tests/rosters/interrupted.py."""
    return RostersProcess(
        directory,
        cluster.bootstrap,
        cluster.prefix,
        program=(*PROGRAM, *options),
        shard=SHARD,
        partitions=PARTITIONS,
        chunk_records=200,
    )


def partitions(process: RostersProcess) -> int:
    """Number of a process's partitions."""
    return sum(name == "rollcall_consumer_lag_records" for name, _ in process.metrics())


class Suspension:
    """A run of two processes: one is suspended, and resumes after the other has finished."""

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

    def run(self) -> None:
        """Run until all events are processed and the processes have ended."""
        cluster = self.cluster
        cluster.send(self._scenario.before)
        mark = self._directory / "stopped"
        interruption = ("--moment", self._moment, "--mark", str(mark))
        all_partitions = len(cluster.inputs) * PARTITIONS
        with process(self._directory, cluster, *interruption, *self._without) as suspended:
            wait_until(mark.exists, what="the moment")
            with process(self._directory, cluster, *self._without) as other:
                wait_until(lambda: partitions(other) == all_partitions, what="the take-over")
                cluster.send(self._scenario.during)
                before = cluster.wait_settled(other)
                suspended.send_signal(signal.SIGCONT)
                wait_until(
                    lambda: (
                        0 < partitions(suspended) < all_partitions
                        and partitions(suspended) + partitions(other) == all_partitions
                    ),
                    what="the return",
                )
                suspended.wait_ready()
                other.wait_ready()
                after = cluster.wait_settled(suspended, other)
                self.written = cluster.grown(before, after)
                """Ends before and after of partitions that grew when the process resumed, including
                open and aborted transactions.
                """
                records = cluster.read()
                self.damage = [
                    *differences(self._scenario.truth, records.rosters),
                    *records.repetitions(),
                ]
                """Wrong rows, and records that were published twice."""
                cluster.send([*self._scenario.during, *self._scenario.before])
                again = cluster.wait_settled(suspended, other)
                self.repeated = {
                    place: (after[place], end)
                    for place, end in again.items()
                    if end != after[place] and place[0] not in cluster.typed
                }
                """Ends before and after of partitions that grew when all events were sent again."""
                assert suspended.end() == 0
                assert other.end() == 0


@pytest.mark.parametrize(
    ("make", "moment"), [(courses, "computed"), (courses, "written"), (institution, "written")]
)
def test_a_resumed_process_writes_nothing(
    bootstrap: str, prefix: str, tmp_path: Path, make: Callable[[], Scenario], moment: str
) -> None:
    """Its computed or uncommitted outputs have no effect, and its tables are correct afterwards."""
    scenario = make()
    suspension = Suspension(bootstrap, prefix, tmp_path, scenario, moment)
    suspension.run()
    assert suspension.written == {}
    assert suspension.damage == []
    assert suspension.repeated == {}
    suspension.cluster.assert_exactly(scenario.truth)


def runs(
    bootstrap: str, prefix: str, directory: Path, moment: str, *without: str
) -> Iterator[Suspension]:
    """Up to three runs, until one damages the rosters.

    Sometimes the next owner of the partition repairs the rosters, because it reads from an offset
    that was set back. Sometimes the process is suspended before there is anything to repeat.
    """
    for number in range(3):
        folder = directory / str(number)
        folder.mkdir()
        suspension = Suspension(bootstrap, f"{prefix}{number}", folder, courses(), moment, *without)
        suspension.run()
        yield suspension
        if suspension.damage:
            break


def test_without_fencing_it_writes_its_computed_outputs(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    damage = []
    for suspension in runs(bootstrap, prefix, tmp_path, "computed", "fence"):
        assert suspension.written != {}
        damage += suspension.damage
    assert damage


def test_without_transactions_its_written_outputs_are_published_twice(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    assert [
        damage
        for suspension in runs(bootstrap, prefix, tmp_path, "committed", "fence", "transactions")
        for damage in suspension.damage
    ]
