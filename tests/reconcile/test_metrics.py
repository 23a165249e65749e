"""The file with the metrics of runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from rollcall.reconcile.facts import Entity
from rollcall.reconcile.metrics import LAST_COMPLETE, RunMetrics, RunScope
from rollcall.reconcile.summary import Kind, Summary


def write(file: Path, scope: RunScope, *, is_complete: bool = True, rows: int = 3) -> None:
    """The end of a run."""
    summary, metrics = Summary(), RunMetrics(file, scope)
    summary.count(Entity.ENROLLMENT, Kind.READ, rows)
    if not is_complete:
        summary.set_aside["7"] = "it would shrink"
    metrics.lag.observe(20)
    metrics.write(summary, 12, 3.5)


def samples(file: Path) -> dict[str, dict[str, float]]:
    """By scope and name, without samples with other labels."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            if sample.labels.keys() == {"scope"}:
                found.setdefault(sample.labels["scope"], {})[sample.name] = sample.value
    return found


def test_a_run_replaces_the_metrics_of_its_scope(tmp_path: Path) -> None:
    """Those of other scopes stay, with the time of their last complete run."""
    file = tmp_path / "reconcile.prom"
    write(file, RunScope.ACCOUNT)
    write(file, RunScope.COURSES, rows=1)
    before = samples(file)
    for _ in range(2):
        write(file, RunScope.TRIGGERED, is_complete=False)
    found = samples(file)
    assert {scope: found[scope] for scope in before} == before
    assert found["triggered"]["rollcall_reconcile_courses_set_aside"] == 1
    assert LAST_COMPLETE not in found["triggered"]
    assert found["triggered"]["rollcall_reconcile_requests"] == 12
    assert found["triggered"]["rollcall_reconcile_lag_seconds_count"] == 1

    write(file, RunScope.ACCOUNT, is_complete=False)
    after = samples(file)["account"]
    assert after[LAST_COMPLETE] == before["account"][LAST_COMPLETE]
    assert after["rollcall_reconcile_courses_set_aside"] == 1


def test_the_file_has_each_family_once(tmp_path: Path) -> None:
    """node_exporter refuses a file with a family twice, or with another help."""
    file = tmp_path / "reconcile.prom"
    for scope in (*RunScope, *RunScope):
        write(file, scope)
    helps = Counter(line for line in file.read_text().splitlines() if line.startswith("# HELP"))
    names = Counter(line.split()[2] for line in helps)
    assert {*helps.values(), *names.values()} == {1}
    series = Counter(
        line.rpartition(" ")[0] for line in file.read_text().splitlines() if line[0] != "#"
    )
    assert {*series.values()} == {1}


def test_an_unusable_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "reconcile.prom"
    file.write_text("rollcall_reconcile_outcome{ 1 1 1\n")
    write(file, RunScope.ACCOUNT)
    assert samples(file).keys() == {"account"}
