"""Short cuts of ``make chaos``: the whole system through some of the faults, counted by faults, so
that a slow machine does as many.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.run import Extent, run

FAULTS = 14 if os.environ.get("CI") else 4
"""Who waits for the tests has `make chaos` for more."""

CLUSTER_FAULTS = 8

RATE = 200


def go_through(folder: Path, jars: Path, prefix: str, *, faults: int, brokers: int) -> None:
    """Hurt the system so many times; all must be as it should be."""
    report = run(folder, prefix, jars, Extent(faults=faults), seed=7, rate=RATE, brokers=brokers)
    assert report.wrong == []
    assert report.complaints == []
    assert report.records == report.routed > 0
    assert all(report.rows.values())
    assert report.done.total() == faults


@pytest.mark.slow
@pytest.mark.alone
def test_nothing_is_lost_and_the_rosters_are_true(tmp_path: Path, jars: Path, prefix: str) -> None:
    go_through(tmp_path, jars, prefix, faults=FAULTS, brokers=1)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.cluster
def test_nothing_is_lost_with_three_brokers(tmp_path: Path, jars: Path, prefix: str) -> None:
    go_through(tmp_path, jars, prefix, faults=CLUSTER_FAULTS, brokers=3)
