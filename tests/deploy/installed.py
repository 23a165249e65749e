"""Builds the wheel, and installs it with only the packages of requirements-runtime.lock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from hatch_build import SOURCE_ROOT, missing, sources
from rollcall.resources import resource_path
from tests.tools import COMPILER, lack
from tests.waiting import run

ROOT = resource_path("schemas").parent
RUNTIME_LOCK = ROOT / "requirements-runtime.lock"

needs_compiler = pytest.mark.skipif(
    (absent := missing()) is not None, reason=lack(str(absent), COMPILER)
)

_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ]+) (?:; (?P<marker>.+) )?\\$", re.MULTILINE
)
_HASH = re.compile(r"--hash=(\S+)")


class Pin(NamedTuple):
    """A line of a lock."""

    name: str
    version: str
    marker: str | None
    hashes: frozenset[str]


def pins(lock: Path) -> Iterator[Pin]:
    """All lines of a lock."""
    text = lock.read_text(encoding="utf-8")
    found = list(_PIN.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=True):
        yield Pin(
            match["name"],
            match["version"],
            match["marker"],
            frozenset(_HASH.findall(text[match.end() : end])),
        )


def module_names() -> list[str]:
    """Names of the modules that a compiler compiles."""
    return [
        ".".join(source.relative_to(ROOT / SOURCE_ROOT).with_suffix("").parts)
        for source in sources(ROOT)
    ]


def build(
    target: str, folder: Path, checkout: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Build a wheel or an sdist of a checkout, without a package registry. ``variables``:
    environment variables.
    """
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        target,
        "--directory",
        str(folder),
    ]
    return subprocess.run(
        command,
        cwd=checkout,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout, with compiled modules if there is a compiler."""
    done = build("wheel", folder, BUILD_ROLLCALL="pure" if missing() else "compiled")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


class Installation:
    """A virtual environment with the wheel.

    Its dependencies are links to those of the tests' environment, but only those in
    requirements-runtime.lock, with the same versions. The checkout and developers' packages cannot
    be imported.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        self.rollcall = folder / "bin" / "rollcall"
        # before the links: pip removes files of the same name
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "--python",
                str(self.python),
                "install",
                "--quiet",
                "--no-index",
                "--no-deps",
                str(wheel),
            ],
            capture_output=True,
            check=True,
        )
        self.packages = Path(
            self.run_code("import sysconfig; print(sysconfig.get_path('platlib'))")
        )
        for pin in pins(RUNTIME_LOCK):
            self._link(pin)

    def _link(self, pin: Pin) -> None:
        found = metadata.distribution(pin.name)
        assert found.version == pin.version, (
            f"{pin.name} {found.version} is installed, but {RUNTIME_LOCK.name} has {pin.version}"
        )
        files = [file for file in found.files or () if file.parts[0] not in ("..", "__pycache__")]
        packages = {file.parts[0] for file in files if file.parts[1:] == ("__init__.py",)}
        shared = {
            file.parts[0] for file in files if len(file.parts) > 1 and file.suffix == ".py"
        } - packages  # namespaces with other packages
        for name in {str(file) if file.parts[0] in shared else file.parts[0] for file in files}:
            (self.packages / name).parent.mkdir(parents=True, exist_ok=True)
            (self.packages / name).symlink_to(Path(str(found.locate_file(name))))

    def run_code(self, code: str) -> str:
        """The output of Python code."""
        return self._run([str(self.python), "-I", "-c", code], self.folder).stdout.strip()

    def run(self, *arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
        """Run the command ``rollcall`` in a directory."""
        return self._run([str(self.rollcall), *arguments], directory)

    def _run(self, command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ROLLCALL_", "PYTHON"))
        }
        return run(command, cwd=directory, env=environment, check=True)
