"""The parts of deploy/ for runs of ``rollcall reconcile`` at set times."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from rollcall.cli import reconcile, reconciling
from rollcall.reconcile.application import RunOptions
from rollcall.settings import load_settings, misspelt_variables
from tests.deploy.go_tools import kustomize
from tests.deploy.installed import ROOT
from tests.deploy.test_kubernetes import OLDEST, OVERLAY, image_environment
from tests.deploy.test_systemd import FOLDER, MAX_EXPOSURE, UNIT, needs_systemd, run
from tests.tools import lack

SERVICE = FOLDER / "rollcall-reconcile@.service"
DROP_IN = FOLDER / "rollcall-reconcile@nightly.service.d" / "command.conf"
NAMES = ("nightly", "hourly")
COMPONENT = ROOT / "deploy" / "kubernetes" / "components" / "reconcile"

Manifests = dict[tuple[str, str], dict[str, Any]]


def options_of(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    """What the command understands."""
    found: list[RunOptions] = []

    def take(options: RunOptions, *, as_json: bool, show_names: bool) -> int:
        assert (as_json, show_names) == (False, False)
        found.append(options)
        return 0

    monkeypatch.setattr(reconciling, "reconcile_courses", take)
    cli = typer.Typer()
    reconcile.register(cli)
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return found[0]


def check_options(name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The nightly run is of the account, the hourly one triggered. Both may take away no more than
    the guards allow.
    """
    options = options_of(arguments, monkeypatch)
    assert (options.account, options.is_triggered) == (
        ("1", False) if name == "nightly" else (None, True)
    )
    assert (options.permitted, options.is_dry) == ((), False)


def command(name: str) -> list[str]:
    """The command line of a service."""
    text = SERVICE.read_text() + (DROP_IN.read_text() if name == "nightly" else "")
    return shlex.split(re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)[-1])


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_accepts_the_units(name: str, tmp_path: Path) -> None:
    """Their syntax, and the rights of the process."""
    unit = tmp_path / f"rollcall-reconcile@{name}.service"
    text = SERVICE.read_text().replace("/opt/rollcall/bin/rollcall", sys.executable)
    unit.write_text(text)
    if name == "nightly":
        folder = tmp_path / f"{unit.name}.d"
        folder.mkdir()
        (folder / DROP_IN.name).write_text(
            DROP_IN.read_text().replace("/opt/rollcall/bin/rollcall", sys.executable)
        )
    timer = tmp_path / f"rollcall-reconcile@{name}.timer"
    timer.write_text((FOLDER / timer.name).read_text())
    assert run("systemd-analyze", "verify", "--man=no", str(unit), str(timer)) == ""
    run("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", str(unit))
    (times,) = re.findall(r"^OnCalendar=(.+)$", timer.read_text(), re.MULTILINE)
    run("systemd-analyze", "calendar", times)


def test_the_unit_has_the_restrictions_of_the_others() -> None:
    """But its metrics may be read."""

    def restrictions(unit: Path) -> set[str]:
        text = unit.read_text()
        return set(re.findall(r"^\w+=.*$", text[text.index("# The process needs no") :], re.M))

    others = {line for line in restrictions(UNIT) if not line.startswith("WantedBy=")}
    assert restrictions(SERVICE) ^ others == {"UMask=0077", "UMask=0022"}


@pytest.mark.parametrize("name", NAMES)
def test_commands_of_the_units(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both runs wait for one lock."""
    flock, no_fork, lock, program, word, *arguments = command(name)
    assert (flock, no_fork) == ("/usr/bin/flock", "--no-fork")
    assert (lock, program) == ("/var/lib/rollcall/reconcile.lock", "/opt/rollcall/bin/rollcall")
    assert word == "reconcile"
    check_options(name, arguments, monkeypatch)


def test_rollcall_accepts_the_settings_of_the_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables = dict(re.findall(r"^Environment=(\w+)=(.+)$", SERVICE.read_text(), re.MULTILINE))
    assert misspelt_variables(variables) == []
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value.replace("%d", str(tmp_path)))
    settings = load_settings()
    (credential,) = re.findall(r"^LoadCredential=([\w-]+):", SERVICE.read_text(), re.MULTILINE)
    assert settings.canvas_token_file == tmp_path / credential
    assert settings.reconcile_metrics_file is not None
    assert settings.reconcile_metrics_file.suffix == ".prom"


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """The manifests of an overlay with the component, by kind and name."""
    folder = tmp_path_factory.mktemp("kubernetes")
    overlay = yaml.safe_load((OVERLAY / "kustomization.yaml").read_text())
    patch = next(each for each in overlay["patches"] if each["target"]["kind"] == "CronJob")
    (folder / patch["path"]).write_text((OVERLAY / patch["path"]).read_text())
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [os.path.relpath(OVERLAY, folder)],
                "components": [os.path.relpath(COMPONENT, folder)],
                "patches": [patch],
            }
        )
    )
    done = subprocess.run([*kustomize(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {
        (manifest["kind"], manifest["metadata"]["name"]): manifest
        for manifest in yaml.safe_load_all(done.stdout)
    }


def pod_of(manifests: Manifests, name: str) -> dict[str, Any]:
    """The specification of the pods of a CronJob."""
    job = manifests["CronJob", f"rollcall-reconcile-{name}"]["spec"]["jobTemplate"]
    spec = job["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def test_manifests_are_valid(manifests: Manifests) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason=lack("kubernetes-validate", "make venv")
    )
    own = {place: each for place, each in manifests.items() if "reconcile" in place[1]}
    assert sorted(kind for kind, _ in own) == [
        *("CronJob", "CronJob", "NetworkPolicy", "PersistentVolumeClaim")
    ]
    for manifest in own.values():
        validate.validate(manifest, OLDEST, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_cron_jobs(name: str, manifests: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run without rights, with the installation's settings, and never two at once."""
    job = manifests["CronJob", f"rollcall-reconcile-{name}"]["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = pod_of(manifests, name)
    (container,) = pod["containers"]
    word, *arguments = container["args"]
    assert word == "reconcile"
    check_options(name, arguments, monkeypatch)
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["data"] == image_environment()["ROLLCALL_DATA"]
    variables = {each["name"]: each.get("value", "word") for each in container["env"]}
    assert misspelt_variables(variables) == []
    assert variables["ROLLCALL_SASL_USERNAME"] == "word"
    token = Path(variables["ROLLCALL_CANVAS_TOKEN_FILE"])
    assert str(token.parent) == mounts["canvas"]


def test_one_pod_at_a_time_has_the_volume(manifests: Manifests) -> None:
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for name in NAMES
        for volume in pod_of(manifests, name)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    (claim,) = claims
    assert manifests["PersistentVolumeClaim", claim]["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_the_policy_finds_the_pods(manifests: Manifests) -> None:
    selector = manifests["NetworkPolicy", "rollcall-reconcile"]["spec"]["podSelector"]
    common = manifests["NetworkPolicy", "rollcall"]["spec"]["podSelector"]
    for name in NAMES:
        job = manifests["CronJob", f"rollcall-reconcile-{name}"]["spec"]["jobTemplate"]
        labels = job["spec"]["template"]["metadata"]["labels"].items()
        assert selector["matchLabels"].items() <= labels
        assert common["matchLabels"].items() <= labels
