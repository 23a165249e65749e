"""A cluster that returns with other addresses, but with the same bootstrap address: clients must
find the brokers' new addresses.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rollcall.sandbox.broker import EmbeddedBroker
from rollcall.sandbox.broker.node import free_port
from tests.chaos.proxy import Proxy
from tests.kafka_client import create_topic, send
from tests.processes import RollcallProcess, RostersProcess, RouterProcess, wait_until
from tests.router.test_delivery import (
    PARTITIONS,
    assert_exactly_once,
    numbered_events,
    wait_drained,
)

COUNT = 400
DEADLINE = 120.0
WATCHDOG_SECONDS = 80
"""Brokers may be silent for half of this time, and the test waits for that. The watchdog must not
end the process, even on a slow machine.
"""


@pytest.mark.slow
def test_a_cluster_returns_with_other_addresses(jars: Path, prefix: str, tmp_path: Path) -> None:
    records = list(numbered_events(COUNT))
    with (
        EmbeddedBroker(tmp_path / "kafka", jars=jars, heap="384m") as broker,
        Proxy(int(broker.bootstrap.rpartition(":")[2])) as proxy,
    ):
        bootstrap, before = f"127.0.0.1:{proxy.port}", broker.bootstrap
        create_topic(broker.bootstrap, f"{prefix}.raw", PARTITIONS)
        send(broker.bootstrap, f"{prefix}.raw", records[: COUNT // 2])
        with (
            RouterProcess(tmp_path, bootstrap, prefix, watchdog_seconds=WATCHDOG_SECONDS) as router,
            RostersProcess(
                tmp_path, bootstrap, prefix, watchdog_seconds=WATCHDOG_SECONDS
            ) as rosters,
        ):
            router.wait_ready(DEADLINE)
            rosters.wait_ready(DEADLINE)
            broker.stop()
            with EmbeddedBroker(
                tmp_path / "kafka", port=free_port("127.0.0.1"), jars=jars, heap="384m"
            ) as moved:
                assert moved.bootstrap != before
                proxy.redirect(int(moved.bootstrap.rpartition(":")[2]))
                send(moved.bootstrap, f"{prefix}.raw", records[COUNT // 2 :])
                wait_drained(moved.bootstrap, prefix, records)
                wait_until(lambda: rosters.idle and router.idle, DEADLINE, what="idle processes")
                assert (router.end(), rosters.end()) == (0, 0)
                assert_exactly_once(moved.bootstrap, prefix, records)


def test_a_process_without_an_assignment_for_too_long_is_stuck(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """The cluster responds, but the group does not. Without partitions, there is no lag."""
    program = [sys.executable, str(Path(__file__).with_name("waiting.py"))]
    with RollcallProcess(
        "router", tmp_path, bootstrap, prefix, program=program, watchdog_seconds=5
    ).expecting("stuck: ") as router:
        wait_until(
            lambda: (
                "the consumer group has not given this process its partitions yet"
                in router.get("/readyz")[1]
            ),
            what="the wait for the group",
        )
        assert router.process.wait(DEADLINE) == 70
        assert any(
            f"the consumer group {prefix}-router has given this process no partitions"
            in str(line["message"])
            for line in router.log
        )
