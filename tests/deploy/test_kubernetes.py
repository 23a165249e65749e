"""deploy/kubernetes: the manifests are valid, and Rollcall accepts their settings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcall.cli.run import PROCESSES
from rollcall.ingest.https import process as ingest_https
from rollcall.process.running import STOPPING_SECONDS
from rollcall.rosters import application as rosters
from rollcall.router import application as router
from rollcall.serve import process as serve
from rollcall.settings import ENV_PREFIX, Settings, load_settings, misspelt_variables
from tests.deploy.container import steps
from tests.deploy.go_tools import kustomize
from tests.deploy.installed import ROOT
from tests.tools import lack

OVERLAY = ROOT / "deploy" / "kubernetes" / "overlays" / "example"
OLDEST = "1.30"
"""The first release with ``preStop.sleep``, which needs no shell."""

PORTS = {
    "router": router.DEFAULT_PORT,
    "rosters": rosters.DEFAULT_PORT,
    "serve": serve.DEFAULT_PORT,
    "ingest-https": ingest_https.DEFAULT_PORT,
}
WORKLOADS = [*(f"rollcall-{process}" for process in PROCESSES), "rollcall-topics"]
OWN_NAME = "app.kubernetes.io/name"
OTHER_VARIABLES = {"FORWARDED_ALLOW_IPS"}

Manifest = Mapping[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """All manifests of the overlay, with those of the base."""
    done = subprocess.run([*kustomize(), str(OVERLAY)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Manifests with pods, by name."""
    return {
        manifest["metadata"]["name"]: manifest
        for manifest in manifests
        if "template" in manifest.get("spec", {})
    }


def pod(workload: Manifest) -> dict[str, Any]:
    """The specification of a workload's pods."""
    spec = workload["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(workload: Manifest) -> dict[str, Any]:
    """A workload's only container."""
    (only,) = pod(workload)["containers"]
    assert isinstance(only, dict)
    return only


def image_environment() -> dict[str, str]:
    """Environment variables of the image."""
    return {
        name: value
        for step in steps()
        if step.word == "ENV"
        for name, value in re.findall(r"(\w+)=(\S+)", step.rest)
    }


def environment(workload: Manifest, manifests: list[Manifest]) -> dict[str, str]:
    """Environment variables of a workload's process. Values from secrets are placeholders."""
    maps = {
        manifest["metadata"]["name"]: manifest["data"]
        for manifest in manifests
        if manifest["kind"] == "ConfigMap"
    }
    variables: dict[str, str] = {}
    for source in container(workload)["envFrom"]:
        variables |= maps[source["configMapRef"]["name"]]
    return variables | {
        variable["name"]: variable.get("value", "word")
        for variable in container(workload).get("env", [])
    }


def test_manifests_are_valid(manifests: list[Manifest]) -> None:
    """For the oldest supported release, and for the latest one with schemas. Only Kubernetes's own
    kinds are checked.
    """
    validate = pytest.importorskip(
        "kubernetes_validate", reason=lack("kubernetes-validate", "make venv")
    )
    for release in (OLDEST, validate.latest_version()):
        for manifest in manifests:
            if manifest["apiVersion"] != "monitoring.coreos.com/v1":
                validate.validate(manifest, release, strict=True)


def test_pods_have_no_rights(workloads: dict[str, Manifest]) -> None:
    """Fewer than the profile "restricted" allows."""
    assert sorted(workloads) == sorted(WORKLOADS)
    for workload in workloads.values():
        spec, inside = pod(workload), container(workload)["securityContext"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert inside == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        written = [volume["name"] for volume in spec["volumes"] if "emptyDir" in volume]
        assert {
            mount["name"]: mount["mountPath"]
            for mount in container(workload)["volumeMounts"]
            if mount["name"] in written
        }["tmp"] == "/tmp"  # noqa: S108
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


@pytest.mark.parametrize("name", WORKLOADS)
def test_rollcall_accepts_the_settings(
    name: str,
    workloads: dict[str, Manifest],
    manifests: list[Manifest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = environment(workloads[name], manifests)
    assert misspelt_variables(variables) == []
    assert {
        variable for variable in variables if not variable.startswith(ENV_PREFIX)
    } <= OTHER_VARIABLES
    for variable in Settings.model_fields:
        monkeypatch.delenv(ENV_PREFIX + variable.upper(), raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert settings.kafka is not None
    assert settings.create_topics is False
    mounts = [Path(mount["mountPath"]) for mount in container(workloads[name])["volumeMounts"]]
    assert settings.ssl_ca_file is not None
    assert settings.ssl_ca_file.parent in mounts
    if name == "rollcall-serve":
        assert settings.tokens_file is not None
        assert settings.tokens_file.parent in mounts
        assert Path(image_environment()["ROLLCALL_DATA"]) in mounts


@pytest.mark.parametrize("process", PROCESSES)
def test_processes(process: str, workloads: dict[str, Manifest]) -> None:
    """Probes use the process's port, and the grace period is long enough."""
    workload = workloads[f"rollcall-{process}"]
    inside = container(workload)
    assert inside["args"] == [process]
    assert [port["containerPort"] for port in inside["ports"]] == [PORTS[process]]
    sleep = inside.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert (
        pod(workload)["terminationGracePeriodSeconds"]
        > sleep + Settings.model_construct().drain_seconds + STOPPING_SECONDS
    )
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert inside[probe]["httpGet"]["port"] == "http"
    # no liveness probe uses /readyz: a restart repairs nothing that it reports. The startup probe
    # of serve does, with a limit of an hour
    restarting = [inside[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")]
    assert restarting == (["/readyz", "/livez"] if process == "serve" else ["/livez", "/livez"])


def test_members_of_groups_keep_their_names(workloads: dict[str, Manifest]) -> None:
    for name in ("rollcall-router", "rollcall-rosters"):
        assert workloads[name]["kind"] == "StatefulSet"
        references = {
            variable["name"]: variable.get("valueFrom")
            for variable in container(workloads[name])["env"]
        }
        assert references["ROLLCALL_GROUP_INSTANCE_ID"] == {
            "fieldRef": {"fieldPath": "metadata.name"}
        }


def test_the_page_has_the_urls_of_all_pods(
    workloads: dict[str, Manifest], manifests: list[Manifest]
) -> None:
    urls = re.split(
        r",\s*", environment(workloads["rollcall-serve"], manifests)["ROLLCALL_METRICS_URLS"]
    )
    assert urls == [
        f"http://{name}-{number}.{workloads[name]['spec']['serviceName']}:{container(workloads[name])['ports'][0]['containerPort']}/metrics"
        for name in ("rollcall-router", "rollcall-rosters")
        for number in range(workloads[name]["spec"]["replicas"])
    ]


def selectors(manifests: list[Manifest]) -> Iterator[Manifest]:
    """Selectors of all manifests that select pods."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "Service":
            yield {"matchLabels": spec["selector"]}
        elif manifest["kind"] == "NetworkPolicy":
            yield spec["podSelector"]
        elif "selector" in spec:
            yield spec["selector"]


def test_selectors_find_pods(workloads: dict[str, Manifest], manifests: list[Manifest]) -> None:
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in workloads.values()]
    found = list(selectors(manifests))
    assert len(found) >= 3 * len(PROCESSES)
    for selector in found:
        for name, value in selector.get("matchLabels", {}).items():
            assert value in [having.get(name) for having in labels], selector
        for expression in selector.get("matchExpressions", []):
            assert set(expression["values"]) <= {
                having.get(expression["key"]) for having in labels
            }, selector


def test_versions(workloads: dict[str, Manifest]) -> None:
    assert {container(workload)["image"].rpartition(":")[2] for workload in workloads.values()} == {
        version("rollcall")
    }
