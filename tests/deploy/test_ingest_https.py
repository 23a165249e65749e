"""Files for the deployment of the webhook: Kubernetes, Compose, systemd."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rollcall.ingest.https.process import DEFAULT_PORT
from rollcall.process.running import STOPPING_SECONDS
from rollcall.settings import Settings, misspelt_variables
from tests.deploy.go_tools import kustomize
from tests.deploy.installed import ROOT
from tests.deploy.test_kubernetes import OLDEST, Manifest, container, environment, pod
from tests.deploy.test_systemd import MAX_EXPOSURE, UNIT, needs_systemd, run
from tests.tools import lack

NAME = "rollcall-ingest-https"
DROP_IN = UNIT.parent / "rollcall@ingest-https.service.d" / "command.conf"
COMPOSE = ROOT / "deploy" / "compose"
STOP_SECONDS = Settings.model_construct().drain_seconds + STOPPING_SECONDS


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """All manifests of the overlay with the component, as its comment says."""
    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(ROOT / "deploy" / "kubernetes", folder)
    overlay = folder / "overlays" / "example"
    file = overlay / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    commented = "# components:\n#   - ../../components/ingest-https\n"
    assert commented in text
    file.write_text(text.replace(commented, commented.replace("# ", "", 1).replace("#", "")))
    done = subprocess.run([*kustomize(), str(overlay)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def workload(manifests: list[Manifest]) -> Manifest:
    """The webhook's Deployment."""
    (found,) = (
        manifest
        for manifest in manifests
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", NAME)
    )
    return found


def test_manifests_are_valid(manifests: list[Manifest]) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason=lack("kubernetes-validate", "make venv")
    )
    own = [manifest for manifest in manifests if manifest["metadata"]["name"] == NAME]
    assert sorted(manifest["kind"] for manifest in own) == [
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    ]
    for manifest in own:
        validate.validate(manifest, OLDEST, strict=True)


def test_the_pod(workload: Manifest, manifests: list[Manifest]) -> None:
    """It runs the webhook with the installation's settings, without rights, and has time to end."""
    inside, spec = container(workload), pod(workload)
    assert inside["args"] == ["ingest", "https"]
    ports = {port["name"]: port["containerPort"] for port in inside["ports"]}
    assert ports == {"http": DEFAULT_PORT, "webhook": Settings.model_construct().webhook_port}
    assert spec["terminationGracePeriodSeconds"] > STOP_SECONDS + 5
    assert spec["automountServiceAccountToken"] is False
    assert inside["securityContext"]["readOnlyRootFilesystem"] is True
    assert inside["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert inside["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    variables = environment(workload, manifests)
    assert variables["ROLLCALL_WEBHOOK_BIND"] == "0.0.0.0"  # noqa: S104
    assert misspelt_variables(variables) == []


def test_the_container() -> None:
    services = yaml.safe_load((COMPOSE / "docker-compose.yml").read_text(encoding="utf-8"))
    service = services["services"]["ingest-https"]
    assert service["command"] == ["ingest", "https"]
    assert service["profiles"] == ["https"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"] == ["127.0.0.1:8090:8090"]
    assert f"http://127.0.0.1:{DEFAULT_PORT}/readyz" in service["healthcheck"]["test"][-1]
    assert misspelt_variables(service["environment"]) == []


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """Its syntax, and the rights of its process."""
    unit = tmp_path / "rollcall@ingest-https.service"
    folder = tmp_path / f"{unit.name}.d"
    folder.mkdir()
    for source, target in ((UNIT, unit), (DROP_IN, folder / DROP_IN.name)):
        text = source.read_text(encoding="utf-8")
        target.write_text(text.replace("/opt/rollcall/bin/rollcall", sys.executable))
    assert run("systemd-analyze", "verify", "--man=no", str(unit)) == ""
    run("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", str(unit))
