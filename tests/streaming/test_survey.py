"""Reported state of the group and the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from rollcall.errors import BrokerUnavailableError
from rollcall.streaming import survey as module
from rollcall.streaming.faust.transport import ChunkConsumer
from rollcall.streaming.lanes import Lanes
from rollcall.streaming.offsets import Bounds, Offsets
from rollcall.streaming.survey import Membership, PartitionStatus, Survey, TopicsGoneError
from rollcall.streaming.watchdog import Watchdog

INPUT = TP("in", 0)


class Cluster:
    """Implements the part of :class:`rollcall.streaming.offsets.Offsets` that the survey needs."""

    has_leader = True
    answers = True
    member = True
    missing = frozenset[str]()

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, Bounds]:
        """Needs the partitions' leaders."""
        if not (self.answers and self.has_leader):
            raise KafkaConnectionError
        return dict.fromkeys(partitions, Bounds(0, 10, 10))

    async def missing_topics(self, topics: Collection[str]) -> set[str]:
        """The topics that do not exist."""
        await self.ping()
        return set(topics) & self.missing

    async def ping(self) -> None:
        """Needs any broker."""
        if not self.answers:
            raise KafkaConnectionError

    async def check_membership(self) -> bool:
        """Whether the consumer has a coordinator."""
        return self.member


class Group:
    """The part of :class:`rollcall.streaming.lanes.Lanes` that the survey needs."""

    assigned = assigned_once = False

    def __iter__(self) -> Any:
        """One lane, after the assignment."""
        return iter([SimpleNamespace(inputs=[INPUT])] if self.assigned else [])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def survey(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, group: Group) -> Survey:
    monkeypatch.setattr(module, "SURVEY_SECONDS", 0.01)
    monkeypatch.setattr(Survey, "statuses", list[PartitionStatus]())
    return Survey(
        group="group",
        servers="kafka:9092",
        lanes=cast(Lanes, group),
        offsets=cast(Offsets, cluster),
        inputs=("raw",),
        outputs=("typed",),
        watchdog=Watchdog(0),
        rebalance_timeout=1e6,
        on_survey=lambda statuses: None,
    )


def consumer(cluster: Cluster) -> Callable[[], ChunkConsumer]:
    return lambda: cast(
        ChunkConsumer, SimpleNamespace(has_started=True, check_membership=cluster.check_membership)
    )


async def test_membership(survey: Survey, cluster: Cluster, group: Group) -> None:
    running = asyncio.create_task(survey.run(consumer(cluster)))
    seen = [survey.membership]
    cluster.member = False
    for _ in range(10):
        await asyncio.sleep(0.01)
    group.assigned = group.assigned_once = True
    seen.append(survey.membership)  # the survey has not looked again yet
    await until(lambda: survey.membership is Membership.COORDINATOR_AWAY)
    cluster.member = True
    await until(lambda: survey.membership is Membership.JOINED)
    group.assigned = False
    seen.append(survey.membership)
    assert seen == [Membership.NEW, Membership.JOINED, Membership.REBALANCING]
    running.cancel()
    await asyncio.wait({running})


async def test_a_partition_without_a_leader_is_no_silent_cluster(
    monkeypatch: pytest.MonkeyPatch, survey: Survey, cluster: Cluster, group: Group
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.2)
    cluster.has_leader = False
    group.assigned = group.assigned_once = True
    running = asyncio.create_task(survey.run(consumer(cluster)))
    await until(lambda: survey.unmeasured_since is not None)
    first = survey.answered_at or 0.0
    await until(lambda: (survey.answered_at or 0.0) > first + 0.5)
    assert not running.done()
    cluster.has_leader = True
    await until(lambda: survey.unmeasured_since is None)
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("assigned", [False, True])
async def test_a_survey_without_responses_ends(
    monkeypatch: pytest.MonkeyPatch, survey: Survey, cluster: Cluster, group: Group, assigned: bool
) -> None:
    """With and without assigned partitions."""
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.05)
    group.assigned = assigned
    cluster.answers = False
    with pytest.raises(BrokerUnavailableError, match="kafka:9092"):
        await asyncio.wait_for(survey.run(consumer(cluster)), 60)
    left = [task for task in asyncio.all_tasks() if "Survey." in repr(task)]
    if left:
        await asyncio.wait(left, timeout=60)
    assert all(task.done() for task in left), "no task of the survey may continue"


async def test_deleted_topics(
    monkeypatch: pytest.MonkeyPatch, survey: Survey, cluster: Cluster, group: Group
) -> None:
    """Missing inputs are waited for. Missing outputs end the process: it creates them again."""
    monkeypatch.setattr(module, "STANDSTILL_SECONDS", 0.05)
    group.assigned = True
    cluster.missing = frozenset({"raw"})
    running = asyncio.create_task(survey.run(consumer(cluster)))
    await asyncio.sleep(0.2)
    assert survey.missing_inputs == [], "with progress, the survey does not look for missing topics"
    group.assigned = False
    await until(lambda: survey.missing_inputs == ["raw"])
    group.assigned, cluster.missing = True, frozenset()
    await until(lambda: survey.missing_inputs == [])
    cluster.missing = frozenset({"typed"})
    monkeypatch.setattr(Watchdog, "longest_standstill", 1.0)
    with pytest.raises(TopicsGoneError, match="gone: typed"):
        await asyncio.wait_for(running, 60)
