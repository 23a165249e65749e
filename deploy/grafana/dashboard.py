"""Grafana dashboard of the metrics in app/rollcall/process/metrics.py,
app/rollcall/ingest/metrics.py and app/rollcall/reconcile/metrics.py.
``python -m deploy.grafana.dashboard`` writes rollcall.json beside this file.

This module defines the panels and their queries. Units, legends and descriptions come from the
metric's name, type, labels and documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from rollcall.ingest.metrics import SqsMetrics, WebhookMetrics
from rollcall.process.metrics import RosterMetrics, RouterMetrics, ServeMetrics
from rollcall.reconcile.metrics import LAG, LAST_COMPLETE, RunMetrics, RunScope

FILE = Path(__file__).with_name("rollcall.json")

SCHEMA_VERSION = 39
"""Schema version of Grafana 11. Later versions read it."""

COLUMNS, WIDTH, HEIGHT = 24, 8, 8

LEFT_OUT: Mapping[str, str] = {
    "process_virtual_memory_bytes": "mostly addresses without memory",
}
"""Metrics without a panel, with the reason."""

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SELECTED = 'job=~"$job", instance=~"$instance"'
_API = 'route=~"/api/.+"'
"""Excludes the page, whose streams last for hours."""

_PER_SECOND = {"events": "eps", "records": "recps", "rows": "rowsps", "requests": "reqps"}
"""Grafana's units for rates, by the counted thing in the counter's name."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel, in PromQL with Grafana's variables."""

    expression: str
    metrics: tuple[str, ...]
    by: tuple[str, ...]
    unit: str
    """Grafana's name of the unit."""
    word: str = ""
    """Prefix of the labels in the legend."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: one or more queries with the same unit."""

    title: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"


def catalogue() -> dict[str, Metric]:
    """All metrics of all processes, by their names in queries."""
    registries = [
        RouterMetrics(CollectorRegistry(), ()).registry,
        RosterMetrics(CollectorRegistry(), (), ()).registry,
    ]
    registries.append(ServeMetrics(CollectorRegistry(), (), ()).registry)
    registries.append(SqsMetrics(CollectorRegistry()).registry)
    registries.append(WebhookMetrics(CollectorRegistry(), ()).registry)
    registries.append(RunMetrics(None, RunScope.ACCOUNT).registry)
    suffixes = {"counter": "_total", "info": "_info"}
    return {
        family.name + suffixes.get(family.type, ""): family
        for registry in registries
        for family in registry.collect()
    }


CATALOGUE = catalogue()


def rate(metric: str, *by: str) -> Query:
    """The rate of a counter, per second."""
    words = metric.split("_")
    unit = (
        "percentunit"
        if words[-2:] == ["seconds", "total"]
        else next((unit for word, unit in _PER_SECOND.items() if word in words), "cps")
    )
    total = f"sum by ({', '.join(by)}) " if by else "sum"
    return Query(f"{total}(rate({metric}{{{_SELECTED}}}[$__rate_interval]))", (metric,), by, unit)


def level(metric: str, *by: str, how: str = "sum") -> Query:
    """The value of a gauge, or of a counter since the start of its process."""
    expression = f"{how} by ({', '.join(by)}) ({metric}{{{_SELECTED}}})"
    return Query(expression, (metric,), by, _unit(metric))


def _unit(metric: str) -> str:
    if CATALOGUE[metric].documentation.startswith("1: "):
        return "bool_yes_no"
    return {"seconds": "s", "bytes": "bytes"}.get(metric.rpartition("_")[2], "short")


def percentiles(
    metric: str,
    *by: str,
    only: str = "",
    shares: Iterable[float] = (0.5, 0.95, 0.99),
    unit: str = "s",
) -> tuple[Query, ...]:
    """Percentiles of a histogram, one query for each share."""
    selected = f"{_SELECTED}, {only}" if only else _SELECTED
    buckets = (
        f"sum by ({', '.join(('le', *by))}) (rate({metric}_bucket{{{selected}}}[$__rate_interval]))"
    )
    return tuple(
        Query(f"histogram_quantile({share:g}, {buckets})", (metric,), by, unit, f"p{share * 100:g}")
        for share in shares
    )


def since(metric: str) -> Query:
    """The time since the moment stored in a gauge. The gauge is 0 before the first moment."""
    by = ("job", "instance")
    return Query(
        f"time() - (max by ({', '.join(by)}) ({metric}{{{_SELECTED}}}) > 0)", (metric,), by, "s"
    )


def last_run(metric: str, *by: str) -> Query:
    """The value of the last run of ``rollcall reconcile``, by its scope and other labels.

    Metrics of runs have the job and instance of node_exporter, which are not chosen.
    """
    by = ("instance", "scope", *by)
    return Query(f"sum by ({', '.join(by)}) ({metric})", (metric,), by, _unit(metric))


def panels() -> dict[str, tuple[Panel, ...]]:
    """All panels, by row."""
    process = ("job", "instance")
    files = tuple(f"process_{which}_fds{{{_SELECTED}}}" for which in ("open", "max"))
    restarts = f"sum by (job, instance) (changes(process_start_time_seconds{{{_SELECTED}}}[1h]))"
    return {
        "Overview": (
            Panel("Ready", (level("rollcall_ready", *process, how="min"),), "stat"),
            Panel(
                "Events in and out",
                (
                    rate("rollcall_events_received_total"),
                    rate("rollcall_events_routed_total"),
                    rate("rollcall_events_unknown_total"),
                    rate("rollcall_events_not_selected_total"),
                    rate("rollcall_dead_letters_total"),
                ),
            ),
            Panel("Lag", (level("rollcall_consumer_lag_records", "job"),)),
            Panel(
                "Oldest unprocessed record",
                (level("rollcall_oldest_unprocessed_seconds", *process, how="max"),),
            ),
            Panel(
                "From the event's time to the output",
                percentiles("rollcall_event_age_seconds", "job"),
            ),
            Panel(
                "From the input topic to the output",
                percentiles("rollcall_pipeline_seconds", "job"),
            ),
        ),
        "Router": (
            Panel("Routed", (rate("rollcall_events_routed_total", "event_name"),)),
            Panel(
                "Dead letters, those of the rosters too",
                (rate("rollcall_dead_letters_total", "job", "code"),),
            ),
            Panel("Unknown events", (rate("rollcall_events_unknown_total", "instance"),)),
            Panel(
                "Events that are not selected",
                (rate("rollcall_events_not_selected_total", "instance"),),
            ),
            Panel("Unknown fields", (rate("rollcall_unknown_fields_total", "event_name"),)),
            Panel("Unknown values", (rate("rollcall_unknown_values_total", "event_name"),)),
            Panel("Redacted records", (rate("rollcall_redacted_total", "instance"),)),
        ),
        "Router and rosters: chunks": (
            Panel("Lag by topic", (level("rollcall_consumer_lag_records", "job", "topic"),)),
            Panel("Since the last commit", (since("rollcall_last_progress_timestamp_seconds"),)),
            Panel(
                "Computing one chunk",
                percentiles("rollcall_chunk_seconds", "stage", shares=(0.5, 0.99)),
            ),
            Panel(
                "Breaker open", (level("rollcall_breaker_open", "topic", "partition", how="max"),)
            ),
            Panel("Records deleted unread", (level("rollcall_expired_records_total", *process),)),
            Panel(
                "Chunks that could not be written",
                (level("rollcall_produce_failures_total", *process),),
            ),
        ),
        "Rosters": (
            Panel("Rows", (level("rollcall_table_rows", "table"),)),
            Panel("Parked rows", (level("rollcall_parked_rows", "stage"),)),
            Panel("Rows that have still to follow", (level("rollcall_rows_to_follow", "stage"),)),
            Panel("Records processed", (rate("rollcall_stage_records_total", "stage"),)),
            Panel("Of these, stale", (rate("rollcall_stale_events_total", "stage"),)),
            Panel(
                "Recovery: records to be loaded",
                (level("rollcall_table_recovery_remaining_records", "instance", "table"),),
            ),
            Panel(
                "Rows written",
                (
                    rate("rollcall_rows_published_total", "stage"),
                    rate("rollcall_rows_withdrawn_total", "stage"),
                ),
            ),
        ),
        "serve": (
            Panel("Requests by status", (rate("rollcall_http_requests_total", "status"),)),
            Panel("Requests by route", (rate("rollcall_http_requests_total", "route"),)),
            Panel("Answers of the API", percentiles("rollcall_http_request_seconds", only=_API)),
            Panel(
                "Replica: freshness",
                (level("rollcall_replica_freshness_seconds", "instance", how="max"),),
            ),
            Panel(
                "Replica: complete",
                (level("rollcall_replica_complete", "instance", how="min"),),
                "stat",
            ),
            Panel("Replica: rows", (level("rollcall_replica_rows", "instance", "relation"),)),
            Panel("Replica: records taken", (rate("rollcall_replica_records_total", "instance"),)),
            Panel(
                "Replica: unusable records",
                (level("rollcall_replica_unusable_records_total", "instance"),),
            ),
            Panel("Replica: rebuilds", (level("rollcall_replica_rebuilds_total", "instance"),)),
        ),
        "Ingest": (
            Panel(
                "Received, written, deleted",
                (
                    rate("rollcall_ingest_sqs_received_total"),
                    rate("rollcall_ingest_produced_total"),
                    rate("rollcall_ingest_sqs_deleted_total"),
                ),
            ),
            Panel(
                "Oldest message, and the queue's retention",
                (
                    level("rollcall_ingest_sqs_oldest_message_seconds", *process, how="max"),
                    level("rollcall_ingest_sqs_retention_seconds", *process, how="min"),
                ),
            ),
            Panel(
                "Messages in the queue",
                (level("rollcall_ingest_sqs_queue_messages", "state", how="max"),),
            ),
            Panel("Messages in hand", (level("rollcall_ingest_sqs_in_hand_messages", "instance"),)),
            Panel("Bytes in hand", (level("rollcall_ingest_sqs_in_hand_bytes", "instance"),)),
            Panel(
                "Delivered again",
                (
                    rate("rollcall_ingest_sqs_redelivered_total"),
                    rate("rollcall_ingest_sqs_known_total"),
                    rate("rollcall_ingest_sqs_let_go_total"),
                ),
            ),
            Panel(
                "Deletes and extensions that failed",
                (
                    rate("rollcall_ingest_sqs_delete_failures_total"),
                    rate("rollcall_ingest_sqs_extend_failures_total"),
                ),
            ),
            Panel(
                "Calls to SQS that failed",
                (rate("rollcall_ingest_sqs_call_failures_total", "call", "reason"),),
            ),
            Panel(
                "Empty calls, and extensions",
                (
                    rate("rollcall_ingest_sqs_empty_receives_total"),
                    rate("rollcall_ingest_sqs_extended_total"),
                ),
            ),
            Panel(
                "Kafka takes no records",
                (level("rollcall_ingest_kafka_away", *process, how="max"),),
            ),
            Panel("Refused by Kafka", (level("rollcall_ingest_refused_total", *process),)),
            Panel(
                "Since the last event",
                (since("rollcall_ingest_last_received_timestamp_seconds"),),
            ),
            Panel(
                "Size of an event",
                percentiles("rollcall_ingest_event_bytes", shares=(0.5, 0.99), unit="bytes"),
            ),
        ),
        "Ingest: webhook": (
            Panel(
                "Requests to the webhook, by status",
                (rate("rollcall_ingest_webhook_requests_total", "status"),),
            ),
            Panel("Answers of the webhook", percentiles("rollcall_ingest_webhook_request_seconds")),
            Panel("Refused tokens", (rate("rollcall_ingest_tokens_refused_total", "reason"),)),
            Panel(
                "Age of the public keys",
                (level("rollcall_ingest_keys_age_seconds", *process, how="max"),),
            ),
            Panel("Fetches of the keys", (rate("rollcall_ingest_key_fetches_total", "result"),)),
        ),
        "Reconcile": (
            Panel(
                "How the last run ended",
                (last_run("rollcall_reconcile_outcome", "outcome"),),
                "table",
            ),
            Panel(
                "Since the last complete run",
                (
                    Query(
                        f"time() - max by (instance, scope) ({LAST_COMPLETE})",
                        (LAST_COMPLETE,),
                        ("instance", "scope"),
                        "s",
                    ),
                ),
            ),
            Panel("Rows of the last run", (last_run("rollcall_reconcile_rows", "entity", "kind"),)),
            Panel(
                "Courses set aside, and courses that Canvas did not show",
                (
                    last_run("rollcall_reconcile_courses_set_aside"),
                    last_run("rollcall_reconcile_courses_skipped"),
                ),
            ),
            Panel("Duration of the last run", (last_run("rollcall_reconcile_duration_seconds"),)),
            Panel("Requests to Canvas", (last_run("rollcall_reconcile_requests"),)),
            Panel(
                "Lag of Canvas's database",
                (
                    Query(
                        f"histogram_quantile(0.99, sum by (le, instance, scope) ({LAG}_bucket))",
                        (LAG,),
                        ("instance", "scope"),
                        "s",
                        "p99",
                    ),
                ),
            ),
        ),
        "Processes": (
            Panel("CPU", (rate("process_cpu_seconds_total", *process),)),
            Panel("Memory", (level("process_resident_memory_bytes", *process),)),
            Panel(
                "Open files, of those allowed",
                (
                    Query(
                        " / ".join(files),
                        ("process_open_fds", "process_max_fds"),
                        process,
                        "percentunit",
                    ),
                ),
            ),
            Panel(
                "Restarts in an hour",
                (Query(restarts, ("process_start_time_seconds",), process, "short"),),
            ),
            Panel("Running for", (since("process_start_time_seconds"),)),
            Panel(
                "Versions",
                (level("rollcall_build_info", *process, "version", "python", how="max"),),
                "table",
            ),
        ),
    }


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    made: list[dict[str, Any]] = []
    y = 0
    for title, row in panels().items():
        made.append(
            {
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        for place, panel in enumerate(row):
            down, right = divmod(place * WIDTH, COLUMNS)
            made.append(
                _panel(panel)
                | {"gridPos": {"h": HEIGHT, "w": WIDTH, "x": right, "y": y + down * HEIGHT}}
            )
        y += -(-len(row) * WIDTH // COLUMNS) * HEIGHT
    return {
        "uid": "rollcall",
        "title": "Rollcall",
        "description": "Made by deploy/grafana/dashboard.py of the metrics' catalogue: change it "
        "there.",
        "tags": ["rollcall", "kafka", "canvas"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "hide": 0,
                },
                _variable("job", "label_values(rollcall_build_info, job)"),
                _variable("instance", 'label_values(rollcall_build_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": [panel | {"id": number} for number, panel in enumerate(made, start=1)],
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # when the time range changes, too
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
        "hide": 0,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    metrics = dict.fromkeys(metric for query in panel.queries for metric in query.metrics)
    defaults: dict[str, Any] = {"unit": panel.queries[0].unit}
    options: dict[str, Any] = {}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif panel.kind == "stat":
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}],
        }
        options = {
            "colorMode": "background",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": "\n\n".join(
            f"`{metric}`: {CATALOGUE[metric].documentation}" for metric in metrics
        ),
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            _target(number, query, panel.kind, several=len(panel.queries) > 1)
            for number, query in enumerate(panel.queries)
        ],
    }


def _target(number: int, query: Query, kind: str, *, several: bool) -> dict[str, Any]:
    words = query.metrics[0].removeprefix("rollcall_").removesuffix("_total").replace("_", " ")
    named = [query.word] if query.word else [words] if several or not query.by else []
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": " ".join([*named, *(f"{{{{{label}}}}}" for label in query.by)]),
        "format": "table" if kind == "table" else "time_series",
        "instant": kind != "timeseries",
        "range": kind == "timeseries",
    }


def render() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
