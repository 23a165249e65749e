"""Short runs of ``make chaos``: a fixed number of faults, on slow machines too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import queue
from tests.chaos.faults import FAULTS
from tests.chaos.run import Duration, run

COUNT = len(FAULTS) if os.environ.get("CI") else 4
"""Each fault once; few for developers: `make chaos` injects more."""

CLUSTER_FAULTS = 8

RATE = 200


def run_faults(
    folder: Path, jars: Path, prefix: str, *, faults: int, rate: int = RATE, **system: Any
) -> None:
    """Inject a number of faults, and check that all data are as expected."""
    report = run(folder, prefix, jars, Duration(faults=faults), seed=7, rate=rate, **system)
    assert report.errors == []
    assert report.complaints == []
    assert report.records == report.routed > 0
    assert all(report.rows.values())
    assert report.faults.total() == faults


@pytest.mark.slow
@pytest.mark.alone
def test_nothing_is_lost_and_rosters_are_as_expected(
    tmp_path: Path, jars: Path, prefix: str
) -> None:
    run_faults(tmp_path, jars, prefix, faults=COUNT)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.cluster
def test_nothing_is_lost_with_three_brokers_a_queue_and_reconcile(
    tmp_path: Path, jars: Path, prefix: str
) -> None:
    """Rosters are as in Canvas, though events are older than the queue, and some changes have
    none.
    """
    run_faults(
        tmp_path,
        jars,
        prefix,
        faults=CLUSTER_FAULTS,
        rate=queue.RATE,
        brokers=3,
        queued=True,
        reconciled=True,
    )
