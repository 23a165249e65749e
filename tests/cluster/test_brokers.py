"""The cluster must do what tests of several brokers believe of it."""

from __future__ import annotations

import pytest

from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import Sent, create_topic, read_all, send
from tests.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.alone]


def test_it_goes_on_without_any_one(cluster: BrokerCluster, prefix: str) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 2)
    count = 0
    for end in (cluster.kill, cluster.stop, cluster.kill):
        number = cluster.leader_of(topic, 0)
        end(number)
        assert cluster.leader_of(topic, 0) != number
        send(cluster.bootstrap, topic, [Sent(b"%d" % (count + each)) for each in range(10)])
        count += 10
        cluster.mend()
    assert {
        message.value() for message in read_all(cluster.bootstrap, [topic], at_least=count)
    } == {b"%d" % each for each in range(count)}


def test_a_broker_that_hangs_is_replaced(cluster: BrokerCluster, prefix: str) -> None:
    number = cluster.controller()
    cluster.suspend(number)
    assert cluster.controller() != number
    cluster.mend()
    assert cluster.in_touch(number)


def test_a_parted_broker_answers_its_clients(cluster: BrokerCluster, prefix: str) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 1)
    number = cluster.leader_of(topic, 0)
    cluster.part(number)
    assert cluster.leader_of(topic, 0) != number
    # It believes what it knew, and says so.
    assert cluster.topics_by(number)[topic][0].leader == number + 1
    cluster.mend()
    wait_until(
        lambda: cluster.topics_by(number)[topic][0].leader != number + 1,
        what="the news of the other leader",
    )


def test_groups_and_transactions_have_another_coordinator_when_theirs_is_away(
    cluster: BrokerCluster, prefix: str
) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 1)
    for coordinator in (cluster.coordinator_of, cluster.transaction_coordinator_of):
        number = coordinator(prefix)
        cluster.stop(number)
        assert coordinator(prefix) != number
        send(cluster.bootstrap, topic, [Sent(b"one")], transactional_id=prefix)
        cluster.mend()


def test_what_is_moved(cluster: BrokerCluster, prefix: str) -> None:
    topic = f"{prefix}.raw"
    create_topic(cluster.bootstrap, topic, 1)
    number = (cluster.leader_of(topic, 0) + 1) % 3
    cluster.move_leader(topic, 0, number)
    assert cluster.leader_of(topic, 0) == number
    cluster.reassign(topic, 0, [number, (number + 1) % 3])
    cluster.reassign(topic, 0, [(number + 2) % 3, number, (number + 1) % 3])
    cluster.add_partitions(topic, 3)
    assert sorted(cluster.topics()[topic]) == [0, 1, 2]
