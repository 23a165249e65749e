"""A broker that was deposed and does not know it answers its clients. What a lane begins with comes
from it never, nor what serve goes on from.

The deposed broker is parted from the others and not from its clients, so it answers for as long as
the test wants, not for the moment in which a broker wakes. Each test first shows that it is
believed without the barrier.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from rollcall.kafka.bounded import promptly
from rollcall.kafka.leaders import UnprovenError, proven_ends
from rollcall.streaming.barrier import RECORD_KEY, Barrier, write_barrier
from rollcall.streaming.failures import reopening_after, root_cause, terminate
from rollcall.streaming.offsets import Committed, Offsets
from rollcall.streaming.stages.changelog import load_changelog
from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import Sent, committed, create_topic, send
from tests.waiting import in_time, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.alone]

Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def mended(cluster: BrokerCluster) -> Iterator[None]:
    """Whatever becomes of a test, the next one finds the brokers together."""
    yield
    cluster.mend()


async def in_a_lane(
    cluster: BrokerCluster,
    transactional_id: str,
    do: Callable[[AIOKafkaProducer], Awaitable[Result]],
) -> Result:
    """What a lane's producer does; whoever had this id is fenced. Like a lane, begin anew when the
    coordinator does not answer: it may be the deposed one.
    """

    async def go_through() -> Result:
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=cluster.bootstrap, transactional_id=transactional_id, acks="all"
            )
            try:
                await producer.start()
                return await do(producer)
            except KafkaError as error:
                if reopening_after(root_cause(producer, error)) is None:
                    raise
            finally:
                try:
                    await promptly(producer.stop(), 1)
                except (KafkaError, TimeoutError):
                    await terminate(producer)

    return await in_time(go_through(), what=f"a transaction of {transactional_id}")


async def commit(cluster: BrokerCluster, group: str, place: TP, offset: int) -> None:
    """Commit an offset, as a lane does."""

    async def in_transaction(producer: AIOKafkaProducer) -> None:
        async with producer.transaction():
            await producer.send_offsets_to_transaction(
                {TopicPartition(*place): OffsetAndMetadata(offset, "")}, group
            )

    await in_a_lane(cluster, f"{group}-{place.partition}", in_transaction)


def believing(monkeypatch: pytest.MonkeyPatch, broker: int) -> Callable[[], None]:
    """Have clients ask one broker whenever they may ask any; what is returned ends that."""
    upstream = ClusterMetadata.brokers
    monkeypatch.setattr(
        ClusterMetadata,
        "brokers",
        lambda known: {each for each in upstream(known) if each.nodeId == broker + 1},
    )
    return lambda: monkeypatch.setattr(ClusterMetadata, "brokers", upstream)


async def test_offsets_of_a_deposed_coordinator_are_not_believed(
    cluster: BrokerCluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, place, topic = f"{prefix}-router", TP(f"{prefix}.raw", 0), f"{prefix}-router-barrier"
    for name in (place.topic, topic):
        create_topic(cluster.bootstrap, name, 1)
    await commit(cluster, group, place, 100)
    wait_until(
        lambda: committed(cluster.bootstrap, group, place.topic) == {0: 100},
        what="the transaction's marker",
    )
    deposed = cluster.coordinator_of(group)
    cluster.part(deposed)
    assert cluster.coordinator_of(group) != deposed
    await commit(cluster, group, place, 900)
    barrier = await in_a_lane(
        cluster, f"{group}-0", lambda producer: write_barrier(producer, group, TP(topic, 0), None)
    )
    again = believing(monkeypatch, deposed)
    async with Offsets(group, {"bootstrap_servers": cluster.brokers[deposed].bootstrap}) as offsets:
        assert await offsets.committed([place]) == {place: Committed(100, "")}, (
            "it is not believed: the test shows nothing"
        )
        with pytest.raises(UnprovenError):
            await offsets.proven([place], barrier)
    again()
    cluster.mend()
    async with Offsets(group, {"bootstrap_servers": cluster.bootstrap}) as offsets:
        assert await offsets.proven([place], barrier) == {place: Committed(900, "")}
        with pytest.raises(UnprovenError):
            await offsets.proven([place], Barrier(barrier.tp, "another", 0))


async def test_a_changelog_is_read_beyond_what_a_deposed_leader_has(
    cluster: BrokerCluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, changelog, topic = (
        f"{prefix}-rosters",
        TP(f"{prefix}-changelog", 0),
        f"{prefix}-rosters-barrier",
    )
    create_topic(cluster.bootstrap, changelog.topic, 1, {"cleanup.policy": "compact"})
    create_topic(cluster.bootstrap, topic, 1)
    send(
        cluster.bootstrap,
        changelog.topic,
        [Sent(b"[{},0]", b"%d" % number, 0) for number in range(10)],
    )
    deposed = cluster.leader_of(changelog.topic, 0)
    cluster.part(deposed)
    elected = cluster.leader_of(changelog.topic, 0)
    assert elected != deposed
    send(
        cluster.brokers[elected].bootstrap,
        changelog.topic,
        [Sent(b"[{},0]", b"%d" % number, 0) for number in range(10, 20)],
    )
    barrier = await in_a_lane(
        cluster,
        f"{group}-0",
        lambda producer: write_barrier(producer, group, TP(topic, 0), changelog),
    )
    again = believing(monkeypatch, deposed)
    options = {"bootstrap_servers": cluster.brokers[deposed].bootstrap}
    async with Offsets(group, options) as offsets:
        assert (await offsets.bounds([changelog]))[changelog].end == 10, (
            "it is not believed: the test shows nothing"
        )
    loaded: dict[bytes | None, bytes | None] = {}

    def on_remaining(remaining: int) -> None:
        # all that the deposed leader has was read from it
        if remaining == barrier.changelog_end - 10:
            again()

    await load_changelog(
        options, changelog, 0, barrier.changelog_end, loaded.__setitem__, on_remaining
    )
    assert loaded == {**{b"%d" % number: b"[{},0]" for number in range(20)}, RECORD_KEY: None}


async def test_an_end_before_a_place_that_was_reached_is_asked_of_the_elected_leader(
    cluster: BrokerCluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = TopicPartition(f"{prefix}.raw", 0)
    create_topic(cluster.bootstrap, place.topic, 1)
    send(cluster.bootstrap, place.topic, [Sent(b"before", partition=0)] * 10)
    deposed = cluster.leader_of(place.topic, 0)
    cluster.part(deposed)
    elected = cluster.leader_of(place.topic, 0)
    assert elected != deposed
    send(cluster.brokers[elected].bootstrap, place.topic, [Sent(b"after", partition=0)] * 10)
    again = believing(monkeypatch, deposed)
    async with Offsets(
        prefix, {"bootstrap_servers": cluster.brokers[deposed].bootstrap}
    ) as offsets:
        assert (await offsets.bounds([TP(*place)]))[TP(*place)].end == 10, (
            "it is not believed: the test shows nothing"
        )
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.brokers[deposed].bootstrap)
    await admin.start()
    again()
    try:
        assert await proven_ends(admin, [place]) == {place: 20}
        others = [number for number in range(3) if number != deposed]
        for number in others:
            cluster.suspend(number)
        with pytest.raises(UnprovenError, match="brokers say who leads which partition"):
            await proven_ends(admin, [place])
    finally:
        await admin.close()
