"""Topics on several brokers: brokers learn of a topic at different times, and one may be down."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

import pytest

from rollcall.catalogue.plans import plan_topics
from rollcall.cli.topics import _apply, _inspect
from rollcall.kafka.topic_admin import ensure_topics
from rollcall.kafka.topics import TopicState
from rollcall.rosters.topics import plan_roster_topics
from rollcall.router.topics import plan_router_topics
from rollcall.settings import Settings, load_settings
from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import Sent, read_all, send
from tests.processes import EVENTS, PROGRAM, RouterProcess
from tests.waiting import RUN_SECONDS, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.alone]

STARTS = 3


def installation(cluster: BrokerCluster, prefix: str) -> Settings:
    """Settings of an installation on the cluster."""
    return load_settings(
        kafka=cluster.bootstrap,
        topic_prefix=prefix,
        group_prefix=prefix,
        replication_factor=3,
        partitions=2,
        events=EVENTS,
    )


@pytest.mark.parametrize("number", range(STARTS))
def test_processes_that_start_together_find_their_topics(
    cluster: BrokerCluster, prefix: str, number: int
) -> None:
    settings = installation(cluster, prefix)
    plans = (
        plan_router_topics(settings),
        plan_roster_topics(settings),
        plan_roster_topics(settings),
    )

    async def start() -> None:
        await asyncio.gather(*(ensure_topics(settings, cluster.bootstrap, plan) for plan in plans))

    asyncio.run(start())
    names = {plan.name for plan in plan_topics(settings)}
    for broker in range(3):
        known = cluster.topics_of(broker)
        assert names <= known.keys(), "every broker knows them"
        assert all(partition.leader > 0 for name in names for partition in known[name].values())
    findings, created = asyncio.run(_apply(settings, cluster.bootstrap))
    assert not created
    assert {finding.state for finding in findings} == {TopicState.FINE}


def test_a_killed_broker_is_passed_over(cluster: BrokerCluster, prefix: str) -> None:
    settings = installation(cluster, prefix)
    asyncio.run(_apply(settings, cluster.bootstrap))
    cluster.kill(0)
    try:
        findings = asyncio.run(_inspect(settings, cluster.bootstrap))
        assert {finding.state for finding in findings} == {TopicState.FINE}
        other = installation(cluster, f"{prefix}other")
        _findings, created = asyncio.run(_apply(other, cluster.bootstrap))
        assert created
    finally:
        cluster.repair()


def test_a_command_reports_unreachable_brokers_in_one_line(prefix: str) -> None:
    environment = {"ROLLCALL_KAFKA": "127.0.0.1:1,127.0.0.1:2", "ROLLCALL_TOPIC_PREFIX": prefix}
    done = subprocess.run(
        [*PROGRAM, "topics", "check"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    [line] = done.stderr.splitlines()
    assert "ROLLCALL_KAFKA" in line


def test_the_only_configured_broker_may_go_down_later(
    cluster: BrokerCluster, prefix: str, tmp_path: Path
) -> None:
    raw, sent = (
        f"{prefix}.raw",
        [Sent(b'{"no": "event"}', str(number).encode()) for number in range(40)],
    )
    named = cluster.brokers[0].bootstrap
    with RouterProcess(tmp_path, named, prefix, replication_factor=3, partitions=2) as router:
        router.wait_ready()
        cluster.kill(0)
        try:
            # after another process had its partitions, it opens new clients for its lanes
            router.process.send_signal(signal.SIGSTOP)
            with RouterProcess(
                tmp_path, cluster.bootstrap, prefix, replication_factor=3, partitions=2
            ) as other:
                other.wait_ready()
                assert other.end() == 0
            router.process.send_signal(signal.SIGCONT)
            send(cluster.bootstrap, raw, sent)
            assert len(
                read_all(cluster.bootstrap, [f"{prefix}.dead-letter"], at_least=len(sent))
            ) == len(sent)
            wait_until(
                lambda: router.get("/readyz")[0] == 200,
                what="readiness without the configured broker",
            )
            assert router.end() == 0
        finally:
            cluster.repair()
