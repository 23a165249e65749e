"""Runs the steps of deploy/container/Containerfile without a container engine, with bubblewrap.

Differences from a real build: the base is this machine, with a C compiler, and not the base image
of the Containerfile; there are no layers; no engine starts the container.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

import hatch_build
from tests.deploy.installed import ROOT
from tests.tools import COMPILER, lack
from tests.waiting import run

CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"
BUILD_SECONDS = 300

FOLDERS = {"/opt": "opt", "/usr/src": "src", "/var/lib": "lib"}
"""Debian's folders to which the steps write, and the folders that replace them."""

_BWRAP = ("bwrap", "--die-with-parent")
_SYSTEM = ("--proc", "/proc", "--dev", "/dev")


def missing() -> str | None:
    """Reason why the steps cannot run here; None: they can."""
    if shutil.which("bwrap") is None:
        return lack("bubblewrap", "apt install bubblewrap")
    if part := hatch_build.missing() or (None if shutil.which("gcc") else "gcc"):
        return lack(f"{part}, which the builder needs", COMPILER)
    done = subprocess.run(
        [*_BWRAP, "--unshare-user", "--ro-bind", "/", "/", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"bubblewrap cannot work here: {done.stderr.strip()}" if done.returncode else None


class Step(NamedTuple):
    """An instruction of the Containerfile."""

    word: str
    rest: str


def steps() -> Iterator[Step]:
    """All instructions of the Containerfile."""
    lines = (
        line
        for line in CONTAINERFILE.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield Step(word, rest.strip())


class Container:
    """The result of the steps, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.user = ""
        self.entrypoint: list[str] = []
        for name in FOLDERS.values():
            (folder / name).mkdir(parents=True)
        for step in steps():
            getattr(self, f"_{step.word.lower()}")(step.rest)

    def command(self, *, data: Path, scratch: Path, program: Sequence[str] = ()) -> list[str]:
        """The command that starts the container's program, without capabilities. It can write to
        two folders only.

        Args:
            data: replaces the volume at ``ROLLCALL_DATA``.
            scratch: replaces ``/tmp``.
            program: replaces the entry point.
        """
        user, group = self.user.split(":")
        writable = [
            "--bind",
            str(data),
            self.environment["ROLLCALL_DATA"],
            "--bind",
            str(scratch),
            "/tmp",  # noqa: S108
        ]
        identity = ["--unshare-user", "--uid", user, "--gid", group, "--cap-drop", "ALL"]
        environment = [
            option for pair in self.environment.items() for option in ("--setenv", *pair)
        ]
        own = [
            *writable,
            *_SYSTEM,
            "--unsetenv",
            "PYTHONPATH",
            *environment,
            "--chdir",
            self._directory,
        ]
        return [
            *_BWRAP,
            *identity,
            "--ro-bind",
            "/",
            "/",
            *self._mounts("--ro-bind"),
            *own,
            *(program or self.entrypoint),
        ]

    def _mounts(self, kind: str) -> list[str]:
        """Options that mount the folders of :data:`FOLDERS`."""
        return [
            option
            for path, name in FOLDERS.items()
            for option in (kind, str(self.folder / name), path)
        ]

    # --- instructions

    def _arg(self, rest: str) -> None:
        assert rest.startswith("PYTHON_IMAGE=")

    def _from(self, rest: str) -> None:
        assert rest.startswith("${PYTHON_IMAGE}")
        self._directory = "/"
        self.environment = {"PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"}

    def _label(self, rest: str) -> None:
        pass

    def _env(self, rest: str) -> None:
        for name, value in re.findall(r"(\w+)=(\S+)", rest):
            self.environment[name] = Template(value).substitute(self.environment)

    def _workdir(self, rest: str) -> None:
        self._directory = rest
        self._host(rest).mkdir(exist_ok=True)

    def _user(self, rest: str) -> None:
        self.user = rest

    def _cmd(self, rest: str) -> None:
        pass

    def _entrypoint(self, rest: str) -> None:
        self.entrypoint = re.findall(r'"([^"]+)"', rest)

    def _copy(self, rest: str) -> None:
        words = rest.split()
        options = [word for word in words if word.startswith("--")]
        *sources, target = words[len(options) :]
        for source in sources:
            if any(option.startswith("--from=") for option in options):
                origin, destination = self._host(source), self._host(target)
            else:
                # like COPY: the contents of a folder, or a file, into the target folder
                origin = ROOT / source
                destination = self._host(f"{self._directory}/{target}") / (
                    source if origin.is_file() else ""
                )
            if origin.is_file():
                shutil.copy(origin, destination)
            elif origin != destination:
                shutil.copytree(
                    origin,
                    destination,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__", "*.so"),
                )

    def _run(self, rest: str) -> None:
        command = [
            *_BWRAP,
            "--ro-bind",
            "/",
            "/",
            *self._mounts("--bind"),
            "--tmpfs",
            "/tmp",  # noqa: S108
            *_SYSTEM,
            "--chdir",
            self._directory,
            "/bin/sh",
            "-euc",
            rest,
        ]
        # pip may use the cache of `make venv`
        own = {
            name: value for name, value in self.environment.items() if name != "PIP_NO_CACHE_DIR"
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name == "HOME"
        }
        done = run(command, BUILD_SECONDS, env={**inherited, **own})
        assert done.returncode == 0, f"{rest}\n{done.stdout}{done.stderr}"

    def _host(self, path: str) -> Path:
        """The path outside for a path in the container."""
        folder = next(folder for folder in FOLDERS if path.startswith(f"{folder}/"))
        return self.folder / FOLDERS[folder] / path.removeprefix(f"{folder}/")
