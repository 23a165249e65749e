"""A whole installation with a real Prometheus and the shipped files. It is one test, because the
start takes seconds.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from rollcall.reconcile.facts import Entity
from rollcall.reconcile.metrics import RunMetrics, RunScope
from rollcall.reconcile.summary import Kind, Summary
from rollcall.sandbox.canvas.signing import Signer
from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from rollcall.sandbox.canvas.traffic import Destination, TrafficPlan, generate_traffic
from tests.deploy.prometheus import Prometheus, alert_rules, needs_prometheus, promtool
from tests.deploy.test_dashboard import SHOWN
from tests.ingest.https.hosting import signer
from tests.ingest.https.test_process import status, webhook
from tests.ingest.queues import Queues
from tests.ingest.shim import Refusal, Shim
from tests.ingest.test_process import IngestProcess
from tests.kafka_client import Sent, send
from tests.processes import RollcallProcess, RostersProcess, RouterProcess, wait_until

RATE = "10m"
"""Value of Grafana's ``$__rate_interval``: longer than the test."""


INGESTED = 5
"""Events through the queue, and through the webhook."""


@needs_prometheus
def test_a_whole_installation(bootstrap: str, prefix: str, tmp_path: Path, queue: Queues) -> None:
    with ExitStack() as running:
        shim = running.enter_context(Shim(queue.server))
        shim.faults["ReceiveMessage"].append(Refusal(503, "ServiceUnavailable"))
        router = running.enter_context(RouterProcess(tmp_path, bootstrap, prefix))
        rosters = running.enter_context(RostersProcess(tmp_path, bootstrap, prefix))
        serve = running.enter_context(
            RollcallProcess(
                "serve", tmp_path, bootstrap, prefix, data=tmp_path, shard=SimulationPlan().shard
            )
        )
        sqs = IngestProcess(tmp_path, bootstrap, prefix, queue, shim.url)
        https = webhook(tmp_path, bootstrap, prefix)
        processes: dict[str, RollcallProcess] = {
            "rollcall-router": router,
            "rollcall-rosters": rosters,
            "rollcall-serve": serve,
            "rollcall-ingest-sqs": running.enter_context(sqs),
            "rollcall-ingest-https": running.enter_context(https),
        }
        addresses = {job: urlsplit(process.url).netloc for job, process in processes.items()}
        addresses["node"] = running.enter_context(textfile_collector(tmp_path / "reconcile.prom"))
        prometheus = running.enter_context(Prometheus(tmp_path, addresses))
        wait_until(
            lambda: (
                prometheus.value("up") == len(addresses)
                and prometheus.value("rollcall_ready") == len(processes)
            ),
            what="ready processes",
        )
        targets = prometheus.get("targets")["activeTargets"]
        assert {
            target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets
        } == dict.fromkeys(addresses, ("up", ""))
        for process in processes.values():
            assert promtool("check", "metrics", stdin=process.get("/metrics")[1]) == ""

        received = load(bootstrap, prefix) + ingest(queue, https)
        wait_until(
            # SQS may deliver twice
            lambda: prometheus.value("rollcall_events_received_total") >= received,
            what="the events",
        )
        wait_until(lambda: is_quiet(prometheus), what="the rosters in the replica")
        assert serve.get("/api/v1/courses/1/enrollments")[0] == 404
        wait_until(
            lambda: (
                prometheus.value('rollcall_http_requests_total{route=~"/api/.+", status="4xx"}')
                == 1
            ),
            what="the request",
        )

        assert panels_without_data(prometheus) == []
        assert selectors_without_data(prometheus) == []
        assert label_values(prometheus, "job") == processes.keys()
        assert len(label_values(prometheus, "instance")) == len(processes)

        # only these alerts, although the load was high
        wait_until(
            lambda: (
                alerts(prometheus)
                == {"RollcallUnknownEvents": "firing", "RollcallManyDeadLetters": "pending"}
            ),
            what="the alerts",
        )
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        assert {
            rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"
        } == {}
        assert {rule["name"] for rule in rules} >= alert_rules().keys()
        assert serve.end(signal.SIGTERM) == 0
        wait_until(
            lambda: alerts(prometheus).get("RollcallProcessDown") == "pending", what="the alert"
        )
        assert [series.labels["job"] for series in prometheus.query("up == 0")] == [
            "rollcall-serve"
        ]


@contextmanager
def textfile_collector(path: Path) -> Iterator[str]:
    """Serves the metrics of a run of reconcile, as node_exporter does. Gives ``host:port``."""
    summary = Summary()
    summary.count(Entity.ENROLLMENT, Kind.READ)
    metrics = RunMetrics(path, RunScope.ACCOUNT)
    metrics.lag.observe(2.0)
    metrics.write(summary, requests=1, seconds=1.0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(path.read_bytes())

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def load(bootstrap: str, prefix: str) -> int:
    """Send events of an institution, unknown events and invalid records. Returns their number."""
    events = [
        event.value
        for event in Simulation(SimulationPlan(courses=4, steps=300, class_size=5)).events()
    ]
    traffic = generate_traffic(TrafficPlan(count=400, not_json=0.1, too_large=0))
    others = [
        record.value for record in traffic if record.expected.destination is not Destination.ROUTED
    ]
    send(bootstrap, f"{prefix}.raw", [Sent(value) for value in (*events, *others)])
    return len(events) + len(others)


def ingest(queue: Queues, https: RollcallProcess) -> int:
    """Send events through the queue and the webhook, and one with a wrong signature. Returns their
    number.
    """
    events: list[dict[str, Any]] = [
        orjson.loads(event.value) for event in Simulation(SimulationPlan(seed=2, steps=1)).events()
    ][: 2 * INGESTED]
    assert len(events) == 2 * INGESTED
    now = int(time.time())
    queue.send([orjson.dumps(event).decode() for event in events[:INGESTED]])
    for event in events[INGESTED:]:
        assert status(https, signer().request_body(event, now)) == 204
    forged = Signer(signer().key_id).request_body(events[0], now)
    assert status(https, forged) == 401
    return len(events)


def is_quiet(prometheus: Prometheus) -> bool:
    """Whether all processing is complete, and the replica has rows of every relation."""
    backlog = (
        "rollcall_consumer_lag_records",
        "rollcall_rows_to_follow",
        "rollcall_replica_freshness_seconds",
    )
    return not any(map(prometheus.value, backlog)) and not prometheus.query(
        "rollcall_replica_rows == 0"
    )


def panels_without_data(prometheus: Prometheus) -> list[str]:
    """Titles and queries of panels without data or with empty legends."""
    empty = []
    variables: Mapping[str, str] = {"$__rate_interval": RATE, "$job": ".+", "$instance": ".+"}
    for panel in SHOWN:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in variables.items():
                expression = expression.replace(variable, value)
            found = prometheus.query(expression)
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            if not found or any(labels - series.labels.keys() for series in found):
                empty.append(f"{panel['title']}: {expression}")
    return empty


def selectors_without_data(prometheus: Prometheus) -> list[str]:
    """Selectors of alerts without data: these alerts would never fire."""
    queried = {
        selector
        for rule in alert_rules().values()
        for selector in re.findall(
            r"(?:up|(?:job:)?(?:rollcall|process)_[\w:]+)(?:\{[^}]*\})?", rule["expr"]
        )
    }
    assert len(queried) > 15
    return sorted(selector for selector in queried if not prometheus.query(selector))


def label_values(prometheus: Prometheus, label: str) -> set[str]:
    """Values of a dashboard variable."""
    return set(prometheus.get(f"label/{label}/values", **{"match[]": "rollcall_build_info"}))


def alerts(prometheus: Prometheus) -> dict[str, str]:
    """States of the pending and firing alerts."""
    return {
        alert["labels"]["alertname"]: alert["state"] for alert in prometheus.get("alerts")["alerts"]
    }
