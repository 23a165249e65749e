"""Tests of the test cluster itself."""

from __future__ import annotations

import pytest

from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import Sent, create_topic, read_all, send
from tests.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.alone]


def test_it_works_without_any_one_broker(cluster: BrokerCluster, prefix: str) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 2)
    count = 0
    for take_away in (cluster.kill, cluster.stop, cluster.kill):
        number = cluster.leader_of(topic, 0)
        take_away(number)
        assert cluster.leader_of(topic, 0) != number
        send(cluster.bootstrap, topic, [Sent(b"%d" % (count + each)) for each in range(10)])
        count += 10
        cluster.repair()
    assert {
        message.value() for message in read_all(cluster.bootstrap, [topic], at_least=count)
    } == {b"%d" % each for each in range(count)}


def test_a_suspended_broker_is_replaced(cluster: BrokerCluster, prefix: str) -> None:
    number = cluster.controller()
    cluster.suspend(number)
    assert cluster.controller() != number
    cluster.repair()
    assert cluster.is_available(number)


def test_an_isolated_broker_responds_to_its_clients(cluster: BrokerCluster, prefix: str) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 1)
    number = cluster.leader_of(topic, 0)
    cluster.isolate(number)
    assert cluster.leader_of(topic, 0) != number
    # its metadata are out of date
    assert cluster.topics_of(number)[topic][0].leader == number + 1
    cluster.repair()
    wait_until(
        lambda: cluster.topics_of(number)[topic][0].leader != number + 1,
        what="metadata with the other leader",
    )


def test_groups_and_transactions_get_another_coordinator(
    cluster: BrokerCluster, prefix: str
) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 1)
    for coordinator in (cluster.coordinator_of, cluster.transaction_coordinator_of):
        number = coordinator(prefix)
        cluster.stop(number)
        assert coordinator(prefix) != number
        send(cluster.bootstrap, topic, [Sent(b"one")], transactional_id=prefix)
        cluster.repair()


def test_leaders_and_replicas_move_and_partitions_are_added(
    cluster: BrokerCluster, prefix: str
) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 1)
    number = (cluster.leader_of(topic, 0) + 1) % 3
    cluster.move_leader(topic, 0, number)
    assert cluster.leader_of(topic, 0) == number
    cluster.reassign(topic, 0, [number, (number + 1) % 3])
    cluster.reassign(topic, 0, [(number + 2) % 3, number, (number + 1) % 3])
    cluster.add_partitions(topic, 3)
    assert sorted(cluster.topics()[topic]) == [0, 1, 2]
