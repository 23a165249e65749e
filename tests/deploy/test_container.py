"""deploy/container: what is built, and that it runs without rights and without writing anywhere but
where it may.
"""

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

needs_bubblewrap = pytest.mark.skipif((why := missing()) is not None, reason=str(why))


def test_the_linter_is_content() -> None:
    hadolint = shutil.which(
        "hadolint", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    )
    if hadolint is None:
        pytest.skip(lack("hadolint", "make venv"))
    done = subprocess.run(
        [hadolint, str(CONTAINERFILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = {
        source
        for step in steps()
        if step.word == "COPY" and "--from" not in step.rest
        for source in step.rest.split()[:-1]
    }
    first, *seen, caches, in_place = (
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    assert (first, caches, in_place) == ("*", "**/__pycache__", "**/*.so")
    assert {line.removeprefix("!/") for line in seen} == copied


def test_the_compiler_stays_in_the_builder() -> None:
    """The image is the base, and what is copied from the builder: nothing is installed in it."""
    everything = list(steps())
    start = max(place for place, step in enumerate(everything) if step.word == "FROM")
    image = everything[start:]
    assert "apt-get" in "".join(step.rest for step in everything[:start])
    assert [step for step in image if step.word == "RUN"] == []
    assert {step.rest.split()[-1] for step in image if step.word == "COPY"} == {
        "/opt/rollcall",
        "/var/lib/rollcall",
    }


def test_no_signal_comes_before_its_handler() -> None:
    (entry,) = (step.rest for step in steps() if step.word == "ENTRYPOINT")
    (blocked,) = re.findall(r"--block-signal=([A-Z,]+)", entry)
    assert {f"SIG{name}" for name in blocked.split(",")} == {
        number.name for number in ending_signals()
    }


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """Built by the Containerfile's steps, which ask the package registry."""
    return Container(tmp_path_factory.mktemp("container"))


class Contained(RollcallProcess):
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
        for place in (self.data, self.scratch):
            place.mkdir(exist_ok=True)
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
    def inner(self) -> int:
        """The process that bubblewrap has started, which does not pass signals on."""
        (child,) = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        return int(child)

    def written(self) -> set[str]:
        """The files that there are where it may write."""
        return {
            path.name
            for place in (self.data, self.scratch)
            for path in place.rglob("*")
            if path.is_file()
        }

    def stopped(self) -> int:
        """Tell it to stop; its exit code."""
        os.kill(self.inner, signal.SIGTERM)
        return self.wait_exit()


def loaded_modules(container: Container, folder: Path) -> set[str]:
    """The files of the modules that are compiled, in the container."""
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
    """From a raw event to an answer, with compiled modules. What cannot be written ends a process,
    so it writes nothing anywhere else.
    """
    modules = loaded_modules(container, tmp_path)
    assert len(modules) == len(module_names())
    assert all(file.startswith("/opt/rollcall/") and file.endswith(".so") for file in modules)
    token = add_token(tmp_path / "serve-data" / "tokens", "program")
    with (
        Contained(container, "router", tmp_path, bootstrap, prefix) as router,
        Contained(container, "rosters", tmp_path, bootstrap, prefix) as rosters,
        Contained(
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
                for line in Path(f"/proc/{process.inner}/status").read_text().splitlines()
                if ":\t" in line
            )
            assert int(status["CapEff"], 16) == 0
            assert status["NoNewPrivs"] == "1"
        assert [process.stopped() for process in (router, rosters, serve)] == [0, 0, 0]
        assert router.written() == rosters.written() == set()
        assert serve.written() == {"tokens", "replica.sqlite", "replica.sqlite.lock"}
