"""Alerts: promtool accepts and tests them; each has tests, a runbook, and existing metrics."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from deploy.grafana.dashboard import CATALOGUE
from rollcall.reconcile.metrics import RunMetrics, RunScope
from rollcall.rosters.application import DEFAULT_PORT as ROSTERS_PORT
from rollcall.router.application import DEFAULT_PORT as ROUTER_PORT
from rollcall.serve.process import DEFAULT_PORT as SERVE_PORT
from rollcall.settings import Settings
from tests.deploy.prometheus import (
    ALERTS,
    ALERTS_TESTS,
    CONFIGURATION,
    alert_rules,
    needs_prometheus,
    promtool,
)
from tests.docs.markdown import ROOT, anchors

RUNBOOKS = ROOT / "docs" / "runbooks.md"
TEXT = RUNBOOKS.read_text(encoding="utf-8")
RULES = alert_rules()
RUNBOOK_PARTS = ("Meaning", "Effect for users", "Find the cause", "Fix")
SEVERITIES = {"critical", "warning", "info"}
PROMETHEUS_METRICS = {"up"}

each_rule = pytest.mark.parametrize("name", RULES)


@needs_prometheus
def test_promtool_accepts_configuration_and_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", CONFIGURATION)
    assert "SUCCESS" in promtool("check", "rules", ALERTS)


@needs_prometheus
def test_the_tests_of_the_alerts_pass() -> None:
    assert promtool("test", "rules", *ALERTS_TESTS).count("SUCCESS") == len(ALERTS_TESTS)


def test_each_alert_has_a_test_that_fires_and_one_that_does_not() -> None:
    tests: list[dict[str, Any]] = [
        block
        for path in ALERTS_TESTS
        for block in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    ]
    fires, silent = (
        {
            test["alertname"]
            for block in tests
            for test in block["alert_rule_test"]
            if bool(test["exp_alerts"]) is expected
        }
        for expected in (True, False)
    )
    assert fires == silent == RULES.keys()


@each_rule
def test_each_alert_has_a_severity_and_a_runbook(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"{RUNBOOKS.relative_to(ROOT)}#{name.lower()}"
    assert name.lower() in anchors(RUNBOOKS)


@each_rule
def test_each_runbook_is_complete(name: str) -> None:
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^###? |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\*\*([^*]+)\.\*\* \S", section, re.MULTILINE) == list(RUNBOOK_PARTS)
    assert f"\n{RULES[name]['labels']['severity'].capitalize()}." in section


def test_runbooks_are_those_of_the_alerts_in_their_order() -> None:
    assert re.findall(r"^### (\w+)$", TEXT, re.MULTILINE) == list(RULES)


def reconcile_metrics() -> set[str]:
    """Metrics in the file of runs of reconcile."""
    return {
        f"{family.name}{suffix}"
        for family in RunMetrics(None, RunScope.ACCOUNT).registry.collect()
        for suffix in (("_bucket", "_count") if family.type == "histogram" else ("",))
    }


def test_metrics_exist() -> None:
    queried = set(
        re.findall(
            r"(?<![\w:])(?:rollcall|process)_\w+", " ".join(rule["expr"] for rule in RULES.values())
        )
    )
    assert queried <= CATALOGUE.keys() | PROMETHEUS_METRICS | reconcile_metrics()
    assert len(queried) > 10


def test_scraped_addresses_are_the_defaults_of_processes() -> None:
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"]
        for job in yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))["scrape_configs"]
    }
    host = Settings.model_construct().bind
    assert jobs == {
        f"rollcall-{name}": [f"{host}:{port}"]
        for name, port in (
            ("router", ROUTER_PORT),
            ("rosters", ROSTERS_PORT),
            ("serve", SERVE_PORT),
        )
    }


def test_the_alert_for_a_stuck_process_fires_before_the_watchdog_ends_it() -> None:
    """It fires after two minutes without progress, and one more."""
    (seconds,) = map(
        int,
        re.findall(
            r"last_progress_timestamp_seconds > (\d+)", RULES["RollcallNotProgressing"]["expr"]
        ),
    )
    assert RULES["RollcallNotProgressing"]["for"] == "1m"
    assert seconds + 60 < Settings.model_construct().watchdog_seconds
