"""A deposed broker that has not noticed it still responds to clients. Neither lanes nor serve may
start from its responses.

The deposed broker is isolated from the other brokers, but not from its clients. So it responds for
as long as a test needs, not only for a moment. Each test first shows that the deposed broker's
responses are used without the barrier.
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
def repaired(cluster: BrokerCluster) -> Iterator[None]:
    """Repair the cluster after each test, even a failed one."""
    yield
    cluster.repair()


async def as_lane(
    cluster: BrokerCluster,
    transactional_id: str,
    do: Callable[[AIOKafkaProducer], Awaitable[Result]],
) -> Result:
    """Run a function with a lane's producer, which fences earlier producers with its id. Like a
    lane, start again if the coordinator does not respond: it may be the deposed one.
    """

    async def run() -> Result:
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

    return await in_time(run(), what=f"a transaction of {transactional_id}")


async def commit(cluster: BrokerCluster, group: str, tp: TP, offset: int) -> None:
    """Commit an offset like a lane."""

    async def in_transaction(producer: AIOKafkaProducer) -> None:
        async with producer.transaction():
            await producer.send_offsets_to_transaction(
                {TopicPartition(*tp): OffsetAndMetadata(offset, "")}, group
            )

    await as_lane(cluster, f"{group}-{tp.partition}", in_transaction)


def prefer_broker(monkeypatch: pytest.MonkeyPatch, broker: int) -> Callable[[], None]:
    """Make clients prefer one broker for requests that any broker may answer. Returns a function
    that undoes this.
    """
    upstream = ClusterMetadata.brokers
    monkeypatch.setattr(
        ClusterMetadata,
        "brokers",
        lambda known: {each for each in upstream(known) if each.nodeId == broker + 1},
    )
    return lambda: monkeypatch.setattr(ClusterMetadata, "brokers", upstream)


async def test_offsets_of_a_deposed_coordinator_are_not_used(
    cluster: BrokerCluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, tp, topic = f"{prefix}-router", TP(f"{prefix}.raw", 0), f"{prefix}-router-barrier"
    for name in (tp.topic, topic):
        create_topic(cluster.bootstrap, name, 1)
    await commit(cluster, group, tp, 100)
    wait_until(
        lambda: committed(cluster.bootstrap, group, tp.topic) == {0: 100},
        what="the transaction's marker",
    )
    deposed = cluster.coordinator_of(group)
    cluster.isolate(deposed)
    assert cluster.coordinator_of(group) != deposed
    await commit(cluster, group, tp, 900)
    barrier = await as_lane(
        cluster, f"{group}-0", lambda producer: write_barrier(producer, group, TP(topic, 0), None)
    )
    undo = prefer_broker(monkeypatch, deposed)
    async with Offsets(group, {"bootstrap_servers": cluster.brokers[deposed].bootstrap}) as offsets:
        assert await offsets.committed([tp]) == {tp: Committed(100, "")}, (
            "the deposed broker is not used: the test proves nothing"
        )
        with pytest.raises(UnprovenError):
            await offsets.proven([tp], barrier)
    undo()
    cluster.repair()
    async with Offsets(group, {"bootstrap_servers": cluster.bootstrap}) as offsets:
        assert await offsets.proven([tp], barrier) == {tp: Committed(900, "")}
        with pytest.raises(UnprovenError):
            await offsets.proven([tp], Barrier(barrier.tp, "another", 0))


async def test_a_changelog_is_read_beyond_the_end_of_a_deposed_leader(
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
    cluster.isolate(deposed)
    elected = cluster.leader_of(changelog.topic, 0)
    assert elected != deposed
    send(
        cluster.brokers[elected].bootstrap,
        changelog.topic,
        [Sent(b"[{},0]", b"%d" % number, 0) for number in range(10, 20)],
    )
    barrier = await as_lane(
        cluster,
        f"{group}-0",
        lambda producer: write_barrier(producer, group, TP(topic, 0), changelog),
    )
    undo = prefer_broker(monkeypatch, deposed)
    options = {"bootstrap_servers": cluster.brokers[deposed].bootstrap}
    async with Offsets(group, options) as offsets:
        assert (await offsets.bounds([changelog]))[changelog].end == 10, (
            "the deposed broker is not used: the test proves nothing"
        )
    loaded: dict[bytes | None, bytes | None] = {}

    def on_remaining(remaining: int) -> None:
        # all records of the deposed leader are read
        if remaining == barrier.changelog_end - 10:
            undo()

    await load_changelog(
        options, changelog, 0, barrier.changelog_end, loaded.__setitem__, on_remaining
    )
    assert loaded == {**{b"%d" % number: b"[{},0]" for number in range(20)}, RECORD_KEY: None}


async def test_proven_ends_come_from_the_elected_leader(
    cluster: BrokerCluster, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tp = TopicPartition(f"{prefix}.raw", 0)
    create_topic(cluster.bootstrap, tp.topic, 1)
    send(cluster.bootstrap, tp.topic, [Sent(b"before", partition=0)] * 10)
    deposed = cluster.leader_of(tp.topic, 0)
    cluster.isolate(deposed)
    elected = cluster.leader_of(tp.topic, 0)
    assert elected != deposed
    send(cluster.brokers[elected].bootstrap, tp.topic, [Sent(b"after", partition=0)] * 10)
    undo = prefer_broker(monkeypatch, deposed)
    async with Offsets(
        prefix, {"bootstrap_servers": cluster.brokers[deposed].bootstrap}
    ) as offsets:
        assert (await offsets.bounds([TP(*tp)]))[TP(*tp)].end == 10, (
            "the deposed broker is not used: the test proves nothing"
        )
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.brokers[deposed].bootstrap)
    await admin.start()
    undo()
    try:
        assert await proven_ends(admin, [tp]) == {tp: 20}
        others = [number for number in range(3) if number != deposed]
        for number in others:
            cluster.suspend(number)
        with pytest.raises(UnprovenError, match="brokers say who leads which partition"):
            await proven_ends(admin, [tp])
    finally:
        await admin.close()
