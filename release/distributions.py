"""The files that users install: built, and tried in environments that have nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from release.texts import ReleaseError

PACKAGE = "rollcall"

_OURS = ("ROLLCALL_", "BUILD_ROLLCALL", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "VERSION", "DRY")
"""Beginnings of variables that would change a command. make exports its own, and what stands on its
command line.
"""

_FILES = """
import importlib.metadata, json
print(json.dumps([str(file) for file in importlib.metadata.files("rollcall")]))
"""


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """What a command prints. Its environment has ``variables``, but none of Rollcall, Python, make.

    Raises:
        ReleaseError: it failed; the message has what it printed last.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=inherited | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "\n  ".join(done.stdout.strip().splitlines()[-20:])
        raise ReleaseError(
            f"{' '.join(map(str, command))} ended with {done.returncode}, in {folder}:\n  {last}"
        )
    return done.stdout


def build(python: Path, tree: Path, target: Path) -> list[Path]:
    """The sdist, the wheel of pure Python, and the compiled wheel, from a work tree.

    Args:
        python: has the build backend.
    """
    hatchling: list[str | Path] = [python, "-m", "hatchling", "build", "--directory", target]
    run([*hatchling, "--target", "sdist", "--target", "wheel"], tree, BUILD_ROLLCALL="pure")
    run([*hatchling, "--target", "wheel"], tree, BUILD_ROLLCALL="compiled")
    return sorted(target.iterdir())


def check(distribution: Path, *, version: str, tree: Path, scratch: Path) -> None:
    """Install a distribution where nothing else is, and run Rollcall there.

    Args:
        tree: has the lock file of what Rollcall needs, and the schema files with their examples.
        scratch: a folder that is made, with the environment and an empty folder in which Rollcall
            runs.

    Raises:
        ReleaseError: something did not go as it must.
    """
    environment, folder = scratch / "environment", scratch / "folder"
    folder.mkdir(parents=True)
    venv.create(environment, with_pip=True)
    pip: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "--quiet", "install"]
    lock = tree / "requirements-runtime.lock"
    run([*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", lock], folder)
    run([*pip, "--no-deps", distribution], folder)
    run([environment / "bin" / "python", "-m", "pip", "check"], folder)
    _check_files(environment, folder)
    rollcall = environment / "bin" / PACKAGE
    printed = run([rollcall, "--version"], folder).strip()
    if printed != f"{PACKAGE} {version}":
        raise ReleaseError(f"rollcall --version of {distribution.name} prints {printed!a}")
    schema = json.loads((tree / "schemas" / "enrollment_created.json").read_bytes())
    example = scratch / "example.json"
    example.write_text(json.dumps(schema["examples"][0]), encoding="utf-8")
    run([rollcall, "validate", example], folder)
    run([rollcall, "demo"], folder)


def _check_files(environment: Path, folder: Path) -> None:
    """Only the package and the command are installed."""
    files = json.loads(run([environment / "bin" / "python", "-c", _FILES], folder))
    tops = {Path(file).parts[0] for file in files if not file.startswith("../")}
    others = {top for top in tops if top != PACKAGE and not top.endswith(".dist-info")}
    if others or PACKAGE not in tops:
        raise ReleaseError(f"the distribution installs {', '.join(sorted(tops))}")
