"""The wheel: its contents, its dependencies, and its use without a checkout."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from hatch_build import SUFFIX, missing, sources
from rollcall.events.registry import REGISTRY
from rollcall.resources import resource_path
from rollcall.sandbox.broker.libraries import kafka_version
from rollcall.sandbox.canvas.traffic import TrafficPlan, generate_traffic
from tests.deploy.installed import (
    ROOT,
    RUNTIME_LOCK,
    Installation,
    build,
    module_names,
    needs_compiler,
    pins,
)
from tests.kafka_client import Sent, committed, create_topic, read_all, send
from tests.processes import RollcallProcess, wait_until

LOCK = ROOT / "requirements.lock"
BUILD_LOCK = ROOT / "requirements-build.lock"
STATIC = ROOT / "app" / "rollcall" / "serve" / "page" / "static"
NOWHERE = "127.0.0.1:1"
DATA = "rollcall/_data/"


def files_of(*folders: str) -> set[str]:
    """Paths in a wheel of the files below folders of the checkout, without sources and results of
    compilation.
    """
    files = (
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".pyx", ".pxd", ".so"}
    )
    # in __pycache__, Python writes to files with other suffixes first
    return {
        path.relative_to(ROOT).as_posix().removeprefix("app/")
        for path in files
        if path.parent.name != "__pycache__"
    }


def contents_of(wheel: Path) -> set[str]:
    """Paths of a wheel's files without metadata. Files must be equal to those of the checkout."""
    with zipfile.ZipFile(wheel) as archive:
        paths = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in paths:
            if not name.endswith(".so"):
                assert (
                    archive.read(name)
                    == (
                        ROOT / (name.removeprefix(DATA) if name.startswith(DATA) else f"app/{name}")
                    ).read_bytes()
                ), name
    return paths


PACKAGE = files_of("app") | {f"{DATA}{name}" for name in files_of("schemas", "deploy/kafka")}
MODULES = {name.replace(".", "/") + SUFFIX for name in module_names()}


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    assert contents_of(wheel) == PACKAGE | (set() if missing() else MODULES)


@needs_compiler
def test_the_modules_are_compiled_for_this_python(wheel: Path, installation: Installation) -> None:
    assert not wheel.name.endswith("-none-any.whl")
    assert f"-cp{sys.version_info.major}{sys.version_info.minor}-" in wheel.name
    found = installation.run_code(
        "import importlib; print(*(importlib.import_module(name).__file__ for name in "
        f"{module_names()}))"
    )
    assert set(found.split()) == {str(installation.packages / name) for name in MODULES}


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Built from the sdist, without a compiler."""
    folder = tmp_path_factory.mktemp("pure")
    assert build("sdist", folder).returncode == 0
    (sdist,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(sdist, folder, filter="data")
    checkout = folder / sdist.name.removesuffix(".tar.gz")
    assert {source.relative_to(checkout) for source in sources(checkout)} == {
        source.relative_to(ROOT) for source in sources(ROOT)
    }
    done = build("wheel", folder, checkout, CC="/nowhere/cc", BUILD_ROLLCALL="auto")
    assert done.returncode == 0, done.stderr
    (remark,) = (line for line in done.stderr.splitlines() if "compile" in line)
    assert "for want of a C compiler. Rollcall runs all the same" in remark
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert contents_of(wheel) == PACKAGE
    return Installation(folder / "installed", wheel)


@pytest.mark.slow
def test_without_a_compiler_everything_works(
    pure: Installation, bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Every event is on its topic, in batches that every client can read."""
    event = ROOT / "tests" / "fixtures" / "documented" / "enrollment_created.json"
    assert "valid" in pure.run("validate", str(event), directory=tmp_path).stdout
    sent = [Sent(record.value) for record in generate_traffic(TrafficPlan.clean(count=300))]
    create_topic(bootstrap, f"{prefix}.raw", 3)
    send(bootstrap, f"{prefix}.raw", sent)
    program = (str(pure.python), "-I", str(pure.rollcall))
    with RollcallProcess(
        "router", tmp_path, bootstrap, prefix, program=program, redact=False, events="all"
    ) as router:
        wait_until(
            lambda: (
                sum(committed(bootstrap, f"{prefix}-router", f"{prefix}.raw").values()) == len(sent)
            ),
            what="the end of the input",
        )
        assert router.end() == 0
        assert any("the router is not compiled" in str(line) for line in router.log)
    typed = read_all(
        bootstrap,
        [f"{prefix}.events.{event_type.name}" for event_type in REGISTRY.values()],
        at_least=len(sent),
    )
    assert sorted(message.value() or b"" for message in typed) == sorted(
        each.value or b"" for each in sent
    )


@pytest.mark.parametrize("part", [RUNTIME_LOCK, BUILD_LOCK], ids=lambda path: path.name)
def test_the_smaller_locks_are_parts_of_the_lock(part: Path) -> None:
    """So the tested versions are the deployed ones."""
    assert set(pins(part))
    assert set(pins(part)) <= set(pins(LOCK))
    assert all(pin.hashes for pin in pins(part))


@pytest.mark.parametrize("lock", [LOCK, RUNTIME_LOCK, BUILD_LOCK], ids=lambda path: path.name)
def test_no_lock_names_a_package_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


def test_nothing_comes_from_the_checkout(installation: Installation) -> None:
    origin, path = json.loads(
        installation.run_code(
            "import rollcall, json, sys; print(json.dumps([rollcall.__file__, sys.path]))"
        )
    )
    assert Path(origin) == installation.packages / "rollcall" / "__init__.py"
    assert [
        entry for entry in path if not entry.startswith((str(installation.folder), sys.base_prefix))
    ] == []
    imported = (
        "import importlib.util as u; print([n for n in ('tests', 'pytest', 'hypothesis', "
        "'hatchling') if u.find_spec(n)])"
    )
    assert installation.run_code(imported) == "[]"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (("--help",), "Canvas live events"),
        (("schemas", "list"), list(REGISTRY)[-1]),
        (("schemas", "lint"), ""),
        (("topics", "plan"), "canvas.rosters.enrollments"),
        (
            (
                "validate",
                str(ROOT / "tests" / "fixtures" / "documented" / "enrollment_created.json"),
            ),
            "valid",
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_commands(
    installation: Installation, tmp_path: Path, command: tuple[str, ...], output: str
) -> None:
    assert output in installation.run(*command, directory=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_broker_has_its_list_of_libraries(installation: Installation) -> None:
    imports = (
        "from rollcall.sandbox.broker.libraries import kafka_version; from "
        "rollcall.resources import resource_path"
    )
    code = f"{imports}; print(kafka_version(), resource_path('deploy', 'kafka', 'pom.xml'))"
    version, pom = installation.run_code(code).split()
    assert version == kafka_version()
    assert Path(pom).read_bytes() == resource_path("deploy", "kafka", "pom.xml").read_bytes()
    assert Path(pom).is_relative_to(installation.packages)


def test_schemas_of_another_package_are_not_used(installation: Installation) -> None:
    for folder in (installation.packages, installation.packages.parent):
        (folder / "schemas").mkdir()
        (folder / "pyproject.toml").touch()
    found = Path(
        installation.run_code(
            "from rollcall.resources import resource_path; print(resource_path('schemas'))"
        )
    )
    assert found == installation.packages / "rollcall" / "_data" / "schemas"


def test_the_page(installation: Installation, tmp_path: Path) -> None:
    """The page works without Kafka."""
    program = (str(installation.python), "-I", str(installation.rollcall))
    with RollcallProcess(
        "serve", tmp_path, NOWHERE, "canvas", program=program, data=tmp_path / "data"
    ) as serve:
        wait_until(lambda: serve.get("/livez")[0] == 200, what="a response")
        assert serve.get("/")[0] == 200
        for file in STATIC.iterdir():
            if file.suffix != ".html":
                assert serve.get(f"/static/{file.name}") == (
                    200,
                    file.read_text(encoding="utf-8"),
                ), file.name
        assert (
            "/api/v1/courses/{course_id}/enrollments"
            in json.loads(serve.get("/openapi.json")[1])["paths"]
        )
        assert serve.end() == 0
