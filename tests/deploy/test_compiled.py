"""hatch_build.py: compiled modules, their places, and failures to compile."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from hatch_build import SUFFIX, WANTED, missing
from tests.deploy.installed import ROOT, build, module_names, needs_compiler

NO_COMPILER = {"CC": "/nowhere/cc"}

REMEDY = "Debian and Ubuntu: apt install gcc python3-dev"

Project = Callable[[dict[str, str]], Path]

SOURCES = {
    "app/small/__init__.py": "",
    "app/small/one.pxd": "cdef inline int number():\n    return 1\n",
    "app/small/inner/__init__.py": "",
    "app/small/inner/two.pyx": "from small.one cimport number\n\ndef twice():\n    return 2 * "
    "number()\n",
}
BROKEN = {"Cython": "def twice(:\n", "C": 'cdef extern from "nowhere.h":\n    pass\n'}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Makes a checkout with a small package and this project's build."""

    def make(files: dict[str, str]) -> Path:
        folder = tmp_path / "checkout"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        for name in ("hatch_build.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        return folder

    return make


def compile_in_place(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Compile like ``make``."""
    environment = os.environ | {WANTED: "auto"} | variables
    return subprocess.run(
        [sys.executable, "hatch_build.py"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def result_of(checkout: Path) -> str:
    """The result of the small package's function."""
    command = [
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, 'app'); from small.inner.two import twice; print(twice())",
    ]
    return subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, check=True
    ).stdout.strip()


@needs_compiler
@pytest.mark.skipif(os.environ.get(WANTED) == "pure", reason=f"{WANTED} is pure")
@pytest.mark.parametrize("name", module_names())
def test_the_modules_of_this_checkout_are_compiled(name: str) -> None:
    """So all other tests run the compiled modules, and not the pure ones by accident."""
    assert str(importlib.import_module(name).__file__).endswith(SUFFIX)


@needs_compiler
def test_a_module_is_compiled_in_place_and_again_after_changes(project: Project) -> None:
    checkout = project(SOURCES)
    module = checkout / "app" / "small" / "inner" / f"two{SUFFIX}"
    assert compile_in_place(checkout).stdout == "compiling app/small/inner/two.pyx\n"
    assert result_of(checkout) == "2"
    assert [
        path for path in checkout.rglob("*.c") if "build" not in path.relative_to(checkout).parts
    ] == []
    again = compile_in_place(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    # an editable install compiles, too
    module.unlink()
    code = (
        "from hatchling.build import build_editable; "
        f"print(build_editable({str(checkout.parent)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, check=True)
    assert result_of(checkout) == "2"

    # a change of an included file counts; a module that cannot be compiled again is deleted
    (checkout / "app" / "small" / "one.pxd").write_text(
        SOURCES["app/small/one.pxd"].replace("1", "21"), encoding="utf-8"
    )
    compile_in_place(checkout, **NO_COMPILER)
    assert not module.exists()
    assert compile_in_place(checkout).stdout == "compiling app/small/inner/two.pyx\n"
    assert result_of(checkout) == "42"

    compile_in_place(checkout, BUILD_ROLLCALL="pure")
    assert not module.exists()


@needs_compiler
def test_python_with_a_pxd_is_compiled_and_also_runs_uncompiled(project: Project) -> None:
    python = "class Box:\n    def __init__(self, size):\n        self.size = size\n"
    types = "cdef class Box:\n    cdef readonly int size\n"
    twice = "from small.box import Box\n\ndef twice():\n    return Box(21).size * 2\n"
    checkout = project(
        SOURCES
        | {"app/small/box.py": python, "app/small/box.pxd": types}
        | {"app/small/inner/two.pyx": twice}
    )
    module = checkout / "app" / "small" / f"box{SUFFIX}"
    assert compile_in_place(checkout).returncode == 0
    assert module.exists()
    assert result_of(checkout) == "42"
    compile_in_place(checkout, BUILD_ROLLCALL="pure")
    assert not module.exists()
    (checkout / "app" / "small" / "inner" / "two.py").write_text(twice)
    assert result_of(checkout) == "42"


@needs_compiler
def test_compiled_modules_without_a_source_are_deleted(project: Project) -> None:
    """Otherwise Python would load them instead of the current source."""
    box = "def size():\n    return 1\n"
    checkout = project(
        SOURCES
        | {"app/small/box.py": box, "app/small/box.pxd": "cpdef int size()\n"}
        | {"app/small/inner/two.py": "from small.box import size as twice\n"}
    )
    source, types, module = (
        checkout / "app" / "small" / f"box{suffix}" for suffix in (".py", ".pxd", SUFFIX)
    )
    (checkout / "app" / "small" / "inner" / "two.pyx").unlink()
    assert compile_in_place(checkout).returncode == 0
    assert module.exists()
    assert result_of(checkout) == "1"
    source.write_text(box.replace("1", "2"))
    types.unlink()
    for variables in ({}, {WANTED: "pure"}):
        assert compile_in_place(checkout, **variables).returncode == 0
        assert not module.exists()
        assert result_of(checkout) == "2"
        module.write_bytes(b"of an earlier release")


@needs_compiler
@pytest.mark.parametrize("fault", BROKEN)
def test_a_faulty_source_is_an_error(project: Project, tmp_path: Path, fault: str) -> None:
    checkout = project(SOURCES | {"app/small/inner/two.pyx": BROKEN[fault]})
    # a wheel build fails in the same way for all faults: one is enough
    wheel = [build("wheel", tmp_path, checkout, BUILD_ROLLCALL="auto")] if fault == "C" else []
    for done in (compile_in_place(checkout), *wheel):
        assert done.returncode != 0
        assert re.search(r"two\.pyx:1:|nowhere\.h", done.stderr)
        assert "Rollcall cannot be compiled, as is told above" in done.stderr
    assert [*tmp_path.glob("*.whl"), *checkout.rglob(f"*{SUFFIX}")] == []
    stale = checkout / "app" / "small" / "inner" / f"two{SUFFIX}"
    stale.write_bytes(b"of the source before")
    assert compile_in_place(checkout).returncode != 0
    assert not stale.exists()


@pytest.mark.parametrize("wanted", ["compiled", "complied"])
def test_required_compilation_that_is_impossible_is_an_error(
    project: Project, tmp_path: Path, wanted: str
) -> None:
    checkout = project(SOURCES)
    messages = {
        "compiled": f"Rollcall cannot be compiled, for want of a C compiler. {REMEDY}, or "
        "BUILD_ROLLCALL=auto to do without\n",
        "complied": "BUILD_ROLLCALL is 'complied': it is one of auto, compiled, pure\n",
    }
    done = compile_in_place(checkout, BUILD_ROLLCALL=wanted, **NO_COMPILER)
    assert (done.returncode, done.stderr) == (1, messages[wanted])
    done = build("wheel", tmp_path, checkout, BUILD_ROLLCALL=wanted, **NO_COMPILER)
    assert done.returncode != 0
    assert messages[wanted] in done.stderr
    assert list(tmp_path.glob("*.whl")) == []


def test_a_missing_compiler_is_reported_in_one_line(project: Project) -> None:
    done = compile_in_place(project(SOURCES), PATH="/nowhere", CC="")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "not compiled, for want of a C compiler. Rollcall runs all the same, the router takes "
        f"half as much CPU time again. {REMEDY}\n"
    )


@needs_compiler
def test_missing_headers_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert missing() is None
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path))
    assert missing() == f"Python's headers ({tmp_path}/Python.h)"
    (tmp_path / "Python.h").write_text("#include <nowhere.h>\n", encoding="utf-8")
    assert str(missing()).startswith("the headers of C")
