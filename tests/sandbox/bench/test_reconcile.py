"""The benchmark of reconcile counts only if the runs did their work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollcall.sandbox.bench.machine import BenchError
from rollcall.sandbox.bench.reconcile import ReconcileBenchResult, ReconcileRun, check_result

BACKFILL = ReconcileRun(
    outcome="complete",
    events=1_000,
    written=1_000,
    calls=120,
    seconds=4.0,
    cpu_seconds=0.5,
    peak_bytes=90_000_000,
)
SECOND = replace(BACKFILL, written=0)


def test_figures_are_those_of_compared_rows() -> None:
    assert (BACKFILL.per_second, BACKFILL.cpu_microseconds) == (250, 500)
    check_result(ReconcileBenchResult(BACKFILL, SECOND))


@pytest.mark.parametrize(
    ("backfill", "second", "message"),
    [
        (replace(BACKFILL, written=999), SECOND, "the backfill was complete and wrote 999"),
        (BACKFILL, replace(SECOND, written=1), "the second run was complete and wrote 1 "),
        (BACKFILL, replace(SECOND, outcome="partial"), "the second run was partial"),
    ],
)
def test_a_run_that_did_not_do_its_work_is_an_error(
    backfill: ReconcileRun, second: ReconcileRun, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        check_result(ReconcileBenchResult(backfill, second))
