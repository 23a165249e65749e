"""deploy/compose is valid by the Compose Specification, and Rollcall accepts its settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcall.cli.run import PROCESSES
from rollcall.process.running import STOPPING_SECONDS
from rollcall.settings import ENV_PREFIX, Settings, misspelt_variables
from tests.deploy.go_tools import go_tool
from tests.deploy.installed import ROOT
from tests.deploy.test_kubernetes import PORTS
from tests.processes import RollcallProcess, RouterProcess, wait_until

FILE = ROOT / "deploy" / "compose" / "docker-compose.yml"
PROMETHEUS = FILE.with_name("prometheus.yml")
COMPOSE_GO = ("github.com/compose-spec/compose-go/v2/cmd", "v2.16.2")
SERVICES = (*PROCESSES, "topics")
LISTENERS = {
    "KAFKA_LISTENERS",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
}

Services = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def services() -> Services:
    """Services of the file."""
    services = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    assert isinstance(services, dict)
    return services


def test_the_file_is_valid() -> None:
    """The loader of docker compose accepts the file, and the broker extends the other file's."""
    command = [go_tool(*COMPOSE_GO), "-format", "json", "-no-interpolation", FILE.name]
    done = subprocess.run(command, cwd=FILE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kafka = json.loads(done.stdout)["services"]["kafka"]
    (base,) = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text(encoding="utf-8"))[
        "services"
    ].values()
    variables = dict(variable.split("=", 1) for variable in kafka["environment"])
    assert {name: value for name, value in variables.items() if name not in LISTENERS} == {
        name: value for name, value in base["environment"].items() if name not in LISTENERS
    }
    assert kafka["image"] == base["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_containers_have_no_rights(name: str, services: Services) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == "/tmp"  # noqa: S108
    assert (
        float(service["stop_grace_period"].removesuffix("s"))
        > Settings.model_construct().drain_seconds + STOPPING_SECONDS
    )
    assert service["image"].rpartition(":")[2] == version("rollcall") + "}"
    assert service["command"] == (["topics", "apply"] if name == "topics" else [name])
    assert misspelt_variables(service["environment"]) == []
    assert all(variable.startswith(ENV_PREFIX) for variable in service["environment"])


def test_ports_are_open_to_this_machine_only(services: Services) -> None:
    assert [
        port
        for service in services.values()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    ] == []


def health_check(services: Services, process: str, url: str) -> list[str]:
    """The command of a container's health check, for a process at another address."""
    kind, _python, *arguments = services[process]["healthcheck"]["test"]
    assert kind == "CMD"
    return [
        sys.executable,
        *(
            argument.replace(f"http://127.0.0.1:{PORTS[process]}/", f"{url}/")
            for argument in arguments
        ),
    ]


def test_ready_processes_are_healthy(
    services: Services, bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    with (
        RouterProcess(tmp_path, bootstrap, prefix) as router,
        RollcallProcess("serve", tmp_path, "127.0.0.1:1", prefix, data=tmp_path) as serve,
    ):
        router.wait_ready()
        assert (
            subprocess.run(health_check(services, "router", router.url), check=False).returncode
            == 0
        )
        wait_until(lambda: serve.get("/readyz")[0] == 503, what="a response")
        assert (
            subprocess.run(
                health_check(services, "serve", serve.url), stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 1
        )


def test_prometheus_scrapes_all(services: Services) -> None:
    """The jobs have the names that the alerts use."""
    jobs = {
        job["job_name"]: job["dns_sd_configs"]
        for job in yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["scrape_configs"]
    }
    assert jobs == {
        f"rollcall-{process}": [{"names": [process], "type": "A", "port": PORTS[process]}]
        for process in (*PROCESSES, "ingest-https")
    }
    assert set(PROCESSES) <= services.keys()
    alerts = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r'job="([^"]+)"', alerts)) <= jobs.keys()
