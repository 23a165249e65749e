"""SIGTERM at any moment: the process ends with code 0, and its log has no traceback."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.kafka_client import create_topic, send
from tests.processes import RollcallProcess, RostersProcess, RouterProcess, wait_until
from tests.router.test_delivery import PARTITIONS, numbered_events

DEADLINE = 60.0
SECONDS = 4.0
"""Approximate duration of a rebalance, from the start of the second process."""


def assert_clean_end(process: RollcallProcess) -> None:
    assert process.end(deadline=DEADLINE) == 0, process.log_file.read_text()[-2_000:]
    text = process.log_file.read_text()
    assert "Traceback" not in text
    assert "Event loop is closed" not in text


@pytest.mark.parametrize("seed", range(6))
def test_during_a_rebalance(bootstrap: str, prefix: str, tmp_path: Path, seed: int) -> None:
    create_topic(bootstrap, f"{prefix}.raw", PARTITIONS)
    send(bootstrap, f"{prefix}.raw", numbered_events(2_000))
    with RouterProcess(tmp_path, bootstrap, prefix) as first:
        first.wait_ready(DEADLINE)
        with RouterProcess(tmp_path, bootstrap, prefix) as second:
            wait_until(
                lambda: any(line["message"] == "reading" for line in second.log),
                DEADLINE,
                what="the start of the second",
            )
            time.sleep(Random(seed).uniform(0, SECONDS))
            order = [first, second] if seed % 2 else [second, first]
            for process in order:
                assert_clean_end(process)


MOMENTS: dict[str, Callable[[RollcallProcess], bool]] = {
    "listening": lambda process: any("http" in line for line in process.log),
    "topics_checked": lambda process: "the topics are being checked" in process.get("/readyz")[1],
    "reading": lambda process: any(line["message"] == "reading" for line in process.log),
    "joining": lambda process: "the consumer group has not given" in process.get("/readyz")[1],
    "loading": lambda process: any(
        word in process.get("/readyz")[1] for word in ("is opening", "is loading its table")
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_during_the_start(bootstrap: str, prefix: str, tmp_path: Path, moment: str) -> None:
    """Short moments may be over when the test sees them. The process then ends at a later moment,
    also cleanly.
    """
    with RostersProcess(tmp_path, bootstrap, prefix) as rosters:
        wait_until(
            lambda: MOMENTS[moment](rosters) or rosters.get("/readyz")[0] == 200,
            DEADLINE,
            what=moment,
        )
        assert_clean_end(rosters)
