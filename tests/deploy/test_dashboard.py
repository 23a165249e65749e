"""The dashboard's file is up to date, shows all metrics, and has Grafana's format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from deploy.grafana.dashboard import CATALOGUE, FILE, LEFT_OUT, render

DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
ROWS = [
    "Overview",
    "Router",
    "Router and rosters: chunks",
    "Rosters",
    "serve",
    "Ingest",
    "Ingest: webhook",
    "Reconcile",
    "Processes",
]
UNITS = {
    "bool_yes_no",
    "bytes",
    "cps",
    "eps",
    "percentunit",
    "recps",
    "reqps",
    "rowsps",
    "s",
    "short",
}
"""Units of Grafana that the dashboard uses
(``packages/grafana-data/src/valueFormats/categories.ts``).
"""


def targets() -> Iterator[dict[str, Any]]:
    """All queries."""
    return (target for panel in SHOWN for target in panel["targets"])


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == render(), "run 'make dashboard'"


def test_every_metric_is_shown_or_left_out_with_a_reason() -> None:
    queried = {
        name
        for target in targets()
        for name in re.findall(r"\b(?:rollcall|process)_\w+", target["expr"])
    }
    displayed = {name.removesuffix("_bucket") for name in queried}
    assert displayed | LEFT_OUT.keys() == CATALOGUE.keys()
    assert not displayed & LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


def test_descriptions_are_those_of_the_catalogue() -> None:
    for panel in SHOWN:
        described = dict(re.findall(r"^`(\w+)`: (.+)$", panel["description"], re.MULTILINE))
        queried = {
            name.removesuffix("_bucket")
            for target in panel["targets"]
            for name in re.findall(r"\b(?:rollcall|process)_\w+", target["expr"])
        }
        assert described == {name: CATALOGUE[name].documentation for name in queried}
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS


def test_the_rows() -> None:
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == ROWS


def test_panels_are_unique_and_do_not_overlap() -> None:
    assert (
        len({panel["id"] for panel in PANELS})
        == len({panel["title"] for panel in PANELS})
        == len(PANELS)
    )
    areas = [
        (area["x"], area["y"], area["x"] + area["w"], area["y"] + area["h"])
        for area in (panel["gridPos"] for panel in PANELS)
    ]
    assert all(0 <= left < right <= 24 and 0 <= top < bottom for left, top, right, bottom in areas)
    for one, other in combinations(areas, 2):
        assert (
            one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
        ), (one, other)


def test_all_queries_use_the_chosen_data_source_and_processes() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert variables["datasource"]["type"] == "datasource"
    source = {"type": variables["datasource"]["query"], "uid": "${datasource}"}
    assert source["type"] == "prometheus"
    assert all(variables[name]["datasource"] == source for name in ("job", "instance"))
    for item in (*SHOWN, *targets()):
        assert item["datasource"] == source
    for target in targets():
        # metrics of runs have the job and instance of node_exporter
        selectors = re.findall(
            r"\b(?:rollcall|process)_(?!reconcile)\w+(\{[^}]*\})?", target["expr"]
        )
        assert all(
            selector.startswith('{job=~"$job", instance=~"$instance"') for selector in selectors
        ), target["expr"]
    assert "id" not in DASHBOARD, "Grafana sets the id"
    assert DASHBOARD["uid"]


def test_queries_of_a_panel_have_unique_names_and_legends() -> None:
    for panel in SHOWN:
        for key in ("refId", "legendFormat", "expr"):
            assert len({target[key] for target in panel["targets"]}) == len(panel["targets"]), (
                panel["title"]
            )
        for target in panel["targets"]:
            by = re.search(r"by \(([^)]*)\)", target["expr"])
            wanted = [label for label in by[1].split(", ") if label != "le"] if by else []
            assert (
                re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]) == wanted
                or "_fds" in target["expr"]
            ), target["expr"]
