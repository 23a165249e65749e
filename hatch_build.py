"""Compiles what is written in Cython, and Python files with a ``.pxd`` beside them, where there is
a C compiler. Where there is none Rollcall is pure Python: the same, and slower.

hatchling calls it for every wheel, and for an editable install, whose modules are put in place,
beside their sources. ``make`` runs it each time (``python hatch_build.py``): pip shows nothing of
what a build says, and a source that has changed is compiled anew. The C between the two is only
below ``build/``, and only for a moment.

The environment variable ``BUILD_ROLLCALL`` says what is wanted: ``auto`` (the default) compiles
where it can; for ``compiled`` it is an error that it cannot; ``pure`` compiles nothing, and takes
away what is in place.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = "BUILD_ROLLCALL"
CHOICES = ("auto", "compiled", "pure")
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
"""Of a module that this Python can load, and no other version of it."""

_ARGUMENTS = ["-O3", "-g0"]
_FOLDER = Path("build", "compiled")
_REMEDY = "Debian and Ubuntu: apt install gcc python3-dev"


SOURCE_ROOT = "app"
"""The folder of the package ``rollcall``: what ``src`` is elsewhere."""


class BuildError(Exception):
    """The modules cannot be compiled, and have to be. The message is one line."""


class CompiledModules(BuildHookInterface[BuilderConfig]):
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before a wheel is written, or an editable one, which only says where the checkout is."""
        root = Path(self.root)
        try:
            modules, remark = put_in_place(root) if version == "editable" else build(root)
        except BuildError as error:
            self.app.abort(str(error))
            return
        if remark:
            self.app.display_warning(remark)
        if modules and version != "editable":
            build_data.update(pure_python=False, infer_tag=True)
            build_data["force_include"].update(
                {str(file): place for place, file in modules.items()}
            )


def sources(root: Path) -> list[Path]:
    """What is to be compiled: what is written in Cython, and Python with types in C beside it."""
    declared = (root / SOURCE_ROOT).rglob("*.pxd")
    python = [path.with_suffix(".py") for path in declared if path.with_suffix(".py").is_file()]
    return sorted([*(root / SOURCE_ROOT).rglob("*.pyx"), *python])


def build(root: Path) -> tuple[dict[str, Path], str]:
    """The modules, compiled unless they have been before.

    Returns:
        Where each belongs, as a path below :data:`SOURCE_ROOT`, and where it is. Nothing if they
            are not compiled; then, unless that was asked for, what there
        is to say.

    Raises:
        BuildError: a source has a fault, or nothing can be compiled here though it must be.
    """
    wanted = os.environ.get(WANTED) or CHOICES[0]
    if wanted not in CHOICES:
        raise BuildError(f"{WANTED} is {wanted!r}: it is one of {', '.join(CHOICES)}")
    if wanted == "pure" or not sources(root):
        return {}, ""
    folder = root / _FOLDER / _digest(root)
    if not folder.is_dir():
        if lack := missing():
            if wanted == "compiled":
                raise BuildError(
                    f"Rollcall cannot be compiled, for want of {lack}. {_REMEDY}, or "
                    f"{WANTED}=auto to do without"
                )
            return (
                {},
                f"not compiled, for want of {lack}. Rollcall runs all the same, the router takes "
                f"half as much CPU time again. {_REMEDY}",
            )
        _compile(root, folder)
    places = [
        source.relative_to(root / SOURCE_ROOT).with_suffix(SUFFIX) for source in sources(root)
    ]
    return {place.as_posix(): folder / place for place in places}, ""


def put_in_place(root: Path) -> tuple[dict[str, Path], str]:
    """As ``build``, and the modules are beside their sources, and no others: Python prefers a
    compiled module to its source, so one that is older, or has no source, would decide.
    """
    modules: dict[str, Path] = {}
    try:
        modules, remark = build(root)
    finally:
        for place in (root / SOURCE_ROOT).rglob(f"*{SUFFIX}"):
            if place.relative_to(root / SOURCE_ROOT).as_posix() not in modules:
                place.unlink()
    for name, module in modules.items():
        target = root / SOURCE_ROOT / name
        if not target.is_file() or not filecmp.cmp(module, target, shallow=False):
            # A process may have the old one loaded: that file stays as it is.
            with _scratch(root) as scratch:
                os.replace(shutil.copy(module, scratch), target)
    return modules, remark


def missing() -> str | None:
    """What it takes to compile, and is not here."""
    command = _compiler()
    if command is None:
        return "a C compiler"
    headers = sysconfig.get_path("include")
    if not (Path(headers) / "Python.h").is_file():
        return f"Python's headers ({headers}/Python.h)"
    tried = subprocess.run(
        [*command, "-E", "-I", headers, "-x", "c", "-"],
        input="#include <Python.h>",
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        f"the headers of C ({command[0]} finds not all that Python.h includes)"
        if tried.returncode
        else None
    )


def _compiler() -> list[str] | None:
    """The one that is named, or that Python was made with, or any."""
    named = os.environ.get("CC")
    for choice in [named] if named else [sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]:
        command = shlex.split(choice or "")
        if command and shutil.which(command[0]):
            return command
    return None


def _digest(root: Path) -> str:
    """Another one for whatever makes another module."""
    digest = hashlib.sha256()
    for text in (
        SUFFIX,
        sys.version,
        version("cython"),
        os.environ.get("CFLAGS", ""),
        Path(__file__).read_text(encoding="utf-8"),
    ):
        digest.update(text.encode() + b"\0")
    for source in sorted([*sources(root), *(root / SOURCE_ROOT).rglob("*.pxd")]):
        digest.update(
            source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes() + b"\0"
        )
    return digest.hexdigest()[:16]


def _compile(root: Path, folder: Path) -> None:
    """All modules, into a folder that is there when all are."""
    from Cython.Build import cythonize
    from Cython.Compiler.Errors import CompileError
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext
    from setuptools.errors import CCompilerError

    relative = [source.relative_to(root) for source in sources(root)]
    print(f"compiling {', '.join(map(str, relative))}", flush=True)
    os.environ["CC"] = shlex.join(_compiler() or [])
    with _scratch(root) as scratch, contextlib.chdir(root):
        names = [
            ".".join(source.relative_to(SOURCE_ROOT).with_suffix("").parts) for source in relative
        ]
        modules = [
            Extension(name, [str(source)], extra_compile_args=_ARGUMENTS)
            for name, source in zip(names, relative, strict=True)
        ]
        try:
            written = cythonize(
                modules,
                include_path=[SOURCE_ROOT],
                build_dir=str(scratch / "c"),
                compiler_directives={"language_level": 3, "annotation_typing": False},
                quiet=True,
            )  # type: ignore[no-untyped-call] # has no types
            command = build_ext(Distribution({"ext_modules": written}))
            command.build_lib, command.build_temp, command.parallel = (
                str(scratch / "lib"),
                str(scratch / "temp"),
                len(modules),
            )
            command.ensure_finalized()
            command.run()
        except (CompileError, CCompilerError) as error:
            raise BuildError(f"Rollcall cannot be compiled, as is told above: {error}") from error
        try:
            (scratch / "lib").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another build was as quick
                raise


@contextlib.contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    (root / _FOLDER).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root / _FOLDER, prefix="scratch-") as name:
        yield Path(name)


def main() -> int:
    """For ``make``: the modules in place. Exit code 1 if a source has a fault, or if they must be
    compiled and cannot be.
    """
    try:
        _modules, remark = put_in_place(Path(__file__).parent)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    if remark:
        print(remark, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
