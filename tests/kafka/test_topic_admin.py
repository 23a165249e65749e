"""The creation of topics: in several requests, since Kafka limits the size of each."""

from __future__ import annotations

import asyncio
import gc
import warnings
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st

from rollcall.catalogue.plans import plan_topics
from rollcall.kafka import topic_admin
from rollcall.kafka.topic_admin import (
    PARTITIONS_OF_A_REQUEST,
    TopicAdmin,
    ensure_topics,
    in_requests,
)
from rollcall.kafka.topics import TopicPlan, TopicState
from rollcall.process.event_types import event_types
from rollcall.settings import load_settings
from tests.kafka_client import topics_of
from tests.waiting import in_time

MOST_RECORDS = 10_000
"""Kafka's limit for one request: a record for each partition, topic and configuration."""


def plan_of(number: int, partitions: int, prefix: str = "t") -> TopicPlan:
    """A topic."""
    return TopicPlan(f"{prefix}.{number}", partitions, {"cleanup.policy": "delete"})


def sizes(groups: list[list[TopicPlan]]) -> list[list[int]]:
    """The numbers of partitions, by group."""
    return [[plan.partitions for plan in group] for group in groups]


@pytest.mark.parametrize(
    ("partitions", "groups"),
    [
        ([], []),
        ([4], [[4]]),
        ([5], [[5]]),
        ([2, 2], [[2, 2]]),
        ([2, 2, 1], [[2, 2], [1]]),
        ([5, 1], [[5], [1]]),
        ([1, 5, 5, 1, 3], [[1], [5], [5], [1, 3]]),
    ],
)
def test_topics_are_grouped_by_their_partitions(
    partitions: list[int], groups: list[list[int]]
) -> None:
    plans = [plan_of(number, count) for number, count in enumerate(partitions)]
    assert sizes(in_requests(plans, 4)) == groups


@given(st.lists(st.integers(1, 12)), st.integers(1, 10))
def test_groups_are_as_large_as_they_may_be(partitions: list[int], most: int) -> None:
    plans = [plan_of(number, count) for number, count in enumerate(partitions)]
    groups = in_requests(plans, most)
    assert [plan for group in groups for plan in group] == plans
    found = sizes(groups)
    assert all(sum(group) <= most or len(group) == 1 for group in found)
    assert all(sum(group) + following[0] > most for group, following in pairwise(found))


@pytest.mark.parametrize("partitions", [1, 12, 110, 900])
def test_all_topics_fit_into_requests(partitions: int) -> None:
    settings = load_settings(partitions=partitions)
    plans = plan_topics(settings)
    assert len(plans) > len(event_types(settings).selected)
    groups = in_requests(plans, PARTITIONS_OF_A_REQUEST)
    assert all(
        sum(1 + plan.partitions + len(plan.config) for plan in group) <= MOST_RECORDS
        for group in groups
    )
    most_configurations = max(len(plan.config) for plan in plans)
    assert PARTITIONS_OF_A_REQUEST * (2 + most_configurations) <= MOST_RECORDS, (
        "topics with one partition"
    )


def test_topics_are_created_in_several_requests(
    bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[list[int]] = []
    create_topics = AIOKafkaAdminClient.create_topics

    async def noted(admin: AIOKafkaAdminClient, new_topics: list[NewTopic], **options: Any) -> Any:
        requests.append([topic.num_partitions for topic in new_topics])
        return await create_topics(admin, new_topics, **options)

    monkeypatch.setattr(AIOKafkaAdminClient, "create_topics", noted)
    monkeypatch.setattr(topic_admin, "PARTITIONS_OF_A_REQUEST", 4)
    plans = [plan_of(number, count, prefix) for number, count in enumerate((2, 2, 1, 5, 1))]
    settings = load_settings(kafka=bootstrap)
    findings = asyncio.run(ensure_topics(settings, bootstrap, plans))
    assert {finding.state for finding in findings} == {TopicState.FINE}
    assert {plan.name for plan in plans} <= set(topics_of(bootstrap))
    assert requests == [[2, 2], [1], [5], [1]]


async def test_a_caller_that_is_cancelled_as_it_asks_leaves_no_coroutine(
    bootstrap: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks that ask the brokers are cancelled before they start."""
    async with TopicAdmin(load_settings(kafka=bootstrap), bootstrap) as admin:

        async def known() -> None:
            """The brokers, already."""

        monkeypatch.setattr(admin._admin._client, "bootstrap", known)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asking = asyncio.ensure_future(admin._request_all([prefix]))
            await asyncio.sleep(0)
            asking.cancel()
            await in_time(asyncio.wait({asking}), what="its end")
            assert asking.cancelled()
            del asking  # its error holds what was called
            await asyncio.sleep(0)
            gc.collect()
    assert not [str(warning.message) for warning in caught if "awaited" in str(warning.message)]
