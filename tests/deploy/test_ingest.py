"""The parts of deploy/ for ``rollcall ingest sqs``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollcall.ingest.sqs.application import DEFAULT_PORT, stopping_seconds
from rollcall.settings import Settings, misspelt_variables
from tests.deploy.go_tools import kustomize
from tests.deploy.installed import ROOT
from tests.deploy.test_kubernetes import OLDEST, OVERLAY
from tests.deploy.test_systemd import MAX_EXPOSURE, UNIT, needs_systemd, run
from tests.docs.markdown import blocks
from tests.tools import lack

DROP_IN = UNIT.parent / "rollcall@ingest-sqs.service.d" / "command.conf"
COMPONENT = ROOT / "deploy" / "kubernetes" / "components" / "ingest-sqs"
LONGEST_STOP = stopping_seconds(Settings.model_construct(sqs_wait_seconds=20))


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "rollcall@ingest-sqs.service"
    folder = tmp_path / f"{unit.name}.d"
    folder.mkdir()
    for source, target in ((UNIT, unit), (DROP_IN, folder / DROP_IN.name)):
        text = source.read_text(encoding="utf-8")
        target.write_text(
            text.replace("/opt/rollcall/bin/rollcall", sys.executable), encoding="utf-8"
        )
    assert run("systemd-analyze", "verify", "--man=no", str(unit)) == ""
    run("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", str(unit))
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", DROP_IN.read_text(), re.MULTILINE)
    assert int(seconds) > LONGEST_STOP


def test_compose_has_a_service() -> None:
    text = (ROOT / "deploy" / "compose" / "docker-compose.yml").read_text(encoding="utf-8")
    service = yaml.safe_load(text)["services"]["ingest"]
    assert service["command"] == ["ingest", "sqs"]
    assert service["profiles"] == ["sqs"]
    assert float(service["stop_grace_period"].removesuffix("s")) > stopping_seconds(
        Settings.model_construct()
    )
    assert f":{DEFAULT_PORT}/readyz" in service["healthcheck"]["test"][-1]
    assert misspelt_variables(service["environment"]) == []


@pytest.fixture
def manifests(tmp_path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The manifests of an overlay with the component, by kind and name."""
    overlay = {
        "resources": [os.path.relpath(OVERLAY, tmp_path)],
        "components": [os.path.relpath(COMPONENT, tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    done = subprocess.run(
        [*kustomize(), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {
        (manifest["kind"], manifest["metadata"]["name"]): manifest
        for manifest in yaml.safe_load_all(done.stdout)
    }


def test_the_component(manifests: dict[tuple[str, str], dict[str, Any]]) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason=lack("kubernetes-validate", "make venv")
    )
    name = "rollcall-ingest-sqs"
    for kind in ("Deployment", "ServiceAccount", "NetworkPolicy"):
        validate.validate(manifests[kind, name], OLDEST, strict=True)
    pod = manifests["Deployment", name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["ingest", "sqs"]
    assert [port["containerPort"] for port in container["ports"]] == [DEFAULT_PORT]
    assert pod["terminationGracePeriodSeconds"] > LONGEST_STOP
    assert pod["serviceAccountName"] == name
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_policies_in_the_document_are_json() -> None:
    policies = [json.loads(block) for block in blocks(ROOT / "docs" / "ingest.md", "json")]
    actions = {
        action
        for policy in policies
        for statement in policy["Statement"]
        for action in statement["Action"]
    }
    assert {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
    } <= actions
