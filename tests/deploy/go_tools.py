"""Programs that check the deployment. Go builds them from source; build/ keeps them."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.deploy.installed import ROOT
from tests.tools import lack
from tests.waiting import run

BUILD_SECONDS = 600


def go_tool(package: str, version: str) -> str:
    """The path of a program. Skips the test if it cannot be built."""
    folder = ROOT / "build" / "go-tools" / f"{package.replace('/', '_')}@{version}"
    if not list(folder.glob("*")):
        go = shutil.which("go")
        if go is None:
            pytest.skip(lack("Go", "apt install golang"))
        folder.mkdir(parents=True, exist_ok=True)
        command = [go, "install", f"{package}@{version}"]
        done = run(command, BUILD_SECONDS, env={**os.environ, "GOBIN": str(folder)})
        if done.returncode != 0:
            pytest.skip(f"{package} cannot be built: {done.stderr.strip().splitlines()[-1]}")
    (program,) = folder.glob("*")
    return str(program)


def kustomize() -> list[str]:
    """The command that builds a folder of Kustomize."""
    for program, arguments in (("kustomize", ["build"]), ("kubectl", ["kustomize"])):
        if (found := shutil.which(program)) is not None:
            return [found, *arguments]
    return [go_tool("sigs.k8s.io/kustomize/kustomize/v5", "v5.8.1"), "build"]
