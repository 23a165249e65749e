"""docs/tutorial.md: its commands, run one after the other on a real broker, say what the document
shows.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollcall.sandbox.canvas.simulation import Simulation, SimulationPlan
from tests.docs.markdown import ROOT
from tests.processes import RollcallProcess, RostersProcess, RouterProcess
from tests.serve.replica.test_follower import contents, expected
from tests.tools import needs
from tests.waiting import run, wait_for_datum, wait_for_exit, wait_until

DOCUMENT = ROOT / "docs" / "tutorial.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"
CANVAS = "http://127.0.0.1:8085"
REPLICA = ".rollcall/replica.sqlite"
AS_FAST_AS_IT_GOES = (" --rate 300", "")

_STEP = re.compile(
    r"^<!-- tests/docs/test_tutorial\.py runs this "
    r"-->\n```sh\n(?P<script>.*?)^```\n\n```text\n(?P<shown>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

needs_curl = needs("curl", package="curl")


class Place:
    """A folder for a checkout, and what runs there."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.prefix = f"t{uuid.uuid4().hex[:12]}"
        self.steps = iter(_STEP.finditer(TEXT))
        self.address = ""
        self.exports = ""
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "rollcall").write_text(
            f'#!/bin/sh\nexec {sys.executable} -P -m rollcall "$@"\n', encoding="utf-8"
        )
        (programs / "rollcall").chmod(0o755)
        (programs / "python").symlink_to(sys.executable)

    @contextmanager
    def serving(self, tokens_file: str = "") -> Iterator[RollcallProcess]:
        """serve, with the replica where the document has it."""
        data = self.folder / ".rollcall"
        with RollcallProcess(
            "serve", self.folder, self.bootstrap, self.prefix, data=data, tokens_file=tokens_file
        ) as process:
            self.address = process.wait_ready().url
            yield process
            assert process.end() == 0

    def run(self, word: str, **replaced: str) -> str:
        """The document's next step, which holds a word; what it says must be what is shown."""
        step = next(self.steps)
        script, shown = step["script"], step["shown"]
        assert word in script
        for old, new in ((ADDRESS, self.address), AS_FAST_AS_IT_GOES, *replaced.items()):
            script, shown = script.replace(old, new), shown.replace(old, new)
        shown = shown.replace("canvas.raw", f"{self.prefix}.raw")
        said = self.shell(script)
        self.exports += "".join(
            line for line in script.splitlines(keepends=True) if line.startswith("export ")
        )
        pattern = ".*".join(re.escape(part.strip("\n")) for part in shown.split("…"))
        assert re.fullmatch(rf"{pattern}\n?", said, re.DOTALL), f"{said}\n--- and not\n{shown}"
        return said

    def shell(self, script: str) -> str:
        """The output of a script, with the variables of the steps before."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")
        }
        environment |= {
            "ROLLCALL_KAFKA": self.bootstrap,
            "ROLLCALL_TOPIC_PREFIX": self.prefix,
            "ROLLCALL_GROUP_PREFIX": self.prefix,
        }
        done = run(["/bin/sh", "-euc", self.exports + script], env=environment, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout.replace("\r\n", "\n")


@contextmanager
def simulated_canvas() -> Iterator[str]:
    """``rollcall simulate``, while it answers like Canvas. Gives its address."""
    command = [sys.executable, "-P", "-m", "rollcall", "simulate", "--canvas-port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = re.fullmatch(
            r"Canvas's API is at (\S+), with the token admin; Ctrl-C ends it\n",
            process.stderr.readline(),
        )
        try:
            assert address is not None
            yield address[1]
        finally:
            process.send_signal(signal.SIGINT)
        assert wait_for_exit(process) == 0


@needs_curl
def test_step_by_step(bootstrap: str, tmp_path: Path) -> None:
    """With serve beside router and rosters, as `rollcall up` starts them."""
    simulation = Simulation(SimulationPlan())
    for _ in simulation.events():
        pass
    truth = expected(simulation.truth())
    place = Place(tmp_path, bootstrap)
    with (
        RouterProcess(tmp_path, bootstrap, place.prefix) as router,
        RostersProcess(tmp_path, bootstrap, place.prefix) as rosters,
    ):
        router.wait_ready()
        rosters.wait_ready()
        with place.serving() as serve:
            wait_until(
                lambda: serve.metric("rollcall_replica_freshness_seconds") == 0, what="freshness"
            )
            place.run("/readyz")
            place.run("simulate")
            wait_for_datum(
                lambda: contents(tmp_path / REPLICA),
                truth,
                is_through=lambda: all(each.idle for each in (router, rosters, serve)),
            )
            place.run("enrollment_type")
            place.run("per_page")
            place.run("roster")
            place.run("sqlite3")
            place.run("roster")
            with simulated_canvas() as address:
                place.run("--dry-run", **{CANVAS: address})
                place.run("reconcile")
                wait_until(
                    lambda: place.shell(".venv/bin/rollcall reconcile --account 1").endswith(
                        "\ncomplete: 10 courses read, 0 snapshots written\n"
                    ),
                    what="a run that has nothing to write",
                )
            place.run("roster")
        token = place.run("token new").strip()
        with place.serving(str(tmp_path / ".rollcall" / "tokens")):
            place.run("curl")
            place.run("Authorization", **{"rollcall_…": token})
    assert list(place.steps) == []
