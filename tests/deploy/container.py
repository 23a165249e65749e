"""What deploy/container/Containerfile says, carried out without a container engine: its steps by
bubblewrap, each in folders of its own.

What stays apart from a real build: the base is this machine, not the image that the Containerfile
names, and brings a C compiler; layers, and how an engine starts what it has built.
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

PLACES = {"/opt": "opt", "/usr/src": "src", "/var/lib": "lib"}
"""Folders of every Debian below which the steps write, and those that stand in for them."""

_BWRAP = ("bwrap", "--die-with-parent")
_SYSTEM = ("--proc", "/proc", "--dev", "/dev")


def missing() -> str | None:
    """Why the steps cannot be carried out here; None: they can."""
    if shutil.which("bwrap") is None:
        return lack("bubblewrap", "apt install bubblewrap")
    if part := hatch_build.missing() or (None if shutil.which("gcc") else "gcc"):
        return lack(f"{part}, which the builder takes from it", COMPILER)
    tried = subprocess.run(
        [*_BWRAP, "--unshare-user", "--ro-bind", "/", "/", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"bubblewrap cannot work here: {tried.stderr.strip()}" if tried.returncode else None


class Step(NamedTuple):
    """An instruction."""

    word: str
    rest: str


def steps() -> Iterator[Step]:
    """The instructions, each on one line."""
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
        for name in PLACES.values():
            (folder / name).mkdir(parents=True)
        for step in steps():
            getattr(self, f"_{step.word.lower()}")(step.rest)

    def command(self, *, data: Path, scratch: Path, program: Sequence[str] = ()) -> list[str]:
        """Starts what the container starts, without capabilities and with nothing to write to but
        two folders.

        Args:
            data: stands in for the volume at ``ROLLCALL_DATA``.
            scratch: for ``/tmp``.
            program: instead of the entry point.
        """
        user, group = self.user.split(":")
        mounts = [
            option
            for place, name in PLACES.items()
            for option in ("--ro-bind", str(self.folder / name), place)
        ]
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
            *mounts,
            *own,
            *(program or self.entrypoint),
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
                origin, place = self._host(source), self._host(target)
            else:
                # A folder's contents become those of the target, a file goes into it.
                origin = ROOT / source
                place = self._host(f"{self._directory}/{target}") / (
                    source if origin.is_file() else ""
                )
            if origin.is_file():
                shutil.copy(origin, place)
            elif origin != place:
                shutil.copytree(
                    origin,
                    place,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("__pycache__", "*.so"),
                )

    def _run(self, rest: str) -> None:
        mounts = [
            option
            for place, name in PLACES.items()
            for option in ("--bind", str(self.folder / name), place)
        ]
        command = [
            *_BWRAP,
            "--ro-bind",
            "/",
            "/",
            *mounts,
            "--tmpfs",
            "/tmp",  # noqa: S108
            *_SYSTEM,
            "--chdir",
            self._directory,
            "/bin/sh",
            "-euc",
            rest,
        ]
        # pip takes what `make venv` has fetched already, if it is still there.
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
        """Where a path of the container is."""
        place = next(place for place in PLACES if path.startswith(f"{place}/"))
        return self.folder / PLACES[place] / path.removeprefix(f"{place}/")
