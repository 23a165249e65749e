"""deploy/systemd: systemd accepts the unit and its restrictions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rollcall.cli.run import PROCESSES
from rollcall.errors import ConfigurationError
from rollcall.process.running import STOPPING_SECONDS
from rollcall.settings import Settings
from tests.deploy.installed import ROOT
from tests.tools import needs

FOLDER = ROOT / "deploy" / "systemd"
UNIT = FOLDER / "rollcall@.service"
MAX_EXPOSURE = 15
"""Maximum exposure level, of 100. systemd rates up to 49 as OK."""

needs_systemd = needs("systemd-analyze", package="systemd")


def run(*command: str) -> str:
    """The output of a command of systemd, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("process", PROCESSES)
def test_systemd_accepts_the_unit(process: str, tmp_path: Path) -> None:
    """Its syntax, and the rights of its process."""
    unit = tmp_path / f"rollcall@{process}.service"
    unit.write_text(
        UNIT.read_text(encoding="utf-8").replace("/opt/rollcall/bin/rollcall", sys.executable),
        encoding="utf-8",
    )
    assert run("systemd-analyze", "verify", "--man=no", str(unit)) == ""
    run("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", str(unit))


@needs("systemd-sysusers", package="systemd")
def test_the_user_is_created(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "sysusers.conf"))
    (user,) = re.findall(r"^User=(.+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert user in [
        line.partition(":")[0]
        for line in (tmp_path / "etc" / "passwd").read_text(encoding="utf-8").splitlines()
    ]


def test_the_unit_fits_the_end_of_processes() -> None:
    unit = dict(re.findall(r"^([A-Z]\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE))
    assert (
        float(unit["TimeoutStopSec"]) > Settings.model_construct().drain_seconds + STOPPING_SECONDS
    )
    assert unit["RestartPreventExitStatus"] == str(ConfigurationError.exit_code)
