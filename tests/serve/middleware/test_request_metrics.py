"""Metrics of requests."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import wait_until
from tests.serve.client import fetch
from tests.serve.served import Served, serving
from tests.serve.wire import PATH, PEOPLE


def metric(served: Served, name: str) -> dict[tuple[str, str], float]:
    """Values other than 0, by route and status."""
    families = text_string_to_metric_families(generate_latest(served.metrics.registry).decode())
    samples = [
        sample
        for family in families
        for sample in family.samples
        if sample.name == name and sample.value
    ]
    return {
        (sample.labels["route"], sample.labels.get("status", "")): sample.value
        for sample in samples
    }


def test_routes_are_counted(tmp_path: Path) -> None:
    """The labels are routes, not paths."""
    with serving(tmp_path, PEOPLE) as served:
        for path in (
            PATH,
            f"{PATH}?page=2",
            f"{PATH}?page=x",
            "/api/v1/courses/1/enrollments",
            "/api/v1/courses/565",
            "/api/v1/nowhere",
            "/x",
        ):
            fetch(served.url, path)
        fetch(served.url, PATH, "HEAD")
        fetch(served.url, PATH, "POST")
        fetch(served.url, PATH, headers={"Host": "evil.example"})
        route = "/api/v1/courses/{course_id}/enrollments"
        wanted = {
            (route, "2xx"): 3,
            (route, "4xx"): 2,
            ("/api/v1/courses/{course_id}", "2xx"): 1,
            ("other", "4xx"): 4,
        }
        wait_until(
            lambda: metric(served, "rollcall_http_requests_total") == wanted, what=f"{wanted}"
        )
