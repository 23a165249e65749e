"""deploy/container: the image's contents; it runs without rights and on a read-only root."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollcall.process.ending import ending_signals
from rollcall.serve.tokens import add_token
from tests.deploy.container import CONTAINERFILE, Container, missing, steps
from tests.deploy.installed import ROOT, module_names
from tests.kafka_client import Sent, send
from tests.processes import RollcallProcess, wait_until
from tests.serve.client import get
from tests.tools import lack
from tests.waiting import run

EVENTS = ROOT / "tests" / "fixtures" / "documented"

needs_bubblewrap = pytest.mark.skipif((reason := missing()) is not None, reason=str(reason))


def test_the_linter_accepts_the_containerfile() -> None:
    hadolint = shutil.which(
        "hadolint", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    )
    if hadolint is None:
        pytest.skip(lack("hadolint", "make venv"))
    done = subprocess.run(
        [hadolint, str(CONTAINERFILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_context_has_only_copied_files() -> None:
    copied = {
        source
        for step in steps()
        if step.word == "COPY" and "--from" not in step.rest
        for source in step.rest.split()[:-1]
    }
    first, *included, caches, in_place = (
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    assert (first, caches, in_place) == ("*", "**/__pycache__", "**/*.so")
    assert {line.removeprefix("!/") for line in included} == copied


def test_the_compiler_stays_in_the_builder() -> None:
    """The image is the base with folders of the builder. Nothing is installed in it."""
    all_steps = list(steps())
    start = max(index for index, step in enumerate(all_steps) if step.word == "FROM")
    image = all_steps[start:]
    assert "apt-get" in "".join(step.rest for step in all_steps[:start])
    assert [step for step in image if step.word == "RUN"] == []
    assert {step.rest.split()[-1] for step in image if step.word == "COPY"} == {
        "/opt/rollcall",
        "/var/lib/rollcall",
    }


def test_signals_are_blocked_until_their_handlers_exist() -> None:
    (entry,) = (step.rest for step in steps() if step.word == "ENTRYPOINT")
    (blocked,) = re.findall(r"--block-signal=([A-Z,]+)", entry)
    assert {f"SIG{name}" for name in blocked.split(",")} == {
        number.name for number in ending_signals()
    }


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """Built by the Containerfile's steps, which use the package registry."""
    return Container(tmp_path_factory.mktemp("container"))


class ContainedProcess(RollcallProcess):
    """A process in the container."""

    def __init__(
        self,
        container: Container,
        command: str,
        folder: Path,
        bootstrap: str,
        prefix: str,
        **settings: object,
    ) -> None:
        self.data, self.scratch = folder / f"{command}-data", folder / f"{command}-tmp"
        for writable in (self.data, self.scratch):
            writable.mkdir(exist_ok=True)
        super().__init__(
            command,
            folder,
            bootstrap,
            prefix,
            program=container.command(data=self.data, scratch=self.scratch),
            variables=None,
            **settings,
        )

    @property
    def inner_pid(self) -> int:
        """Id of Rollcall's own process: bubblewrap does not pass signals on."""
        (child,) = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        return int(child)

    def written_files(self) -> set[str]:
        """Names of the files in its writable folders."""
        return {
            path.name
            for folder in (self.data, self.scratch)
            for path in folder.rglob("*")
            if path.is_file()
        }

    def terminate(self) -> int:
        """Send SIGTERM, and return the exit code."""
        os.kill(self.inner_pid, signal.SIGTERM)
        return self.wait_exit()


def loaded_modules(container: Container, folder: Path) -> set[str]:
    """Files of the compiled modules in the container."""
    code = (
        "import importlib; print(*(importlib.import_module(name).__file__ for name in "
        f"{module_names()}))"
    )
    command = container.command(
        data=folder, scratch=folder, program=["/opt/rollcall/bin/python", "-I", "-c", code]
    )
    return set(run(command, check=True).stdout.split())


@pytest.mark.slow
@needs_bubblewrap
def test_it_runs_without_rights_on_a_read_only_root(
    container: Container, bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """From a raw event to a response, with compiled modules. A failed write would end a process, so
    none writes to other folders.
    """
    modules = loaded_modules(container, tmp_path)
    assert len(modules) == len(module_names())
    assert all(file.startswith("/opt/rollcall/") and file.endswith(".so") for file in modules)
    token = add_token(tmp_path / "serve-data" / "tokens", "program")
    with (
        ContainedProcess(container, "router", tmp_path, bootstrap, prefix) as router,
        ContainedProcess(container, "rosters", tmp_path, bootstrap, prefix) as rosters,
        ContainedProcess(
            container,
            "serve",
            tmp_path,
            bootstrap,
            prefix,
            bind="0.0.0.0",  # noqa: S104
            tokens_file="/var/lib/rollcall/tokens",
        ) as serve,
    ):
        router.wait_ready()
        rosters.wait_ready()
        send(bootstrap, f"{prefix}.raw", [Sent((EVENTS / "enrollment_created.json").read_bytes())])
        serve.wait_ready()
        url = f"{serve.url}/api/v1/courses/21070000000000565/enrollments"
        headers = {"Authorization": f"Bearer {token}"}
        wait_until(lambda: get(url, headers=headers).status_code == 200, what="the enrollment")
        assert [row["id"] for row in get(url, headers=headers).json()] == [21070000000046825]
        for process in (router, rosters, serve):
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{process.inner_pid}/status").read_text().splitlines()
                if ":\t" in line
            )
            assert int(status["CapEff"], 16) == 0
            assert status["NoNewPrivs"] == "1"
        assert [process.terminate() for process in (router, rosters, serve)] == [0, 0, 0]
        assert router.written_files() == rosters.written_files() == set()
        assert serve.written_files() == {"tokens", "replica.sqlite", "replica.sqlite.lock"}
