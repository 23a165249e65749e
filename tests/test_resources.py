"""Schemas and the broker's files are found in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.resources import resource_path

CHECKOUT = Path(__file__).parent.parent


def test_in_a_checkout() -> None:
    assert resource_path("schemas") == CHECKOUT / "schemas"
    assert resource_path("deploy", "kafka", "pom.xml") == CHECKOUT / "deploy" / "kafka" / "pom.xml"


def test_what_nobody_has_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="deploy/nothing"):
        resource_path("deploy", "nothing")


def test_in_an_installed_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)], cwd=CHECKOUT, capture_output=True, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    (installed / "schemas").mkdir()  # another package's
    code = "from app.resources import resource_path as r; print(r('schemas'), r('deploy', 'kafka', 'pom.xml'), sep='\\n')"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True, check=True
    ).stdout
    schemas, pom = map(Path, told.splitlines())
    assert schemas == installed / "app" / "_data" / "schemas"
    assert {file.name for file in schemas.rglob("*.json")} == {file.name for file in (CHECKOUT / "schemas").rglob("*.json")}
    assert pom.read_bytes() == resource_path("deploy", "kafka", "pom.xml").read_bytes()
