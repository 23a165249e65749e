"""``python -m tests.cluster.barrier_cost``: measures the cost of the read barrier when a process
gets its partitions, on three brokers.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import NamedTuple

import uvloop
from aiokafka import AIOKafkaProducer
from faust.types import TP
from rich.console import Console
from rich.table import Table

from rollcall.settings import load_settings
from rollcall.streaming.barrier import write_barrier
from rollcall.streaming.offsets import Offsets
from tests.cluster.brokers import BrokerCluster
from tests.kafka_client import create_topic

GROUP, INPUT, CHANGELOG, BARRIER = (
    "cost-rosters",
    "cost.input",
    "cost-changelog",
    "cost-rosters-barrier",
)


class Cost(NamedTuple):
    """Time of one step of all lanes together, seconds."""

    wall: float
    cpu: float
    """CPU time of this process."""


async def measure(work: Iterable[Awaitable[object]]) -> Cost:
    """Run a step for all lanes concurrently, like a process that gets its partitions."""
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*work)
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


async def open_lanes(bootstrap: str, lanes: int) -> dict[str, Cost]:
    """Open lanes like a process that gets its partitions. Returns the cost of each step."""
    options = {"bootstrap_servers": bootstrap}
    producers = [
        AIOKafkaProducer(**options, transactional_id=f"{GROUP}-{lane}", acks="all", linger_ms=0)
        for lane in range(lanes)
    ]

    async def begin(lane: int, *, changelog: bool) -> None:
        barrier = await write_barrier(
            producers[lane], GROUP, TP(BARRIER, lane), TP(CHANGELOG, lane) if changelog else None
        )
        await offsets.proven([TP(INPUT, lane)], barrier)

    async with Offsets(GROUP, options) as offsets:
        try:
            return {
                "open the producers": await measure(producer.start() for producer in producers),
                "barrier and proven offsets": await measure(
                    begin(lane, changelog=False) for lane in range(lanes)
                ),
                "the same with a record in each changelog": await measure(
                    begin(lane, changelog=True) for lane in range(lanes)
                ),
                "ask for the offsets, without a barrier": await measure(
                    offsets.committed([TP(INPUT, lane)]) for lane in range(lanes)
                ),
            }
        finally:
            await asyncio.gather(*(producer.stop() for producer in producers))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.barrier_cost", description=__doc__
    )
    parser.add_argument(
        "--lanes",
        type=int,
        default=20,
        help="lanes of the process: the rosters have five for each partition (default: 20)",
    )
    parser.add_argument("--rounds", type=int, default=7, help="number of measurements (default: 7)")
    options = parser.parse_args()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-cost-") as folder,
        BrokerCluster(Path(folder), load_settings().data.absolute() / "kafka-libs") as cluster,
    ):
        for topic in (INPUT, CHANGELOG, BARRIER):
            create_topic(cluster.bootstrap, topic, options.lanes)
        # in the first round, the cluster creates its own topics
        asyncio.run(open_lanes(cluster.bootstrap, options.lanes))
        rounds = [
            asyncio.run(open_lanes(cluster.bootstrap, options.lanes)) for _ in range(options.rounds)
        ]
    table = Table(
        "step",
        "seconds: median",
        "longest",
        "CPU seconds: median",
        title=f"{options.lanes} lanes at once, {options.rounds} times",
    )
    for step in rounds[0]:
        walls = [each[step].wall for each in rounds]
        table.add_row(
            step,
            f"{statistics.median(walls):.3f}",
            f"{max(walls):.3f}",
            f"{statistics.median(each[step].cpu for each in rounds):.3f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
