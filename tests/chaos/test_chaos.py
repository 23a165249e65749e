"""A short cut of ``make chaos``: the whole system through some of the faults."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.run import run

SECONDS = 120 if os.environ.get("CI") else 30
"""Who waits for the tests has `make chaos` for more."""

RATE = 200


def test_nothing_is_lost_and_the_rosters_are_true(tmp_path: Path, jars: Path, prefix: str) -> None:
    report = run(tmp_path, prefix, jars, seconds=SECONDS, seed=7, rate=RATE)
    assert report.wrong == []
    assert report.records == report.routed > SECONDS * RATE // 2
    assert all(report.rows.values())
    assert report.done.total() >= 3
